"""How commands print: tables for people, JSON for programs, errors with place, rule and remedy, progress on stderr.

A terminal gets colour and tables that fit it; a pipe gets plain text, a row a line, nothing folded.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyoxigraph as ox

from engine.errors import BusyError, DappopsError, InputError
from engine.kb import KnowledgeBase
from reasoners.vocab import BASE, PREFIXES

NARROW = 110  # columns of a terminal below which tables leave something out
WIDEST = 60  # characters a cell is padded to in plain text: one long value must not push all others away
SHOWN = 50  # violations or mistakes printed for one error; --json has them all
_style = {"plain": False}


@dataclass(slots=True)
class Context:
    """What the global options say."""

    home: str | None
    json: bool
    author: str | None
    safe: bool

    @property
    def folder(self) -> Path:
        """The folder of the knowledge base."""
        return Path(self.home or os.environ.get("DAPPOPS_HOME") or ".dappops").absolute()

    @contextmanager
    def open(self, *, makes: bool = False) -> Iterator[KnowledgeBase]:
        """The knowledge base, closed at the end. Who did not come to make one (`makes`) is told when there was none."""
        import engine

        if not makes and self.home != ":memory:" and not (self.folder / "log.sqlite").exists():
            click.echo(f"note: there was no knowledge base in {self.folder}; this makes a new, empty one", err=True)
        with engine.open(self.home or None, author=self.author, safe=self.safe) as kb:
            if self.author and not re.fullmatch(r"0x[0-9a-fA-F]{40}", self.author):
                stored = ", ".join(kb.info()["keys"])
                raise InputError(
                    f"{self.author!r} is no address",
                    rule="0x and 40 hexadecimal digits",
                    remedy=f"stored here: {stored}",
                )
            if self.safe and not kb.info()["safe"]:
                raise BusyError(
                    "another process has this knowledge base open with its local rules", place=str(self.folder), rule="--safe",
                    remedy="end that process first",
                )  # fmt: skip
            yield kb

    def emit(self, data: Any, text: Callable[[], None]) -> None:
        """Print `data` as JSON, or call `text` to print for people."""
        if self.json:
            print_json(data)
        else:
            text()


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., None]], click.Command]:
    """`click.command` whose function gets a `Context` first and accepts the global options after its name, too."""

    def wrap(function: Callable[..., None]) -> click.Command:
        @click.option("--home", "home_", metavar="DIR", hidden=True)
        @click.option("--json", "json_", is_flag=True, help="Print JSON for programs.")
        @click.option("--author", "author_", metavar="ADDRESS", hidden=True)
        @click.option("--safe", "safe_", is_flag=True, hidden=True)
        @click.option("--no-color", "plain_", is_flag=True, hidden=True)
        @functools.wraps(function)
        def inner(
            home_: str | None, json_: bool, author_: str | None, safe_: bool, plain_: bool, **options: Any
        ) -> Any:
            root = click.get_current_context().find_root().obj or {}
            _style["plain"] = plain_ or bool(root.get("no_color"))
            context = Context(
                home=home_ or root.get("home"), json=json_ or bool(root.get("as_json")),
                author=author_ or root.get("author"), safe=safe_ or bool(root.get("safe")),
            )  # fmt: skip
            try:
                function(context, **options)
                sys.stdout.flush()
            except BrokenPipeError:
                # click would end with 1, which means findings; `… | head` is no failure
                from engine.cli import drop_stdout

                drop_stdout()

        settings = {"help_option_names": ["-h", "--help"], **kwargs.pop("context_settings", {})}
        decorate: Callable[[Callable[..., Any]], click.Command] = click.command(
            *args, context_settings=settings, **kwargs
        )
        return decorate(inner)

    return wrap


# -- text ------------------------------------------------------------------------------------------------------------
def console(*, stderr: bool = False) -> Any:
    """A rich console: plain when the output is no terminal."""
    from rich.console import Console

    plain = _style["plain"] or bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, no_color=plain or None)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> None:
    """Print a table; columns named in `right` are aligned right."""
    numbers = set(right)
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _plain_table(title, columns, cells, numbers)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row))
    console().print(grid)


def narrow() -> bool:
    """Whether the output is a terminal too narrow for the columns that matter less."""
    return sys.stdout.isatty() and console().width < NARROW


def _plain_table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], numbers: set[str]) -> None:
    flat = [[cell.replace("\r", "").replace("\n", "\\n") for cell in row] for row in cells]
    widths = [min(WIDEST, max([len(name), *(len(row[i]) for row in flat)])) for i, name in enumerate(columns)]
    if title:
        click.echo(title)
    for row in [list(columns), ["-" * width for width in widths], *flat]:
        padded = (
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        )  # fmt: skip
        click.echo("  ".join(padded).rstrip())


def line(text: str = "", style: str | None = None, *, stderr: bool = False) -> None:
    """Print one line."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        console(stderr=stderr).print(text, style=style, markup=False)
    else:
        click.echo(text, err=stderr)


def lines(*texts: str) -> Callable[[], None]:
    """A function that prints the lines: for `Context.emit`."""

    def show() -> None:
        for text in texts:
            line(text)

    return show


def count(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(term: Any) -> str:
    """A term for people: `prefix:name` for known prefixes, the tail of a graph's own IRIs, plain literals."""
    if isinstance(term, str):
        term = ox.NamedNode(term) if "://" in term or term.startswith("urn:") else ox.Literal(term)
    if isinstance(term, ox.NamedNode):
        value = term.value
        for prefix, namespace in PREFIXES.items():
            if value.startswith(namespace) and "/" not in value[len(namespace) :]:
                return f"{prefix}:{value[len(namespace) :]}"
        if value.startswith(f"{BASE}/policy/"):
            return value[len(BASE) + 1 :]
        if "/g/0x" in value:
            address, _, rest = value.split("/g/", 1)[1].partition("/")
            return f"{address[:6]}…/{rest}"
        return f"<{value}>"
    if isinstance(term, ox.Literal):
        return term.value
    return "" if term is None else str(term)


# -- errors ----------------------------------------------------------------------------------------------------------
def error_json(error: DappopsError) -> dict[str, Any]:
    """An error as the one object that `--json` prints."""
    details = error.data() if hasattr(error, "data") else None
    return {
        "family": type(error).__name__, "message": error.message, "place": error.place, "rule": error.rule,
        "remedy": error.remedy, "details": details,
    }  # fmt: skip


def show_error(error: DappopsError, *, as_json: bool = False) -> None:
    """One error: JSON on stdout, or text on stderr; a refusal prints every violation."""
    if as_json:
        print_json({"error": error_json(error)})
        return
    results = getattr(error, "results", None)
    mistakes = getattr(error, "mistakes", None)

    def tell(text: str, style: str | None = None) -> None:
        line(text, style, stderr=True)

    tell(f"error: {error.message}", "bold red")
    if results:
        for result in results[:SHOWN]:
            path = f" {result.path}" if result.path else ""
            value = "" if result.value is None else f" = {short(result.value)}"
            tell(f"  {short(result.focus)}{path}{value}")
            tell(f"    {result.message}  [{short(result.shape)}]")
    elif mistakes:
        for mistake in mistakes[:SHOWN]:
            tell(f"  {mistake.place}: {mistake.message}")
            tell(f"    {mistake.remedy}  [{mistake.rule}]")
    else:
        for label, text in (("at", error.place), ("rule", error.rule)):
            if text:
                tell(f"  {label}: {text}")
    more = max(len(results or ()), len(mistakes or ())) - SHOWN
    if more > 0:
        tell(f"  … and {more} more (--json shows all)")
    if error.remedy:
        first, *rest = error.remedy.splitlines()
        tell(f"  remedy: {first}", "green")
        for each in rest:
            tell(f"    {each}")


def iri_node(text: str) -> ox.NamedNode:
    """An IRI as a term; InputError when it is none."""
    try:
        return ox.NamedNode(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an IRI: {error}", remedy="write <https://…> or prefix:name") from error


# -- progress --------------------------------------------------------------------------------------------------------
@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[Callable[[int, int | None, str], None]]:
    """A progress bar on stderr, when that is a terminal: call it with (done, total or None, note)."""
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


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on stderr, when that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(what):
        yield
