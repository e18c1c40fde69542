"""The command `view`: the named questions that reasoners, page and people read the graph through."""

from __future__ import annotations

import click

from engine import resources
from engine.commands import answers
from engine.commands.graph import find
from engine.commands.output import Context, command, print_json, table


@command()
@click.argument("name", required=False)
@click.option(
    "--bind", "bound", multiple=True, metavar="VAR=TERM", help="Bind a variable: prefix:name, <IRI>, a short name, or \"text\"."
)  # fmt: skip
@click.option(
    "-f", "--format", "format_", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)
def view(context: Context, name: str | None, bound: tuple[str, ...], format_: str) -> None:
    """Answer a named view of the graph; without NAME, list them.

    Each is a SPARQL file of queries/views with its question in the header.
    """
    if name is None:
        rows = [
            (path.stem, question(path.read_text(encoding="utf-8"))) for path in resources.files("queries/views", "*.rq")
        ]
        context.emit([{"view": n, "question": q} for n, q in rows], lambda: table("", ["view", "question"], rows))
        return
    with context.open() as kb:
        bindings = {}
        for text in bound:
            variable, equals, value = text.partition("=")
            if not equals:
                raise click.UsageError(f"{text!r} binds nothing: write variable=term, e.g. application=crowd-rehearsal")
            bindings[variable.lstrip("?$")] = value if value.startswith(('"', "<")) else f"<{find(kb, value)}>"
        answer = kb.call("view", name=name, bindings=bindings)
    if context.json:
        print_json(answers.as_json(answer))
    else:
        answers.show(answer, format_)


def question(text: str) -> str:
    """The question in a query's header, with its continuation lines."""
    said: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        body = line.lstrip("# ").strip()
        field = body.split(":", 1)[0] if ":" in body and " " not in body.split(":", 1)[0] else ""
        if field == "Question":
            said = [body.removeprefix("Question:").strip()]
        elif said and field:
            break
        elif said:
            said.append(body)
    return " ".join(said)
