"""Commands on descriptions: check and validate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyoxigraph as ox

from engine.commands.output import Context, command, count, line, print_json, progress, short, table, working
from engine.commands.planning import show_conflict
from engine.errors import InputError

if TYPE_CHECKING:
    from reasoners.validate import Shapes
    from reasoners.validate.prose import Words
    from reasoners.validate.reporting import Summary

SHOWN = 200  # results in a table
_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


@command()
@click.argument("files", nargs=-1, required=True, type=_FILES)
@click.option(
    "--together",
    is_flag=True,
    help="The first of FILES describes an application, the others are what roles demand of it: try a plan for all.",
)
def check(context: Context, files: tuple[Path, ...], together: bool) -> None:
    """Check FILES (DAppOps-ML, RDF, rules) against language, shapes and the rules for rules; writes nothing.

    Needs no knowledge base. All mistakes are told at once, each with file, line, column and remedy. Exit code 1 when
    there are any.

    With --together: whether one plan on the offers of the knowledge base meets all demands; if not, minimal sets of those
    at odds, by role, file and line. Nothing of the files is committed; the finding is, as a decision. Exit code 1 when not.
    """
    if together:
        _check_together(context, files)
        return
    rows = mistakes(files)

    def text() -> None:
        for row in rows:
            line(f"{row['place']}: {row['message']}", style="red")
            line(f"    {row['remedy']}  [{row['rule']}]".replace("     [", "    ["))
        if rows:
            line(f"{count(len(rows), 'mistake')} in {count(len(files), 'file')}")
        else:
            line(f"{count(len(files), 'file')} checked, no mistakes")

    context.emit(rows, text)
    if rows:
        raise click.exceptions.Exit(1)


def _check_together(context: Context, files: tuple[Path, ...]) -> None:
    if len(files) < 2:
        raise click.UsageError("--together wants an application's file and at least one file of demands")
    texts = [{"name": str(path), "text": _text(path)} for path in files]
    with context.open() as kb, working("planning together"):
        found = kb.call("consider_proposals", base=texts[0], proposals=texts[1:], author=kb.author)
    context.emit(found, lambda: show_together(found))
    if not found["possible"]:
        raise click.exceptions.Exit(1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("not a text file in UTF-8", place=str(path), remedy="save it as UTF-8") from error


def show_together(found: dict[str, Any]) -> None:
    """What several roles demand of one design, for people."""
    name = found["application"]["label"]
    demands = sum(len(f["demands"]) for f in found["files"])
    line(f"{name}: {count(demands, 'demand')} of {count(len(found['files']), 'file')}", style="bold")
    for conflict in found["conflicts"]:
        line(f"at odds: {', '.join(conflict['roles'])}", style="red")
        for member in conflict["members"]:
            who = member["role"] or "the application"
            line(f"  {member['place']}: {who} wants {member['wants']}")
            line(f"      {member['requirement']['label']}")
        line("  possible when one of them gives way:")
        for way in conflict["ways"]:
            line(f"    {way['text']}")
    if found["innocent"] and found["conflicts"]:
        line("not part of it: " + ", ".join(f"{m['requirement']['label']} ({m['place']})" for m in found["innocent"]))
    if found["possible"]:
        line(
            f"all of it can be met: {found['plan']['status']} plan for {count(len(found['plan']['placements']), 'unit')}"
        )
    elif not found["conflicts"]:
        line("no plan exists, whatever of this is left out:", style="red")
        for conflict in found["plan"]["conflicts"]:
            show_conflict(conflict)
    if found["decision"]:
        line(f"decision {short(found['decision'])}; see `dappops why`")


def mistakes(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Everything wrong with the files: what cannot be read, and of the rest what shapes and rules say."""
    from engine.describe import DescriptionError, check_documents, check_rules, read_files

    graph = "https://w3id.org/dappops/g/0x0000000000000000000000000000000000000000/check"
    rows: list[dict[str, Any]] = []
    documents = []
    for path in files:
        try:
            read = read_files([path], graph=graph)
            for document in read:
                check_rules(document)
            documents += read
        except DescriptionError as error:
            rows += (
                {
                    "place": m.place,
                    "message": m.message,
                    "rule": m.rule,
                    "remedy": m.remedy,
                    "severity": "error",
                    "path": None,
                }
                for m in error.mistakes
            )
        except InputError as error:
            place = error.place if str(path) in error.place else f"{path}: {error.place}".rstrip(": ")
            rows.append(
                {
                    "place": place,
                    "message": error.message,
                    "rule": error.rule,
                    "remedy": error.remedy,
                    "severity": "error",
                    "path": None,
                }
            )
    rows += (
        # a shape's message ends with its remedy
        {
            "place": place,
            "message": r.message,
            "rule": short(r.shape),
            "remedy": "",
            "severity": short(r.severity),
            "path": r.path,
        }
        for place, r in check_documents(documents)
    )
    return rows


FORMATS = {
    "turtle": ox.RdfFormat.TURTLE, "nt": ox.RdfFormat.N_TRIPLES, "jsonld": ox.RdfFormat.JSON_LD, "rdf": ox.RdfFormat.RDF_XML,
}  # fmt: skip
SHAPELESS = "the data files have no shapes"


@command()
@click.argument("data", nargs=-1, type=_FILES)
@click.option("--shapes", "-s", multiple=True, type=_FILES, help="Shapes; default: those the data files contain.")
@click.option(
    "-f", "--format", "format_", type=click.Choice([*FORMATS, "table", "text", "json", "csv"]), default="turtle",
    show_default=True, help="RDF, or: a table, sentences, data for programs, a spreadsheet.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(["violation", "warning", "info"]), default="info", show_default=True,
    help="Exit code 1 from this severity on.",
)  # fmt: skip
@click.option(
    "--min-severity", type=click.Choice(["violation", "warning", "info"]), default="info", show_default=True,
    help="Show results from this severity on; the others are counted.",
)  # fmt: skip
@click.option(
    "--limit-per-shape", type=click.IntRange(min=0), help="Show so many results of each shape; all are counted."
)
@click.option("--group", type=click.Choice(["focus", "shape", "severity"]), default="focus", show_default=True)
@click.option(
    "--inference", type=click.Choice(["none", "hierarchy", "rl"]), default="none", show_default=True,
    help="What is inferred from the data first.",
)  # fmt: skip
@click.option("--no-rules", is_flag=True, help="Leave out the rules (sh:rule) of the shapes.")
def validate(context: Context, data: tuple[Path, ...], shapes: tuple[Path, ...], **options: Any) -> None:
    """Validate DATA against SHAPES and print a SHACL report (Turtle); no knowledge base needed.

    Without DATA: the whole knowledge base, every shape of its policy. Exit code 1 when something does not conform.
    Results are in a fixed order. Of sh:or, sh:xone, sh:and and sh:node the report says what the nearest branch lacks.
    """
    wish = Showing(**options)
    if not data:
        if shapes:
            raise click.UsageError("--shapes needs DATA files")
        _validate_all(context, wish)
        return
    from engine.catalogue.inference import inferred, with_shape_rules
    from engine.catalogue.rdf_files import read_document
    from reasoners.graph import memory_view
    from reasoners.validate import Shapes, Validator
    from reasoners.validate.prose import Words
    from reasoners.validate.reporting import collect
    from reasoners.vocab import SH

    read = {path: read_document(path, blank=f"b{n}n") for n, path in enumerate(dict.fromkeys((*data, *shapes)))}
    data_triples = list(dict.fromkeys(t for path in data for t in read[path].triples))
    shape_triples = list(dict.fromkeys(t for path in shapes for t in read[path].triples)) if shapes else data_triples
    parsed = Shapes.parse(shape_triples, {p: n for path in shapes or data for p, n in read[path].prefixes.items()})
    if not shapes and not parsed.roots:
        line(f"note: {SHAPELESS}; name them with --shapes", stderr=True)
    triples = data_triples
    if wish.inference != "none":
        triples = inferred(triples, wish.inference)
    if not wish.no_rules and any(t.predicate == SH.rule for t in shape_triples):
        triples = with_shape_rules(triples, shape_triples)
    prefixes = {p: n for one in read.values() for p, n in one.prefixes.items()}
    with progress("validating", quiet=context.json) as bar:
        results = Validator(parsed).results(memory_view(triples), progress=bar)
        summary = collect(results, limit=wish.limit_per_shape, min_severity=wish.min_severity, group=wish.group)
    words = Words.of(data_triples, shape_triples, prefixes=prefixes)
    _show(context, summary, wish, words, parsed, prefixes)


@dataclass(frozen=True, slots=True)
class Showing:
    """How `validate` reports."""

    format_: str
    fail_on: str
    min_severity: str
    limit_per_shape: int | None
    group: str
    inference: str
    no_rules: bool


def _show(
    context: Context, summary: Summary, wish: Showing, words: Words, shapes: Shapes | None, prefixes: dict[str, str]
) -> None:
    """Print a report; exit code by `--fail-on`."""
    from reasoners.validate.reporting import as_csv, as_json, as_text, named, report_of, summary_json

    def text() -> None:
        if wish.format_ in FORMATS:
            syntax = FORMATS[wish.format_]
            body = ox.serialize(report_of(summary, shapes), format=syntax, prefixes=named(prefixes)) or b""
            click.echo(body.decode(), nl=False)
        elif wish.format_ == "json":
            print_json(summary_json(summary, words))
        elif wish.format_ == "csv":
            click.echo(as_csv(summary, words), nl=False)
        elif wish.format_ == "text":
            click.echo(as_text(summary, words), nl=False)
        else:
            _table(summary, words)

    context.emit([as_json(r, words) for r in summary.results], text)
    if summary.fails(wish.fail_on):
        raise click.exceptions.Exit(1)


def _table(summary: Summary, words: Words) -> None:
    if summary.conforms:
        line("everything conforms")
        return
    shown = summary.results[:SHOWN]
    grades = len(summary.severities) > 1
    columns = ["severity"] * grades + ["focus", "path", "value", "message", "shape"]
    rows: list[list[str | None]] = [
        [
            *([r.severity.value.rsplit("#", 1)[-1]] * grades),
            short(r.focus), words.exact(r.route) or r.path, short(r.value), r.message, words.short(r.shape),
        ]
        for r in shown
    ]  # fmt: skip
    table("", columns, rows)
    line(count(summary.total, "result") + (f", {len(shown):,} shown" if len(shown) < summary.total else ""))
    if any(t.shown < t.total for t in summary.shapes):
        table(
            "", ["shape", "severity", "results", "shown"],
            [(words.short(t.shape), t.severity.value.rsplit("#", 1)[-1], t.total, t.shown) for t in summary.shapes],
            right=("results", "shown"),
        )  # fmt: skip


def _validate_all(context: Context, wish: Showing) -> None:
    from engine.graph.gate import result_from_json
    from reasoners.validate.prose import Words
    from reasoners.validate.reporting import collect

    with context.open() as kb, working("validating the knowledge base"):
        rows = kb.call("validate")
    found = [replace(result_from_json(r), unit=n) for n, r in enumerate(rows)]
    summary = collect(found, limit=wish.limit_per_shape, min_severity=wish.min_severity, group=wish.group)
    # nobody reads Turtle unasked: without a format of one's own, a table
    source = click.get_current_context().get_parameter_source("format_")
    shown = wish if source is not click.core.ParameterSource.DEFAULT else replace(wish, format_="table")
    _show(context, summary, shown, Words(), None, {})
