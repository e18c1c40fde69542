"""Default messages: what is wrong and what would be right, for shapes that give no sh:message."""

from __future__ import annotations

import pyoxigraph as ox

from reasoners.graph import Term
from reasoners.sparql.paths import to_sparql
from reasoners.validate import ast

_RANGE = {
    "minInclusive": "at least",
    "minExclusive": "more than",
    "maxInclusive": "at most",
    "maxExclusive": "less than",
}
_PAIR = {
    "equals": "the values must be those of {p}",
    "disjoint": "no value may also be one of {p}",
    "lessThan": "each value must be less than those of {p} (values that cannot be compared count as wrong)",
    "lessThanOrEquals": "each value must be at most those of {p} (values that cannot be compared count as wrong)",
}


def default(shape: ast.Shape, c: ast.Constraint, note: str) -> ox.Literal:
    """An English sentence for a violation of `c`."""
    where = f"{to_sparql(shape.path)}: " if shape.path is not None else ""
    return ox.Literal(where + _say(c) + (f"; {note}" if note else ""), language="en")


def _say(c: ast.Constraint) -> str:
    match c:
        case ast.ClassOf():
            return f"the value must be a {c.cls}"
        case ast.Datatype():
            return f"the value must be a well-formed literal of {c.datatype}"
        case ast.NodeKind():
            return f"the value must be of kind {c.kind}"
        case ast.Count(parameter="minCount"):
            return f"needs at least {c.n} value{'s' if c.n != 1 else ''}"
        case ast.Count():
            return f"takes at most {c.n} value{'s' if c.n != 1 else ''}"
        case ast.Range():
            return (
                f"the value must be {_RANGE[c.parameter]} {c.bound} (a value that cannot be compared counts as wrong)"
            )
        case ast.Length():
            return f"the value must have at {'least' if c.parameter == 'minLength' else 'most'} {c.n} characters"
        case ast.Pattern():
            return f"the value must match {c.regex}"
        case ast.LanguageIn():
            return f"the language must be one of {', '.join(c.ranges)}"
        case ast.UniqueLang():
            return "takes one value per language"
        case ast.In():
            return f"the value must be one of {_list(c.terms)}"
        case ast.HasValue():
            return f"must have the value {c.term}"
        case ast.Pair():
            return _PAIR[c.parameter].format(p=c.predicate)
        case ast.Closed():
            return "the property is not allowed here"
        case ast.Qualified():
            bound = "least" if c.parameter == "qualifiedMinCount" else "most"
            return f"needs at {bound} {c.n} values that conform to {c.shape.node}"
        case ast.Logic(parameter="not"):
            return f"the value must not conform to {c.members[0].node}"
        case ast.Logic(parameter="node"):
            return f"the value must conform to {c.members[0].node}"
        case ast.Logic():
            words = {"and": "all", "or": "at least one", "xone": "exactly one"}
            return f"the value must conform to {words[c.parameter]} of {_members(c)}"
        case ast.Expression():
            return "the value does not meet the shape's expression"
        case _:
            return f"violates {c.component}"


def _members(c: ast.Logic) -> str:
    if any(isinstance(m.node, ox.BlankNode) for m in c.members):
        return f"{len(c.members)} alternatives" if c.parameter != "and" else f"{len(c.members)} shapes"
    return _list(tuple(m.node for m in c.members))


def _list(terms: tuple[Term, ...]) -> str:
    shown = ", ".join(str(t) for t in terms[:10])
    return shown + (f" and {len(terms) - 10} more" if len(terms) > 10 else "")
