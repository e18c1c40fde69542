"""Commands on descriptions: check and validate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pyoxigraph as ox

from engine.commands.output import Context, command, count, line, short, table, working
from engine.commands.planning import show_conflict
from engine.errors import InputError

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


@command()
@click.argument("data", nargs=-1, type=_FILES)
@click.option("--shapes", "-s", multiple=True, type=_FILES, help="Shapes; default: those the data files contain.")
@click.option("-f", "--format", "format_", type=click.Choice(["turtle", "table"]), default="turtle", show_default=True)
def validate(context: Context, data: tuple[Path, ...], shapes: tuple[Path, ...], format_: str) -> None:
    """Validate DATA against SHAPES and print a SHACL report (Turtle); no knowledge base needed.

    Without DATA: the whole knowledge base, every shape of its policy. Exit code 1 when something does not conform.
    """
    if not data:
        if shapes:
            raise click.UsageError("--shapes needs DATA files")
        _validate_all(context)
        return
    from engine.graph.gate import result_json
    from reasoners.graph import memory_view
    from reasoners.validate import Shapes, Validator, report
    from reasoners.vocab import PREFIXES, SH

    data_triples = _read(data)
    shape_triples = _read(shapes) if shapes else data_triples
    results = Validator(Shapes.parse(shape_triples)).full(memory_view(data_triples))
    rows = [result_json(r) for r in results]

    def text() -> None:
        if format_ == "table":
            table(
                "",
                ["focus", "path", "value", "message"],
                [(short(r.focus), r.path, short(r.value), r.message) for r in results],
            )
            return
        body = (
            ox.serialize(report(results), format=ox.RdfFormat.TURTLE, prefixes={"sh": SH.iri, "xsd": PREFIXES["xsd"]})
            or b""
        )
        click.echo(body.decode(), nl=False)

    context.emit(rows, text)
    if results:
        raise click.exceptions.Exit(1)


def _read(paths: tuple[Path, ...]) -> list[ox.Triple]:
    from engine.catalogue.rdf_files import FORMATS, format_of

    triples: list[ox.Triple] = []
    for path in paths:
        try:
            parsed = ox.parse(
                path=str(path),
                format=FORMATS[format_of(path)],
                base_iri=path.absolute().as_uri(),
                rename_blank_nodes=True,
            )
            triples += (q.triple for q in parsed)
        except (SyntaxError, ValueError) as error:
            raise InputError(str(error), place=str(path), remedy="correct the file") from error
    return triples


def _validate_all(context: Context) -> None:
    with context.open() as kb:
        rows = kb.call("validate")

    def text() -> None:
        if not rows:
            line("everything conforms")
            return
        shown = rows[:SHOWN]
        table(
            "",
            ["focus", "path", "message", "shape"],
            [(_short(r["focus"]), r["path"], r["message"], _short(r["shape"])) for r in shown],
        )
        line(count(len(rows), "result") + (" (--json shows all)" if len(rows) > SHOWN else ""))

    context.emit(rows, text)
    if rows:
        raise click.exceptions.Exit(1)


def _short(text: str) -> str:
    from engine.graph.wire import decode_term

    return short(decode_term(text))
