"""Entity tags and what requests say about them. https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3"""

from __future__ import annotations

import hashlib
import re

_TAG = re.compile(r'\s*(?:(W/)?"([^"]*)"|(\*))\s*(?:,|$)')
_VOLATILE = re.compile(r"\b(?:NOW|RAND|UUID|STRUUID|BNODE)\s*\(", re.IGNORECASE)


def tags(header: str) -> list[str] | None:
    """The tags a header lists, without quotes and `W/`; None for a malformed header (which then counts as absent)."""
    found, at = [], 0
    while at < len(header):
        match = _TAG.match(header, at)
        if match is None:
            return None
        found.append("*" if match[3] else match[2])
        at = match.end()
    return found or None


def is_fresh(header: str, tag: str) -> bool:
    """Whether If-None-Match names the tag (weak comparison) or anything."""
    found = tags(header)
    return found is not None and ("*" in found or tag in found)


def of_answer(state: str, *parts: object) -> str:
    """The tag of an answer: a hash of the state it was made from and of everything it depends on."""
    body = "\0".join((state, *map(str, parts)))
    return hashlib.blake2b(body.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def is_volatile(text: str) -> bool:
    """Whether a query may answer otherwise on the same state: it gets no tag."""
    return _VOLATILE.search(text) is not None


__all__ = ["is_fresh", "is_volatile", "of_answer", "tags"]
