"""How deep JSON may nest before a parser is given it: the interpreter's recursion limit is no guard.

Libraries raise that limit for the whole process, and a parser in C then ends it by overflowing its stack.
"""

from __future__ import annotations

import re

DEEPEST = 200
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def too_deep(text: str, deepest: int = DEEPEST) -> bool:
    """Whether brackets outside of strings nest deeper than this."""
    depth = 0
    for match in _PARTS.finditer(text):
        first = match[0][0]
        if first in "[{":
            depth += 1
            if depth > deepest:
                return True
        elif first in "]}":
            depth -= 1
    return False
