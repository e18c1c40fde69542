"""The classify command: what follows from the terms of an ontology, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyoxigraph as ox

from engine.commands.output import Context, command, count, line, progress, short, table
from engine.errors import InputError

if TYPE_CHECKING:
    from reasoners.classify import Classification, Justification

_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWS = ("tree", "table", "turtle")
SHOWN = 100  # unsatisfiable classes printed


@command()
@click.argument("files", nargs=-1, type=_FILES)
@click.option("--graph", "graphs", multiple=True, help="Graphs of the knowledge base: short names or IRIs.")
@click.option("--shipped", is_flag=True, help="The shipped ontology alone.")
@click.option("--all", "every", is_flag=True, help="Every minimal set for what is wrong, up to 20 each.")
@click.option("-f", "--format", "format_", type=click.Choice(SHOWS), default="tree", show_default=True)
@click.option("--asserted", is_flag=True, help="Show what is asserted too, not only what is inferred.")
@click.option("--ignore-imports", is_flag=True, help="Leave out imported ontologies that are not at hand.")
@click.option("--seconds", type=click.FloatRange(min=1), default=120.0, show_default=True, help="Time it may take.")
@click.option("--memory", type=click.IntRange(min=64), default=2048, show_default=True, help="MiB it may take.")
@click.option("--no-cache", is_flag=True, help="Reason again, even when the answer is known.")
def classify(
    context: Context,
    files: tuple[Path, ...],
    graphs: tuple[str, ...],
    shipped: bool,
    every: bool,
    format_: str,
    asserted: bool,
    ignore_imports: bool,
    seconds: float,
    memory: int,
    no_cache: bool,
) -> None:
    """Classify the ontology in FILES: is it consistent, which classes can have no member and why, what follows.

    FILES may be RDF, OWL/XML, Functional or Manchester syntax; what they import is found by the catalogue beside them.
    Without FILES: the terms in the policy of the knowledge base (the shipped ontology where there is none). What is
    wrong comes with a minimal set of axioms: without any one of them it would not be wrong. Exit code 1 when something is.
    """
    if sum((bool(files), bool(graphs), shipped)) > 1:
        raise click.UsageError("FILES, --graph and --shipped exclude each other")
    from reasoners.classify import Bounds

    triples, prefixes = _triples(context, files, graphs, shipped=shipped, ignore_imports=ignore_imports)
    with progress("classifying", quiet=context.json) as bar:
        found = _classified(
            triples, every=every, bounds=(seconds, memory), make=Bounds, tell=bar, use_cache=not no_cache
        )

    def text() -> None:
        if format_ == "turtle":
            click.echo(_turtle(found, prefixes, asserted=asserted), nl=False)
            return
        _show_findings(found, prefixes)
        (_show_tree if format_ == "tree" else _show_table)(found, prefixes, asserted=asserted)

    context.emit(found.as_json(), text)
    if found.findings:
        raise click.exceptions.Exit(1)


def _triples(
    context: Context, files: tuple[Path, ...], graphs: tuple[str, ...], *, shipped: bool, ignore_imports: bool
) -> tuple[list[ox.Triple], dict[str, str]]:
    """What is classified, and prefixes to show it with."""
    from engine.catalogue.ontologies import read_ontology, with_imports
    from reasoners.classify import terminology
    from reasoners.vocab import PREFIXES

    if files:
        given = [read_ontology(path) for path in files]
        # blank nodes of different documents are different nodes
        read = given if ignore_imports else with_imports(given)
        triples = [_apart(t, n) for n, one in enumerate(read) for t in one.triples]
        return triples, {
            **PREFIXES,
            **{p: n for one in reversed(read) for p, n in one.prefixes.items() if p or one is read[0]},
        }
    if graphs or not (shipped or context.home == ":memory:" or not (context.folder / "log.sqlite").exists()):
        with context.open() as kb:
            info = kb.info()
            known = [g["iri"] for g in info["graphs"]]
            if graphs:
                from engine.commands.graph import known_graph

                chosen = [known_graph(kb, g, known) for g in graphs]
            else:
                ours = ("shipped", info["node"])
                chosen = [g["iri"] for g in info["graphs"] if g["kind"] == "policy" and g["owner"] in ours]
            quads = [q.triple for g in chosen for q in kb.quads(graph=g)]
        return terminology(quads), dict(PREFIXES)
    from engine.graph.policy import shipped_triples

    return terminology(shipped_triples()), dict(PREFIXES)


def _apart(t: ox.Triple, n: int) -> ox.Triple:
    def own(term: Any) -> Any:
        return ox.BlankNode(f"o{n}{term.value}") if isinstance(term, ox.BlankNode) else term

    return ox.Triple(own(t.subject), t.predicate, own(t.object))


def _classified(
    triples: list[ox.Triple], *, every: bool, bounds: tuple[float, int], make: Any, tell: Any, use_cache: bool
) -> Classification:
    """The answer, from the cache when the same axioms were classified before."""
    from engine import cache
    from engine.catalogue.ontologies import java_classes
    from engine.graph.labels import stable_labels
    from reasoners.classify import VERSION, Classification, classify

    folder = cache.folder()
    kept = None if folder is None or not use_cache else cache.Files(folder.parent / "classify")
    key = f"classify {every} {VERSION}\n" + "\n".join(sorted(map(str, stable_labels(triples, limit=1_000_000))))
    known = None if kept is None else kept.get(key)
    if known is not None:
        try:
            return Classification.from_json(json.loads(known))
        except (ValueError, KeyError, TypeError):
            pass  # written by another version
    found = classify(
        triples, every=every, bounds=make(bounds[0], bounds[1], java_classes()),
        progress=lambda done, total, task: tell(done, total or None, task),
    )  # fmt: skip
    if kept is not None:
        kept.put(key, json.dumps(found.as_json()).encode())
    return found


def _name(iri: str, prefixes: dict[str, str]) -> str:
    for prefix, namespace in prefixes.items():
        if iri.startswith(namespace) and re.fullmatch(r"[\w.-]+", iri[len(namespace) :]):
            return f"{prefix}:{iri[len(namespace) :]}"
    return short(iri)


def _readable(axiom: str, prefixes: dict[str, str]) -> str:
    return re.sub(r"<([^<>\s]*)>", lambda m: _name(m[1], prefixes), axiom)


def _show_findings(found: Classification, prefixes: dict[str, str]) -> None:
    def because(reasons: Iterable[Justification]) -> None:
        for number, reason in enumerate(reasons, 1):
            line(f"  because{f' ({number})' if number > 1 else ''}:")
            for axiom in reason.axioms:
                line(f"    {_readable(axiom.text, prefixes)}")

    if not found.consistent:
        line(f"inconsistent: the {count(found.axioms, 'axiom')} have no model", style="red")
        because(found.reasons)
        line("  remedy: change or remove one of these axioms")
        return
    line(f"consistent: {count(found.axioms, 'axiom')}", style="green" if not found.findings else None)
    for name, reasons in list(found.unsatisfiable.items())[:SHOWN]:
        line(f"{_name(name, prefixes)} can have no member", style="red")
        because(reasons)
    if len(found.unsatisfiable) > SHOWN:
        line(f"… and {len(found.unsatisfiable) - SHOWN} more classes without members (--json shows all)")
    if found.unsatisfiable:
        line("  remedy: change or remove one axiom of each set")


def _pairs(found: Classification, *, asserted: bool) -> list[tuple[str, str]]:
    return list(found.sub if asserted else found.inferred)


def _show_tree(found: Classification, prefixes: dict[str, str], *, asserted: bool) -> None:
    if not found.consistent:
        return
    pairs = _pairs(found, asserted=asserted)
    below: dict[str, list[str]] = {}
    for lower, higher in pairs:
        below.setdefault(higher, []).append(lower)
    new = set(found.inferred)
    roots = sorted({h for _, h in pairs} - {c for c, _ in pairs})
    line(f"{'the' if asserted else 'inferred'} hierarchy: {count(len(pairs), 'subclass statement')}")

    def show(name: str, depth: int, above: tuple[str, ...]) -> None:
        mark = "  (inferred)" if asserted and above and (name, above[-1]) in new else ""
        line("  " * (depth + 1) + _name(name, prefixes) + mark)
        if name in above:
            return
        for child in sorted(below.get(name, ())):
            show(child, depth + 1, (*above, name))

    for root in roots:
        show(root, 0, ())
    _show_same(found, prefixes)


def _show_table(found: Classification, prefixes: dict[str, str], *, asserted: bool) -> None:
    if not found.consistent:
        return
    new = {*found.inferred, *found.properties}
    rows = [("class", *p) for p in _pairs(found, asserted=asserted)] + [("property", *p) for p in found.properties]
    table(
        "", ["kind", "below", "above", "by"],
        [(k, _name(a, prefixes), _name(b, prefixes), "inferred" if (a, b) in new else "asserted") for k, a, b in rows],
    )  # fmt: skip
    _show_same(found, prefixes)


def _show_same(found: Classification, prefixes: dict[str, str]) -> None:
    for group in (*found.equivalent, *found.same_properties):
        line("equivalent: " + " = ".join(_name(name, prefixes) for name in group))


def _turtle(found: Classification, prefixes: dict[str, str], *, asserted: bool) -> str:
    """The inferred statements as RDF; unsatisfiable classes are below owl:Nothing."""
    from reasoners.vocab import OWL, RDFS

    if not found.consistent:
        raise InputError(
            "an inconsistent ontology implies everything", place="classify", remedy="see it without --format turtle"
        )
    triples = [ox.Triple(_iri(a), RDFS.subClassOf, _iri(b)) for a, b in _pairs(found, asserted=asserted)]
    triples += [ox.Triple(_iri(name), RDFS.subClassOf, OWL.Nothing) for name in found.unsatisfiable]
    triples += [ox.Triple(_iri(a), RDFS.subPropertyOf, _iri(b)) for a, b in found.properties]
    for groups, same in ((found.equivalent, OWL.equivalentClass), (found.same_properties, OWL.equivalentProperty)):
        triples += [ox.Triple(_iri(group[0]), same, _iri(other)) for group in groups for other in group[1:]]
    body = ox.serialize(sorted(triples, key=str), format=ox.RdfFormat.TURTLE, prefixes=prefixes) or b""
    return body.decode()


def _iri(name: str) -> ox.NamedNode:
    return ox.NamedNode(name)
