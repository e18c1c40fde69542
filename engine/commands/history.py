"""Commands about the past: log, diff, revert, redact, prove, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from engine.commands.output import Context, command, line, lines, short, table


@command()
@click.option("-n", "--limit", default=20, show_default=True, help="Number of transactions.")
@click.option("--graph", metavar="IRI", help="Only transactions that touch this graph.")
def log(context: Context, limit: int, graph: str | None) -> None:
    """Transactions, newest first."""
    with context.open() as kb:
        rows = kb.log(limit, kb.graph_iri(graph) if graph else None)

    def text() -> None:
        table(
            "",
            ["#", "time", "graph", "+", "-", "author", "head", "message"],
            [
                (
                    tx["sequence"], tx["time"], short(c["graph"]), c["added"], c["removed"], c["author"][:8] + "…", c["head"][:12],
                    tx["message"],
                )
                for tx in rows for c in tx["commits"]
            ],
            right=["#", "+", "-"],
        )  # fmt: skip

    context.emit(rows, text)


@command()
@click.argument("old", type=int)
@click.argument("new", type=int, required=False)
@click.option("--graph", metavar="IRI", help="Only this graph.")
def diff(context: Context, old: int, new: int | None, graph: str | None) -> None:
    """What changed from transaction OLD to NEW (default: now). Negative numbers count back: -1 is the newest."""
    with context.open() as kb:
        delta = kb.call("diff", old=old, new=new, graph=kb.graph_iri(graph) if graph else None)

    def text() -> None:
        for sign, style in (("removed", "red"), ("added", "green")):
            for quad in delta[sign].splitlines():
                line(("- " if sign == "removed" else "+ ") + quad, style=style)

    context.emit(delta, text)


@command()
@click.argument("sequence", type=int)
def revert(context: Context, sequence: int) -> None:
    """Commit the reverse of a transaction, as far as it still has effect."""
    with context.open() as kb:
        receipt = kb.revert(sequence).as_json()
    context.emit(receipt, lambda: line(receipt_line(receipt)))


@command()
@click.argument("subject")
@click.option("--graph", default="main", show_default=True, help="Graph that states it.")
@click.option("--reason", required=True, help="Why; kept in the log, signed.")
def redact(context: Context, subject: str, graph: str, reason: str) -> None:
    """Remove everything a graph ever said about SUBJECT and erase its text from the log.

    Signatures, delta hashes and roots still verify afterwards. Copies that others hold are out of reach.
    """
    with context.open() as kb:
        subject = subject if subject.startswith("<") else f"<{subject}>"
        result = kb.call("redact", subject=subject, graph=graph, reason=reason, author=kb.author)
    context.emit(result, lambda: line(f"{result['statements']} statements redacted in {result['commits']} commits"))


@command()
@click.argument("terms", nargs=-1, required=True)
@click.option("--graph", required=True, help="Graph IRI or short name.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the proof here.")
def prove(context: Context, terms: tuple[str, ...], graph: str, output: Path | None) -> None:
    """A proof that a graph holds exactly these statements for SUBJECT [PREDICATE [OBJECT]] (N-Triples terms)."""
    names = dict(zip(("subject", "predicate", "object"), (_term(t) for t in terms), strict=False))
    with context.open() as kb:
        result = kb.call("prove", graph=kb.graph_iri(graph), **names)
        info = {g["iri"]: g for g in kb.info()["graphs"]}[result["graph"]]
        result["root"], result["head"] = info["root"], info["head"]
    if output:
        output.write_text(json.dumps(result, indent=1), encoding="utf-8")
    context.emit(result, lambda: line(f"{len(result['proof'].get('lines', []))} statements proven under root {result['root']}"))


def _term(text: str) -> str:
    if text[:1] in "<\"_":
        return text
    from engine.commands.graph import expand

    return f"<{expand(text)}>"


@command()
@click.argument("proof", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--root", help="Root (hex) the proof must lead to; default: the one in the file.")
def verify(context: Context, proof: Path | None, root: str | None) -> None:
    """Recompute every signature, hash and root of the log; or check a PROOF file, which needs no knowledge base."""
    if proof is not None:
        from engine.graph.proofs import Proof, check

        body = json.loads(proof.read_text(encoding="utf-8"))
        wanted = bytes.fromhex(root or body["root"])
        check(Proof.from_json(body["proof"]), wanted)
        result: dict[str, Any] = {"valid": True, "root": wanted.hex(), "graph": body.get("graph")}
        trust = "This shows what the graph under that root holds; that the root is the graph's head is its author's and node's word."
        context.emit(result, lines(f"valid under root {wanted.hex()}", trust))
        return
    with context.open() as kb:
        counts = kb.call("verify")
    trust = "All of it is sealed by this node alone: it proves order and time to nobody else until it is anchored or co-signed."
    context.emit(
        {**counts, "trust": trust},
        lines(f"{counts['commits']} commits in {counts['transactions']} transactions verify ({counts['redacted']} redacted)", trust),
    )


def receipt_line(receipt: dict[str, Any]) -> str:
    """One line about a commit."""
    if receipt["sequence"] is None:
        return "nothing to change"
    findings = receipt["findings"]
    parts = [f"transaction {receipt['sequence']}: {receipt['added']} added, {receipt['removed']} removed"]
    if receipt["warnings"]:
        parts.append(f"{len(receipt['warnings'])} warnings")
    if findings["opened"] or findings["closed"]:
        parts.append(f"findings: {len(findings['opened'])} opened, {len(findings['closed'])} closed")
    if receipt["inert"]["count"]:
        parts.append(f"{receipt['inert']['count']} statements inert: {receipt['inert']['examples'][0][1]}")
    return "; ".join(parts)
