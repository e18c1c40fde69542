"""How `dappops why` tells why a triple holds: a tree down to asserted triples, or what comes near."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import click
import pyoxigraph as ox

from engine.commands.graph import find
from engine.commands.output import Context, line, short
from engine.errors import InputError
from engine.graph.explained import turtle
from engine.graph.wire import decode_triples
from engine.graph.written import term_of
from engine.kb import KnowledgeBase

ALTERNATIVES = 20
LONGEST = 400  # characters of one condition
_IRI = re.compile(r"<([^<>\s]*)>")
Json = dict[str, Any]


def explain_triple(
    context: Context, terms: Sequence[str], regime: str, *, every: bool, depth: int, format_: str
) -> None:
    """Ask why a triple holds and show it. Exit code 1 when it does not."""
    with context.open() as kb:
        names = ("subject", "predicate", "object")
        given = {n: str(the_term(kb, text)) for n, text in zip(names, terms, strict=True)}
        told = kb.call(
            "why_triple",
            **given,
            regime=regime,
            depth=depth,
            alternatives=ALTERNATIVES if every else 1,
            reader=kb.author,
        )
    if format_ == "turtle" and told["holds"]:
        context.emit(told, lambda: click.echo(turtle(told), nl=False))
    else:
        context.emit(told, lambda: show_told(told))
    if not told["holds"]:
        raise click.exceptions.Exit(1)


def the_term(kb: KnowledgeBase, text: str) -> object:
    """The term a person means: as RDF writes it, or the local name of the one thing that has it."""
    try:
        return term_of(text)
    except InputError:
        if text.startswith(("<", '"', "'", "_:")):
            raise
        return ox.NamedNode(find(kb, text))


def show_told(told: Json) -> None:
    """An explanation for people."""
    if not told["holds"]:
        show_absent(told)
        return
    for number, tree in enumerate(told["derivations"], start=1):
        if len(told["derivations"]) > 1:
            line(f"derivation {number}", style="bold")
        for text in tree_lines(tree):
            line(text)


def tree_lines(tree: Json, first: str = "", rest: str = "") -> Iterator[str]:
    """A derivation as lines, each premise below what it is a premise of."""
    yield f"{first}{shown(tree['triple'])}"
    bar = "│  " if tree.get("premises") else "   "
    if tree["asserted"]:
        for source in tree["sources"]:
            yield f"{rest}   asserted in {told_source(source)}"
        return
    values = ", ".join(f"?{n} = {short(term_of(t))}" for n, t in tree.get("bindings", {}).items())
    name = short(tree["rule"]) if ":" in tree["rule"] else tree["rule"]
    label = f" ({tree['label']})" if tree["label"] != tree["rule"] else ""
    yield f"{rest}{bar}by {name}{label}" + (f" with {values}" if values else "")
    for text in tree.get("absent", ()):
        yield f"{rest}{bar}nothing matches {readable(text)}"
    for text in tree.get("counted", ()):
        yield f"{rest}{bar}counted: {readable(text)}"
    for text in tree.get("conditions", ()):
        yield f"{rest}{bar}holds: {readable(text)}"
    if tree.get("cut"):
        yield f"{rest}{bar}… not followed further (raise --depth, or ask for this triple)"
    premises = tree["premises"]
    for number, premise in enumerate(premises, start=1):
        last = number == len(premises)
        yield from tree_lines(premise, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


def shown(text: str) -> str:
    """A triple with short names."""
    (triple,) = decode_triples(text + " .")
    obj = triple.object
    written = (
        str(obj)
        if isinstance(obj, ox.Literal) and obj.datatype.value.endswith(("string", "langString"))
        else short(obj)
    )
    return f"{short(triple.subject)} {short(triple.predicate)} {written}"


def readable(text: str) -> str:
    """SPARQL with short names, cut where it gets long."""
    plain = _IRI.sub(lambda m: short(m[1]), text)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]} …"


def told_source(source: Json) -> str:
    """Graph, commit, author and time of an assertion."""
    graph = short(source["graph"])
    if "sequence" not in source:
        return graph
    at = f" (transaction {source['transaction']})" if "transaction" in source else ""
    return f"{graph} #{source['sequence']}{at} by {source['author']} at {source['time']}"


def show_absent(told: Json) -> None:
    """What is known about a triple that does not hold."""
    heading = "it is stated, and counts for nobody else" if told["inert"] else "it does not hold"
    line(f"{heading}: {shown(told['triple'])}", style="bold")
    for item in told["inert"]:
        line(f"  stated in {short(item['graph'])}: {item['why']}")
    for item in told["rules"]:
        line(
            f"  {short(item['rule'])} ({item['label']}) would conclude it: {item['held']} of {item['parts']} parts hold"
        )
        line(f"    it lacks: {readable(item['missing'])}")
        for text in item["found"]:
            line(f"    there is: {shown(text)}")
    if told["nearest"]:
        line("  there are:")
        for text in told["nearest"]:
            line(f"    {shown(text)}")
