"""The import command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from engine.commands.output import Context, command, count, line, progress, short, table, working
from engine.errors import InputError, did_you_mean
from engine.kb import KnowledgeBase

SOURCES = ("ec2", "azure", "cloud")
ONTOLOGY = "ontology"  # the source whose FILE is an edited ontology


@dataclass(frozen=True, slots=True)
class Wish:
    """How `import` shall treat its sources."""

    graph: str | None
    regions: tuple[str, ...]
    all_or_nothing: bool
    prune: bool
    format_: str | None
    dry_run: bool
    as_is: bool


@command("import")
@click.argument("sources", nargs=-1, required=True)
@click.option("--graph", help="Graph: short name or IRI.  [default: cloud for offers, main for files]")
@click.option("--region", "regions", multiple=True, help="Only these regions (as the provider names them).")
@click.option("--all-or-nothing", is_flag=True, help="One commit takes everything, or nothing is written.")
@click.option("--prune", is_flag=True, help="Remove offers the source no longer has.")
@click.option("-f", "--format", "format_", help="Format of the files, when their endings do not tell.")
@click.option("--dry-run", is_flag=True, help="Of an ontology: show what would change, and write nothing.")
@click.option(
    "--as-is", is_flag=True, help="Of an ontology: what an editor cannot express and left out is removed, too."
)
def import_(context: Context, sources: tuple[str, ...], **options: Any) -> None:
    """Import SOURCES: `ec2`, `azure`, `cloud` (both), or RDF files (Turtle, N-Triples, N-Quads, TriG, JSON-LD, RDF/XML, .gz).

    Runs in short commits, so that others can write meanwhile; a second run commits nothing. Bad records are reported by
    name and left out (exit code 1).

    `ontology FILE --graph policy`: FILE is the graph as an ontology editor saved it (RDF/XML, Turtle, OWL/XML, Functional,
    Manchester). Only what was edited is committed, in one commit, or nothing when the gate refuses it.
    """
    wish = Wish(**options)
    if sources[0] == ONTOLOGY and not Path(ONTOLOGY).is_file():
        if len(sources) != 2:
            raise click.UsageError("`import ontology` wants one FILE")
        import_ontology(context, Path(sources[1]), wish)
        return
    if wish.dry_run or wish.as_is:
        raise click.UsageError("--dry-run and --as-is are for `import ontology FILE`")
    named = [s for s in sources if s in SOURCES]
    files = [Path(s) for s in sources if s not in SOURCES]
    for path in files:
        if not path.is_file():
            raise InputError(
                f"no such file or source {str(path)!r}{did_you_mean(str(path), SOURCES)}",
                remedy=f"sources: {', '.join(SOURCES)}, or RDF files",
            )
    reports: list[dict[str, Any]] = []
    with context.open(makes=True) as kb:
        common = {"graph": wish.graph, "all_or_nothing": wish.all_or_nothing, "author": kb.author}
        for source in named:
            params = {**common, "source": source, "regions": list(wish.regions) or None, "prune": wish.prune}
            reports.append(run_with_progress(kb, f"import {source}", "import_cloud", quiet=context.json, params=params))
        if files:
            params = {**common, "paths": [str(p.absolute()) for p in files], "format": wish.format_}
            title = f"import {count(len(files), 'file')}"
            reports.append(run_with_progress(kb, title, "import_files", quiet=context.json, params=params))

    def text() -> None:
        for report in reports:
            show_report(report)

    context.emit(reports if len(reports) > 1 else reports[0], text)
    if any(r["refused"] for r in reports):
        raise click.exceptions.Exit(1)


def import_ontology(context: Context, path: Path, wish: Wish) -> None:
    """Commit what an edited ontology changes in its graph."""
    from engine.catalogue.ontologies import edits, read_ontology

    if not path.is_file():
        raise InputError(f"no such file {str(path)!r}", remedy="give the file that the editor saved")
    with context.open() as kb, working("comparing"):
        name = wish.graph or "policy"
        graph = kb.graph_iri(name)
        document = read_ontology(path, format=wish.format_)
        old = [q.triple for q in kb.quads(graph=graph)]
        found = edits(old, document, as_is=wish.as_is)
        receipt = None
        if found and not wish.dry_run:
            receipt = kb.commit(graph, found.added, found.removed, message=f"ontology edited: {path.name}")
    told = {
        "graph": graph, "removed": [str(t) for t in found.removed], "added": [str(t) for t in found.added],
        "kept": found.kept, "committed": receipt is not None, "receipt": receipt.as_json() if receipt else None,
    }  # fmt: skip

    def text() -> None:
        for sign, triples in (("-", found.removed), ("+", found.added)):
            for t in triples:
                line(f"{sign} {short(t.subject)} {short(t.predicate)} {short(t.object)}")
        verb = "would be " if wish.dry_run else ""
        where = graph.rsplit("/", 1)[-1]
        if not found:
            line(f"{where}: nothing was edited")
        else:
            line(
                f"{where}: {count(len(found.removed), 'triple')} {verb}removed, {count(len(found.added), 'triple')} {verb}added"
            )
        if found.kept:
            line(
                f"{count(found.kept, 'statement')} that the editor cannot express stay as they are (--as-is removes them)"
            )

    context.emit(told, text)


def run_with_progress(
    kb: KnowledgeBase, title: str, name: str, *, quiet: bool, params: dict[str, Any]
) -> dict[str, Any]:
    """Call a long service method with a progress bar."""
    with progress(title, quiet=quiet) as bar:
        result: dict[str, Any] = kb.call(
            name, lambda frame: bar(frame["done"], frame["total"], frame["note"]), **params
        )
    return result


def show_report(report: dict[str, Any]) -> None:
    """What an import did, for people."""
    line(
        f"{report['accepted']:,} of {report['records']:,} records in {report['graph'].rsplit('/', 1)[-1]}: "
        f"{report['added']:,} triples added, {report['removed']:,} removed in {count(report['chunks'], 'commit')}, "
        f"{report['seconds']:.1f} s ({report['triplesPerSecond']:,} triples/s)"
    )
    for reason, number in report["skipped"].items():
        line(f"  left out: {number:,} {reason}")
    if report["refused"]:
        table(
            "refused",
            ["record", "why", "shape"],
            [(r["record"], r["message"], r["shape"].rsplit("#", 1)[-1]) for r in report["refused"][:20]],
        )
        if len(report["refused"]) > 20:
            line(f"  … and {len(report['refused']) - 20} more (--json shows all)")
