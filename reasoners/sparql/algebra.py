"""SPARQL text to rdflib algebra, and rdflib terms and paths to ours. The one home of rdflib's parser.

rdflib is imported inside the functions: it takes a good part of a second, and only policy loading needs it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import Any as Anything
from typing import Protocol

import pyoxigraph as ox

from reasoners.errors import InputError, IntegrityError
from reasoners.graph import Term
from reasoners.sparql import packed
from reasoners.sparql.paths import (
    ANY,
    Inverse,
    Negated,
    Optional,
    Path,
    Plus,
    Pred,
    Star,
    alternative,
    sequence,
)

Node = Anything  # an rdflib CompValue: an attribute dictionary with `.name`


DEEPEST = 32
"""Levels of brackets. The interpreter's recursion limit is no guard: any library may raise it, for the whole process."""


_OPAQUE = re.compile(
    r"""<[^<>"{}|^`\\\x00-\x20]*>|\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\#[^\n]*""",
    re.DOTALL,
)
"""IRIs, strings and comments: brackets in them are text."""


def _depth(text: str) -> int:
    """Deepest nesting of brackets."""
    depth = deepest = 0
    for character in _OPAQUE.sub("", text):
        if character in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "})]":
            depth -= 1
    return deepest


def _too_deep() -> InputError:
    return InputError(
        f"the query is nested too deeply: at most {DEEPEST} levels of brackets",
        place="query text",
        rule="https://www.w3.org/TR/sparql11-query/#sparqlGrammar",
        remedy="split it into several queries",
    )


class Memory(Protocol):
    """Keeps packed trees from one process to the next: parsing takes milliseconds a query, reading back a tenth of one."""

    def get(self, text: str) -> bytes | None:
        """What was kept for this text, if anything."""
        ...

    def put(self, text: str, packed: bytes) -> None:
        """Keep it, if possible; never raises."""
        ...


_memory: Memory | None = None


def remember(memory: Memory | None) -> None:
    """Let `parse` use a memory (None: none)."""
    global _memory  # noqa: PLW0603
    _memory = memory


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """The algebra of a query (shared: do not change it); InputError with the parser's place when the text is no SPARQL 1.1."""
    kept = _memory.get(text) if _memory is not None else None
    if kept is not None:
        with suppress(IntegrityError):
            return packed.unpack(kept)
    root = _parsed(text)
    if _memory is not None:
        data = packed.pack(root)
        if data is not None:
            _memory.put(text, data)
    return root


def _parsed(text: str) -> Node:
    from pyparsing import ParseException  # type: ignore[import-not-found,unused-ignore]
    from rdflib.plugins.sparql.algebra import translateQuery
    from rdflib.plugins.sparql.parser import parseQuery
    from rdflib.plugins.sparql.sparql import SPARQLError

    if _depth(text) > DEEPEST:
        raise _too_deep()
    try:
        root = translateQuery(parseQuery(text)).algebra
        _translate_exists(root)
        return root
    except ParseException as error:
        raise InputError(
            f"not valid SPARQL: {error.msg} at line {error.lineno}, column {error.column}",
            place=error.line.strip(),
            rule="https://www.w3.org/TR/sparql11-query/#sparqlGrammar",
            remedy="correct the query text",
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    except (SPARQLError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"not valid SPARQL: {error}",
            rule="https://www.w3.org/TR/sparql11-query/#sparqlGrammar",
            remedy="correct the query text; declare every prefix",
        ) from error
    except Exception as error:
        # translateQuery raises bare Exception for undeclared prefixes and scope errors.
        if type(error) is not Exception:
            raise
        raise InputError(
            f"not valid SPARQL: {error}",
            rule="https://www.w3.org/TR/sparql11-query/#sparqlGrammar",
            remedy="correct the query text; declare every prefix",
        ) from error


def _translate_exists(node: Anything) -> None:
    """rdflib leaves the patterns of EXISTS as syntax where the expression stands in a SELECT, ORDER BY or aggregate."""
    from rdflib.plugins.sparql.algebra import translateGroupGraphPattern, translatePath, traverse
    from rdflib.plugins.sparql.parserutils import CompValue

    if isinstance(node, CompValue):
        if node.name in ("Builtin_EXISTS", "Builtin_NOTEXISTS") and node.graph.name.startswith("GroupGraphPattern"):
            node["graph"] = translateGroupGraphPattern(traverse(node.graph, visitPost=translatePath))
        for value in list(node.values()):
            _translate_exists(value)
    elif isinstance(node, list | tuple):
        for value in node:
            _translate_exists(value)


def term(node: Anything) -> Term | None:
    """The pyoxigraph term of an rdflib constant; None for variables and blank nodes (both are unknowns)."""
    from rdflib import Literal, URIRef

    if isinstance(node, URIRef):
        return ox.NamedNode(str(node))
    if isinstance(node, Literal):
        if node.language:
            return ox.Literal(str(node), language=node.language)
        return ox.Literal(str(node), datatype=ox.NamedNode(str(node.datatype)) if node.datatype else None)
    return None


def path(node: Anything) -> Path:
    """The path of an rdflib predicate, path or predicate variable."""
    from rdflib import URIRef
    from rdflib.paths import AlternativePath, InvPath, MulPath, NegatedPath, SequencePath
    from rdflib.term import Variable

    match node:
        case Variable():
            return ANY
        case URIRef():
            return Pred(ox.NamedNode(str(node)))
        case InvPath():
            return Inverse(path(node.arg))
        case SequencePath():
            return sequence(*(path(p) for p in node.args))
        case AlternativePath():
            return alternative(*(path(p) for p in node.args))
        case MulPath():
            wraps: dict[str, type[Star] | type[Plus] | type[Optional]] = {"*": Star, "+": Plus, "?": Optional}
            return wraps[str(node.mod)](path(node.path))
        case NegatedPath():
            ahead = [ox.NamedNode(str(p)) for p in node.args if isinstance(p, URIRef)]
            # rdflib loses the names of inverse members: every predicate counts on that side.
            behind = len(ahead) < len(node.args)
            # `!(^p)` alone walks only backwards: https://www.w3.org/TR/sparql11-query/#eval_negatedPropertySet
            return Negated(frozenset(ahead) if ahead or not behind else None, frozenset() if behind else None)
        case _:
            raise InputError(f"unknown path {node!r}", remedy="use SPARQL 1.1 property paths")
