"""A parsed query as bytes and back, so that whoever may keep files can spare the next process the parsing.

rdflib's tree nodes cannot be pickled as they are (their constructor wants a name), and a pickle can name any function:
writing goes through one reducer, reading through a list of the classes a tree consists of. What does not fit the list is
refused, so a file that was tampered with can at most give another query tree, not run code.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from reasoners.errors import IntegrityError

_CLASSES = {
    "rdflib.plugins.sparql.parserutils": {"CompValue", "Expr"},
    "rdflib.term": {"Variable", "URIRef", "Literal", "BNode"},
    "rdflib.paths": {"SequencePath", "AlternativePath", "InvPath", "MulPath", "NegatedPath"},
    "reasoners.sparql.packed": {"_node", "_expression"},
    "collections": {"OrderedDict", "defaultdict"},
    "builtins": {"set", "frozenset", "list", "dict", "tuple"},
    "copyreg": {"_reconstructor"},
    "decimal": {"Decimal"},
}  # fmt: skip


def _node(name: str, values: dict[str, Any], attributes: dict[str, Any]) -> Any:
    from rdflib.plugins.sparql.parserutils import CompValue

    node = CompValue(name, **values)
    vars(node).update(attributes)
    return node


def _expression(name: str, values: dict[str, Any], attributes: dict[str, Any]) -> Any:
    from rdflib.plugins.sparql.parserutils import Expr

    node = Expr(name, **values)
    vars(node).update(attributes)
    return node


class _Writer(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        from rdflib.plugins.sparql.parserutils import CompValue, Expr

        if isinstance(thing, CompValue):
            # an attribute that was set hides the entry of that name: translateQuery replaces parts so
            attributes = {k: v for k, v in vars(thing).items() if k not in ("name", "_evalfn", "ctx")}
            # without their functions: rdflib evaluates nothing here
            return _expression if isinstance(thing, Expr) else _node, (thing.name, dict(thing), attributes)
        return NotImplemented


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a query")
        return super().find_class(module, name)


def pack(root: Any) -> bytes | None:
    """A query's tree as bytes; None for one that cannot be kept."""
    target = io.BytesIO()
    try:
        _Writer(target, protocol=5).dump(root)
        unpack(target.getvalue())
    except (pickle.PicklingError, IntegrityError, TypeError, AttributeError):
        return None
    return target.getvalue()


def unpack(data: bytes) -> Any:
    """The tree that `pack` wrote; IntegrityError for anything else."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # a pickle that is cut off or made up fails in any way it likes
        raise IntegrityError("this is no packed query", rule="reasoners.sparql.packed") from error
