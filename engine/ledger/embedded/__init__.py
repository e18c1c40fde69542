"""The embedded chain: a durable EVM in one file; see the README beside this."""

import sys

_PY_EVM = 100_000  # what importing py-evm sets for the whole process: there, deep recursion of anybody ends in a crash
_found = sys.getrecursionlimit()
USUAL_RECURSION = _found if _found < _PY_EVM else 1_000
"""How deep Python may recurse while no contract is executed."""
