"""Commands that show things to others: anchor, prove, verify, canonicalize."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import Context, command, count, iri_node, line, lines, short, table, working
from engine.errors import BusyError, InputError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

SHOWN = 1000  # statements printed
PAUSE = 1.0  # seconds between two looks of --watch


# -- anchor ----------------------------------------------------------------------------------------------------------
@command()
@click.option("--graph", "graphs", multiple=True, help="Anchor this graph now (short name or IRI); repeatable.")
@click.option("--urgent", is_flag=True, help="Each head in a transaction of its own; needed for a private graph.")
@click.option("--watch", is_flag=True, help="Stay and anchor what becomes due, by time and count, until stopped.")
@click.option(
    "--max-age", type=click.FloatRange(min=0), help="With --watch: seconds the oldest head may wait.  [default: 300]"
)
@click.option(
    "--max-heads", type=click.IntRange(min=1), help="With --watch: so many waiting heads go at once.  [default: 100]"
)
@click.option("--chain", default="main", show_default=True, help="Name of a chain of this home.")
@click.option("--status", is_flag=True, help="Anchors so far, and what waits; sends nothing.")
def anchor(context: Context, graphs: tuple[str, ...], urgent: bool, watch: bool, status: bool, **options: Any) -> None:
    """Record heads of graphs on a chain: all that wait in one batch, or some now.

    What is open from an interrupted run is settled first: nothing is sent twice. Budgets are set in the environment:
    DAPPOPS_ANCHOR_GAS_PER_HOUR, …_GAS_PER_DAY, …_WEI_PER_HOUR, …_WEI_PER_DAY; when they are spent, exit code 4.
    """
    if status and (graphs or urgent or watch):
        raise click.UsageError("--status sends nothing: leave the other options out")
    if not watch and (options["max_age"] is not None or options["max_heads"] is not None):
        raise click.UsageError("--max-age and --max-heads go with --watch: without it everything that waits goes now")
    with context.open() as kb:
        if status:
            told = kb.call("anchors", chain=options["chain"])
            context.emit(told, lambda: _show_anchors(told))
            return
        asked = {"graphs": [_graph(kb, g) for g in graphs], "urgent": urgent, **options}
        if watch:
            _watch(context, kb, asked)
            return
        with working("anchoring"):
            told = kb.call("anchor", flush=True, **asked)
    context.emit(told, lambda: _show_round(told))
    if told["until"] is not None and not told["sent"]:
        raise click.exceptions.Exit(4)


def _watch(context: Context, kb: KnowledgeBase, asked: dict[str, Any]) -> None:
    """Rounds until the process is stopped; one line, or one JSON document a line, for each that did something."""
    said = ""
    while True:
        try:
            told = kb.call("anchor", flush=False, **asked)
        except BusyError as error:  # a node that is away comes back
            if str(error) != said:
                line(f"waiting: {error}", stderr=True)
            said = str(error)
            time.sleep(PAUSE)
            continue
        said = ""
        if any(told[k] for k in ("sent", "adopted", "final", "taken_back")):
            if context.json:
                click.echo(json.dumps(told))
            else:
                _show_round(told)
            sys.stdout.flush()
        time.sleep(PAUSE)


def _show_round(told: dict[str, Any]) -> None:
    for row in told["anchors"]:
        what = (
            f"batch of {row['heads']} heads ({len(row['fresh'])} new)"
            if row["kind"] == "batch"
            else short(row["fresh"][0])
        )
        gas = f", {row['gas']:,} gas" if row["gas"] else ""
        line(f"anchor {row['anchor']} {row['state']}: {what} in block {row['block']} of chain {row['chain']}{gas}")
    for number in told["taken_back"]:
        line(f"anchor {number} was taken back by a reorganisation", style="yellow")
    ready = [n for n in told["final"] if n not in {row["anchor"] for row in told["anchors"]}]
    for number in ready:
        line(f"anchor {number} is final")
    if told["until"] is not None:
        line(f"waiting until {_clock(told['until'])}: {told['why']}")
    elif not told["anchors"] and not ready and not told["taken_back"]:
        line(f"nothing to anchor: {told['why']}")


def _show_anchors(told: dict[str, Any]) -> None:
    columns = ["#", "chain", "kind", "state", "heads", "new", "block", "gas", "root"]
    rows = [
        [a["anchor"], a["chain"], a["kind"], a["state"], a["heads"], len(a["fresh"]), a["block"], a["gas"], a["root"][:16]]
        for a in told["anchors"]
    ]  # fmt: skip
    table("", columns, rows, right=["#", "heads", "new", "block", "gas"])
    line(f"{count(len(told['waiting']), 'head')} waiting" + "".join(f"\n  {short(g)}" for g in told["waiting"][:20]))


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- prove -----------------------------------------------------------------------------------------------------------
@command(context_settings={"ignore_unknown_options": True})  # --at -1 counts back
@click.argument("terms", nargs=-1)
@click.option("--graph", help="Graph IRI or short name.  [default: the one whose IRI the subject's begins with]")
@click.option(
    "--decision", metavar="NODE", help="Everything about a node and its own parts, such as a decision with its reasons."
)
@click.option("--state", is_flag=True, help="All statements of the graph.")
@click.option("--at", metavar="TX|TIME", help="As of a transaction (-1: the newest) or a time (2026-11-24T08:00:00Z).")
@click.option("--anchored", is_flag=True, help="As of the newest commit that a chain holds.")
@click.option(
    "--since", type=int, metavar="COMMIT", help="Also that the history begins with that up to the graph's COMMIT."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the proof file here.")
def prove(context: Context, terms: tuple[str, ...], output: Path | None, **options: Any) -> None:
    """A proof that a graph holds exactly these statements for SUBJECT [PREDICATE [OBJECT]], or none.

    TERMS are IRIs, prefix:name, local names, or N-Triples terms such as '"text"' and '"4"^^<…integer>'. Without terms:
    --decision, --state, or the graph's head alone. The file has the head, the author's and the node's signatures and, when the
    head is anchored, the chain's proof; anybody checks it with `dappops verify FILE` or `dappops-verify FILE`.
    """
    if len(terms) > 3:
        raise click.UsageError(f"{len(terms)} terms: give SUBJECT, or SUBJECT PREDICATE, or SUBJECT PREDICATE OBJECT")
    wishes = [bool(terms), bool(options["decision"]), options["state"]]
    if sum(wishes) > 1 or (options["at"] is not None and options["anchored"]):
        raise click.UsageError("give one of TERMS, --decision and --state, and one of --at and --anchored")
    if not any(wishes) and not options["graph"]:
        raise click.UsageError("name what to prove: TERMS, --decision NODE, or --graph GRAPH for its head")
    with context.open() as kb:
        about = [_term(kb, t) for t in terms]
        node = _term(kb, options["decision"]).strip("<>") if options["decision"] else None
        graph = _graph(kb, options["graph"]) if options["graph"] else _graph_of(kb, node or about[0].strip("<>"))
        at = options["at"]
        if at is not None and at.lstrip("-").isdigit():
            at = int(at)
        made = kb.call(
            "prove_file", graph=graph, terms=about, decision=node, state=options["state"], at=at,
            anchored=options["anchored"], since=options["since"],
        )  # fmt: skip
    result = _summary(graph, made)
    if output:
        output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")

    def text() -> None:
        for each in result["statements"][:SHOWN]:
            line(each)
        where = f"under root {result['root']} (commit {result['sequence']} of {short(graph)})"
        if result["statements"]:
            line(f"{count(len(result['statements']), 'statement')} proven {where}")
        else:
            line(f"proven absent {where}" if made["sets"] else f"head {result['head']} {where}")
        line(
            f"anchored in block {result['block']}"
            if result["block"] is not None
            else "not anchored yet: `dappops anchor`"
        )
        if output:
            line(f"written to {output}; anybody checks it with `dappops verify {output}`")

    context.emit(result, text)


def _summary(graph: str, made: dict[str, Any]) -> dict[str, Any]:
    """What a proof file is about, with the file."""
    from verifier import head_hash, parse

    file = parse(made)
    head = file.heads[0]
    block = None
    if head.anchor is not None:
        from verifier import check_anchor

        block = check_anchor(file.anchors[head.anchor]).number
    return {
        "graph": graph, "sequence": head.sequence, "head": head_hash(head).hex(), "root": head.set_root.hex(),
        "block": block, "statements": [text for proof in file.sets for text in proof.lines], "file": made,
    }  # fmt: skip


def _graph(kb: KnowledgeBase, name: str) -> str:
    """IRI of a graph that is there."""
    from engine.commands.graph import known_graph

    return known_graph(kb, name, [g["iri"] for g in kb.info()["graphs"]])


def _graph_of(kb: KnowledgeBase, subject: str) -> str:
    """The graph under whose IRI a subject is."""
    for graph in kb.info()["graphs"]:
        if subject == graph["iri"] or subject.startswith(graph["iri"] + "/"):
            return str(graph["iri"])
    raise InputError(
        "no graph's IRI begins this subject's", place=subject, remedy="name the graph that states it: --graph"
    )


def _term(kb: KnowledgeBase, text: str) -> str:
    """A term as N-Triples text."""
    if text[:1] in '<"_':
        return text
    from engine.commands.graph import find

    return str(iri_node(find(kb, text)))


# -- verify ----------------------------------------------------------------------------------------------------------
@command()
@click.argument("proof", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--rpc", metavar="URL", help="An Ethereum node to ask about anchored blocks.")
@click.option(
    "--trust", metavar="ADDRESS", multiple=True, help="Believe this node's seals where no owner's signature reaches."
)
@click.option("--co-signer", metavar="ADDRESS", multiple=True, help="Believe this co-signer's checkpoints; repeatable.")
@click.option("--quorum", type=click.IntRange(min=1), help="So many of the co-signers suffice.  [default: all]")
@click.option("--chain-head-hash", metavar="HASH", help="Hash of the anchored block, known from elsewhere.")
@click.option("--depth", type=click.IntRange(min=0), help="So many blocks must follow the anchored one.")
@click.option("--all", "every", is_flag=True, help="Print the checks that hold, too.")
def verify(context: Context, proof: Path | None, every: bool, **options: Any) -> None:
    """Recompute every signature, hash and root of the log; or check a PROOF file, which needs no knowledge base.

    A proof file is checked by the stand-alone verifier, as `dappops-verify` does. Exit code 1 when it does not hold.
    """
    if proof is not None:
        _verify_file(context, proof, every, options)
        return
    if every or any(options.values()):
        raise click.UsageError("these options need a PROOF file")
    with context.open() as kb:
        counts = kb.call("verify")
    trust = "All of it is sealed by this node alone: it proves order and time to nobody else until it is anchored or co-signed."
    told = f"{count(counts['commits'], 'commit')} in {count(counts['transactions'], 'transaction')} verify ({counts['redacted']} redacted)"
    context.emit({**counts, "trust": trust}, lines(told, trust))


def _verify_file(context: Context, path: Path, every: bool, options: dict[str, Any]) -> None:
    import verifier

    trust = verifier.Trust(
        frozenset(map(_address, options["trust"])), frozenset(map(_address, options["co_signer"])), options["quorum"],
        _hash(options["chain_head_hash"]), options["depth"],
    )  # fmt: skip
    body = path.read_bytes()
    try:
        verifier.parse(body)
    except verifier.Malformed as error:
        raise InputError(
            f"this is no proof file: {error}", place=str(path), rule="docs/proof-format.md",
            remedy="make one with `dappops prove SUBJECT --graph GRAPH -o FILE`",
        ) from error  # fmt: skip
    try:
        report = verifier.verify(body, options["rpc"], trust)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    context.emit(report.as_json(), lambda: click.echo(report.text(every=every)))
    if not report.holds:
        raise click.exceptions.Exit(1)


def _address(text: str) -> str:
    from engine.ledger.chain import lower

    return str(lower(text))


def _hash(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise click.UsageError(f"{text!r} is no hash (64 hexadecimal digits)")
    return found


# -- canonicalize ----------------------------------------------------------------------------------------------------
@command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--format", help="turtle, n-triples, n-quads, trig, rdf-xml or json-ld.  [default: by the file's extension]"
)
@click.option("--hash", "algorithm", type=click.Choice(["sha256", "sha384"]), default="sha256", show_default=True,
              help="The hash that labels are made with.")  # fmt: skip
@click.option("--base", default="", help="IRI that relative ones are resolved against.")
@click.option("--seconds", type=click.IntRange(1, 600), default=10, show_default=True, help="CPU seconds it may take.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def canonicalize(
    context: Context, file: Path, format: str | None, algorithm: str, base: str, seconds: int, output: Path | None
) -> None:
    """Print a document's canonical N-Quads (RDFC-1.0), found in bounded time and memory or refused."""
    from engine.catalogue.rdf_files import format_of
    from engine.graph.canonical import canonical_nquads

    if str(file) == "-":
        if format is None:
            raise click.UsageError("standard input has no extension: give --format")
        body = sys.stdin.buffer.read()
    else:
        format, body = format_of(file, format), file.read_bytes()
    with working("canonicalizing"):
        found = canonical_nquads(body, format, place=str(file), base=base, algorithm=algorithm, seconds=seconds)
    if output:
        output.write_bytes(found)
    told = {"file": str(file), "quads": found.count(b"\n"), "nquads": None if output else found.decode()}

    def text() -> None:
        if output:
            line(f"{count(told['quads'], 'quad')} written to {output}")  # type: ignore[arg-type]
        else:
            click.echo(found.decode(), nl=False)

    context.emit(told, text)
