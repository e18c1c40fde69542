"""SPARQL text at token level: replace pre-bound variables by constants, and open a slot in every group for bindings.

Pre-binding (https://www.w3.org/TR/shacl/#pre-binding) means that a variable has its value everywhere, also in scopes
that no pattern binds. A `VALUES` block at the start of every group says exactly that in plain SPARQL, lets the planner
start from it, and works for many nodes at once. (The store's own substitution is folded away as "unbound" in BIND and
BOUND, and is planned as if the variable were free.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import pyoxigraph as ox

from reasoners.graph import Term

TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<iri><[^<>"{}|^`\\\s]*>)
  | (?P<string>\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"|'''(?:[^'\\]|\\.|'(?!''))*'''
             |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<variable>[?$]\w+)
  | (?P<name>[A-Za-z_][\w.-]*:[\w.%-]*|:[\w.%-]+|_:[\w.-]+)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<space>\s+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of every token; comments are dropped."""
    return [(m.lastgroup or "", m.group()) for m in TOKEN.finditer(text) if m.lastgroup != "comment"]


def bind_constants(text: str, constants: Mapping[str, str]) -> str:
    """Replace variables by constant text; drop them from SELECT clauses and turn `bound($x)` into `true`."""
    out: list[str] = []
    selecting, depth = False, 0
    stream = tokens(text)
    i = 0
    while i < len(stream):
        kind, piece = stream[i]
        if kind == "word" and piece.upper() == "SELECT":
            selecting, depth = True, 0
        elif selecting and (piece == "{" or (kind == "word" and piece.upper() in ("WHERE", "FROM"))):
            selecting = False
        elif selecting and piece in "()":
            depth += 1 if piece == "(" else -1
        if kind == "word" and piece.upper() == "BOUND":
            inner = [t for t in stream[i + 1 : i + 8] if t[0] != "space"][:3]
            if len(inner) == 3 and inner[0][1] == "(" and inner[2][1] == ")" and inner[1][1][1:] in constants:
                out.append("(true)")
                while stream[i][1] != ")":
                    i += 1
                i += 1
                continue
        if kind == "variable" and piece[1:] in constants:
            out.append("" if selecting and depth == 0 else f" {constants[piece[1:]]} ")
        else:
            out.append(piece)
        i += 1
    return "".join(out)


def ask_to_select(text: str, projection: str) -> str:
    """`ASK {…}` as `SELECT projection {…}`."""
    out, done = [], False
    for kind, piece in tokens(text):
        if not done and kind == "word" and piece.upper() == "ASK":
            out.append(f"SELECT {projection} ")
            done = True
        else:
            out.append(piece)
    return "".join(out)


def open_groups(text: str) -> list[str]:
    """The text cut after the opening brace of every group pattern: joining the parts with a snippet binds it there."""
    parts: list[str] = []
    current: list[str] = []
    stream = tokens(text)
    for i, (kind, piece) in enumerate(stream):
        current.append(piece)
        if kind == "other" and piece == "{":
            following = next((t for t in stream[i + 1 :] if t[0] != "space"), ("", ""))
            if not (following[0] == "word" and following[1].upper() == "SELECT"):
                parts.append("".join(current) + " ")
                current = []
    parts.append(" " + "".join(current))
    return parts


GIVEN = "urn:x-dappops:given:"
"""Names of functions that give a blank node, which has no name in SPARQL text."""


def slot(given: Mapping[str, Term]) -> tuple[str, dict[ox.NamedNode, Callable[..., Term]]]:
    """The snippet that gives variables their values at the start of a group, and the functions it calls for that."""
    named = {name: term for name, term in given.items() if not isinstance(term, ox.BlankNode)}
    blank = {name: term for name, term in given.items() if isinstance(term, ox.BlankNode)}
    snippet = ""
    if named:
        snippet = f"VALUES ({' '.join('?' + n for n in named)}) {{ ({' '.join(map(str, named.values()))}) }} "
    snippet += "".join(f"BIND(<{GIVEN}{name}>() AS ?{name}) " for name in blank)
    return snippet, {ox.NamedNode(GIVEN + name): partial(_same, term) for name, term in blank.items()}


def _same(term: Term) -> Term:
    return term
