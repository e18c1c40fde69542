"""Commands on descriptions: check and validate."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pyoxigraph as ox

from engine.commands.output import Context, command, count, line, short, table
from engine.errors import InputError

SHOWN = 200  # results in a table
_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


@command()
@click.argument("files", nargs=-1, required=True, type=_FILES)
def check(context: Context, files: tuple[Path, ...]) -> None:
    """Check FILES (DAppOps-ML, RDF, rules) against language, shapes and the rules for rules; writes nothing.

    Needs no knowledge base. All mistakes are told at once, each with file, line, column and remedy. Exit code 1 when
    there are any.
    """
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
