"""Commands about the past: log, diff, revert, redact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import Context, command, count, iri_node, line, narrow, short, table

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

SHOWN = 1000  # lines of a difference
NUMBERS = {"ignore_unknown_options": True}  # -1 is a transaction here, not an option


@command()
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Number of transactions."
)
@click.option("--graph", help="Only transactions that touch this graph (short name or IRI).")
def log(context: Context, limit: int, graph: str | None) -> None:
    """Transactions, newest first."""
    with context.open() as kb:
        rows = kb.log(limit, _graph(kb, graph))

    def text() -> None:
        columns = (
            ["#", "time", "graph", "+", "-", "message"]
            if narrow()
            else ["#", "time", "graph", "+", "-", "author", "head", "message"]
        )
        cells = [
            {
                "#": tx["sequence"], "time": tx["time"][:19] + "Z", "graph": short(c["graph"]), "+": c["added"], "-": c["removed"],
                "author": c["author"][:6] + "…", "head": c["head"][:10], "message": tx["message"],
            }
            for tx in rows for c in tx["commits"]
        ]  # fmt: skip
        table("", columns, [[cell[name] for name in columns] for cell in cells], right=["#", "+", "-"])

    context.emit(rows, text)


@command(context_settings=NUMBERS)
@click.argument("old", type=int)
@click.argument("new", type=int, required=False)
@click.option("--graph", help="Only this graph (short name or IRI).")
def diff(context: Context, old: int, new: int | None, graph: str | None) -> None:
    """What changed from transaction OLD to NEW (default: now). Negative numbers count back: -1 is the newest."""
    with context.open() as kb:
        delta = kb.call("diff", old=old, new=new, graph=_graph(kb, graph))

    def text() -> None:
        for key, sign, style in (("removed", "-", "red"), ("added", "+", "green")):
            quads = delta[key].splitlines()
            for quad in quads[:SHOWN]:
                line(f"{sign} {quad}", style=style)
            if len(quads) > SHOWN:
                line(f"{sign} … and {len(quads) - SHOWN:,} more (--json shows all)")
        if not delta["removed"] and not delta["added"]:
            line("no difference")

    context.emit(delta, text)


@command(context_settings=NUMBERS)
@click.argument("sequence", type=int)
def revert(context: Context, sequence: int) -> None:
    """Commit the reverse of transaction SEQUENCE, as far as it still has effect. -1 is the newest."""
    with context.open() as kb:
        receipt = kb.revert(sequence).as_json()
    context.emit(receipt, lambda: line(receipt_line(receipt)))


@command()
@click.argument("subject")
@click.option("--graph", default="main", show_default=True, help="Graph that states it.")
@click.option("--reason", required=True, help="Why; kept in the log, signed.")
def redact(context: Context, subject: str, graph: str, reason: str) -> None:
    """Remove everything a graph ever said about SUBJECT (IRI, prefix:name, or local name) and erase its text from the log.

    Signatures, delta hashes and roots still verify afterwards. Copies that others hold are out of reach.
    """
    with context.open() as kb:
        chosen = _graph(kb, graph)
        # what was removed already has no entry among the names, so a local name means the graph's own
        term = _term(kb, subject) if ":" in subject else str(iri_node(f"{chosen}/{subject}"))
        result = kb.call("redact", subject=term, graph=chosen, reason=reason, author=kb.author)
    context.emit(
        result,
        lambda: line(f"{count(result['statements'], 'statement')} redacted in {count(result['commits'], 'commit')}"),
    )


def _graph(kb: KnowledgeBase, name: str | None) -> Any:
    """IRI of a graph that is there, or None for None."""
    from engine.commands.graph import known_graph

    return None if name is None else known_graph(kb, name, [g["iri"] for g in kb.info()["graphs"]])


def _term(kb: KnowledgeBase, text: str) -> str:
    """A term as N-Triples text."""
    if text[:1] in '<"_':
        return text
    from engine.commands.graph import find

    return str(iri_node(find(kb, text)))


def receipt_line(receipt: dict[str, Any]) -> str:
    """One line about a commit."""
    if receipt["sequence"] is None:
        return "nothing to change"
    findings = receipt["findings"]
    parts = [f"transaction {receipt['sequence']}: {receipt['added']} added, {receipt['removed']} removed"]
    if receipt["warnings"]:
        parts.append(count(len(receipt["warnings"]), "warning"))
    if findings["opened"] or findings["closed"]:
        parts.append(f"findings: {len(findings['opened'])} opened, {len(findings['closed'])} closed")
    if receipt["inert"]["count"]:
        triple, reason = receipt["inert"]["examples"][0]
        parts.append(f"{count(receipt['inert']['count'], 'statement')} inert, e.g. {triple}: {reason}")
    return "; ".join(parts)
