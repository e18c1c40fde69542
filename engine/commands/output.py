"""How commands print: tables for people, JSON for programs, errors with place, rule and remedy, progress on stderr."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import pyoxigraph as ox

from engine.errors import DappopsError
from engine.kb import KnowledgeBase
from reasoners.vocab import PREFIXES

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Context:
    """What the global options say."""

    home: str | None
    json: bool
    author: str | None
    safe: bool
    plain: bool

    @contextmanager
    def open(self) -> Iterator[KnowledgeBase]:
        """The knowledge base, closed at the end."""
        import engine

        with engine.open(self.home, author=self.author, safe=self.safe) as kb:
            yield kb

    def emit(self, data: Any, text: Callable[[], None]) -> None:
        """Print `data` as JSON, or call `text` to print for people."""
        if self.json:
            click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
        else:
            text()


def command(*args: Any, **kwargs: Any) -> Callable[[F], click.Command]:
    """`click.command` whose function gets a `Context` first and accepts the global options after its name, too."""

    def wrap(function: F) -> click.Command:
        @click.option("--home", "home_", metavar="DIR", hidden=True)
        @click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
        @click.option("--author", "author_", metavar="ADDRESS", hidden=True)
        @functools.wraps(function)
        def inner(home_: str | None, json_: bool, author_: str | None, **options: Any) -> Any:
            root = click.get_current_context().find_root().obj or {}
            context = Context(
                home_ or root.get("home"), json_ or bool(root.get("as_json")), author_ or root.get("author"),
                bool(root.get("safe")), bool(root.get("no_color")) or not sys.stdout.isatty(),
            )  # fmt: skip
            return function(context, **options)

        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        made: click.Command = click.command(*args, **kwargs)(inner)
        return made

    return wrap


def console(*, stderr: bool = False) -> Any:
    """A rich console that is plain when the output is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 160
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty(), width=width)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> None:
    """Print a table; columns named in `right` are aligned right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    grid = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(grid)


def line(text: str = "", style: str | None = None) -> None:
    """Print one line."""
    console().print(text, style=style, markup=False)


def lines(*texts: str) -> Callable[[], None]:
    """A function that prints the lines: for `Context.emit`."""

    def show() -> None:
        for text in texts:
            line(text)

    return show


def short(term: Any) -> str:
    """A term for people: `prefix:name` for known prefixes, the tail of a graph's own IRIs, plain literals."""
    if isinstance(term, str):
        term = ox.NamedNode(term) if "://" in term or term.startswith("urn:") else ox.Literal(term)
    if isinstance(term, ox.NamedNode):
        value = term.value
        for prefix, namespace in PREFIXES.items():
            if value.startswith(namespace) and "/" not in value[len(namespace) :]:
                return f"{prefix}:{value[len(namespace) :]}"
        if "/g/0x" in value:
            address, _, rest = value.split("/g/", 1)[1].partition("/")
            return f"{address[:6]}…/{rest}"
        return f"<{value}>"
    if isinstance(term, ox.Literal):
        return term.value
    return "" if term is None else str(term)


def show_error(error: DappopsError) -> None:
    """One error on stderr; a refusal prints every violation."""
    out = console(stderr=True)
    results = getattr(error, "results", None)
    mistakes = getattr(error, "mistakes", None)
    out.print(f"error: {error.message}", style="bold red", markup=False)
    if results:
        for result in results[:50]:
            path = f" {result.path}" if result.path else ""
            value = "" if result.value is None else f" = {short(result.value)}"
            out.print(f"  {short(result.focus)}{path}{value}", markup=False)
            out.print(f"    {result.message}  [{short(result.shape)}]", markup=False)
        if len(results) > 50:
            out.print(f"  … and {len(results) - 50} more (--json shows all)", markup=False)
    elif mistakes:
        for mistake in mistakes:
            out.print(f"  {mistake.place}: {mistake.message}", markup=False)
            out.print(f"    {mistake.remedy}  [{mistake.rule}]", markup=False)
    else:
        for label, text in (("at", error.place), ("rule", error.rule)):
            if text:
                out.print(f"  {label}: {text}", markup=False)
    if error.remedy:
        out.print(f"  remedy: {error.remedy}", style="green", markup=False)


@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[Callable[[int, int | None, str], None]]:
    """A progress bar on stderr: call it with (done, total or None, note)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, note: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        console=console(stderr=True),
    )  # fmt: skip
    with bar:
        task = bar.add_task(description, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)
