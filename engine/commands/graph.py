"""Commands on the graph: init, commit, query, update, show, rules, findings, export, keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import pyoxigraph as ox

from engine.commands.history import receipt_line
from engine.commands.output import Context, command, line, lines, short, table
from engine.errors import InputError, did_you_mean
from engine.kb import KnowledgeBase
from reasoners.vocab import PREFIXES


def expand(text: str) -> str:
    """An IRI from `<iri>`, `prefix:name` or an IRI."""
    text = text.strip("<>")
    prefix, colon, name = text.partition(":")
    return PREFIXES[prefix] + name if colon and prefix in PREFIXES and not name.startswith("//") else text


def find(kb: KnowledgeBase, text: str, kind: str = "") -> str:
    """The IRI a person means: an IRI, a prefixed name, or the local part or label of a node (InputError otherwise)."""
    iri = expand(text)
    if ":" in iri:
        return iri
    answer = kb.call("named", name=text, kind=expand(kind) if kind else None)
    if len(answer["iris"]) == 1:
        return str(answer["iris"][0])
    if answer["iris"]:
        raise InputError(
            f"{text!r} names {len(answer['iris'])} things", remedy="use one of: " + ", ".join(answer["iris"][:5])
        )
    raise InputError(f"nothing is called {text!r}{did_you_mean(text, answer['known'], n=3)}", remedy="give its IRI, or see `dappops query`")


@command()
@click.option("--passphrase", envvar="DAPPOPS_PASSPHRASE", help="Encrypt the key (default: a key marked dev, in clear, mode 0600).")
def init(context: Context, passphrase: str | None) -> None:
    """Make a knowledge base: a key, the log, the shipped policy. Says where everything is; harmless to repeat."""
    if passphrase:
        import os

        import engine

        home = Path(context.home or os.environ.get("DAPPOPS_HOME", ".dappops")).absolute()
        from engine.graph.keys import KeyRing

        ring = KeyRing(home / "keys")
        if not ring.addresses():
            ring.create(passphrase=passphrase)
        os.environ["DAPPOPS_PASSPHRASE"] = passphrase
        _ = engine
    with context.open() as kb:
        info = kb.info()

    def text() -> None:
        line(f"knowledge base   {info['home']}")
        line(f"node             {info['node']}")
        line(f"transactions     {info['head']}")
        for graph in info["graphs"]:
            line(f"graph            {graph['iri']}  ({graph['kind']}, {graph['sequence']} commits)")

    context.emit(info, text)


@command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--graph", default=None, help="Graph: a short name of yours or an IRI.  [default: main; policy for .rq]")
@click.option("-m", "--message", default="", help="Why.")
@click.option("--remove", is_flag=True, help="Remove the statements instead of adding them.")
@click.option("--replace", is_flag=True, help="Make the graph exactly these files.")
@click.option("--expires", type=click.DateTime(), help="The statements hold until then (UTC).")
def commit(
    context: Context, files: tuple[Path, ...], graph: str | None, message: str, remove: bool, replace: bool, expires: Any
) -> None:
    """Commit FILES: DAppOps-ML (.yaml), RDF (.ttl .nt .nq .trig .jsonld .rdf), rules (.rq, into your policy graph)."""
    from engine.describe import read_files

    with context.open() as kb:
        name = graph or ("policy" if all(f.suffix == ".rq" for f in files) else "main")
        iri = kb.graph_iri(name)
        documents = read_files(files, graph=iri)
        triples = [t for d in documents for t in d.triples]
        removed: list[ox.Triple] = triples if remove else []
        added: list[ox.Triple] = [] if remove else triples
        if replace:
            removed = [q.triple for q in kb.quads(graph=iri)]
        until = int(expires.timestamp()) if expires else 0
        try:
            receipt = kb.commit(iri, added, removed, message=message or ", ".join(f.name for f in files), expires=until).as_json()
        except InputError as error:
            locate(error, documents)
            raise
    context.emit(receipt, lambda: line(receipt_line(receipt)))


def locate(error: InputError, documents: Any) -> None:
    """Put file, line and column into the messages of a refusal, where a document knows them."""
    for index, result in enumerate(getattr(error, "results", [])):
        for document in documents:
            position = document.position(result.focus, result.path)
            if position:
                from dataclasses import replace

                error.results[index] = replace(result, message=f"{position}: {result.message}")  # type: ignore[attr-defined]
                break


def query_text(source: str) -> str:
    """SPARQL given as text, as a file name, or `-` for standard input."""
    if source == "-":
        return sys.stdin.read()
    path = Path(source)
    if len(source) < 4096 and "{" not in source and path.suffix in {".rq", ".ru", ".sparql"}:
        if not path.is_file():
            raise InputError("no such query file", place=source)
        return path.read_text(encoding="utf-8")
    return source


@command()
@click.argument("source")
@click.option("--as-of", type=int, metavar="N", help="State after transaction N (asserted data, derived with its policy).")
@click.option("--limit", type=int, help="Rows at most.  [default: 1000000]")
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds; then the query is ended.")
@click.option("-f", "--format", "format_", type=click.Choice(["table", "csv", "json", "turtle"]), default="table", show_default=True)
def query(context: Context, source: str, as_of: int | None, limit: int | None, timeout: float, format_: str) -> None:
    """Answer a SPARQL query. SOURCE: the text, a .rq file, or -. Prefixes dapp: dappi: sh: prov: … are predeclared."""
    from engine.commands.watchdog import deadline

    with context.open() as kb, deadline(timeout):
        answer = kb.call("query", text=query_text(source), as_of=as_of, limit=limit)
    if context.json or format_ == "json":
        import json

        click.echo(json.dumps(answer, ensure_ascii=False, indent=1))
    elif "boolean" in answer:
        line("yes" if answer["boolean"] else "no")
    elif "triples" in answer:
        click.echo(answer["triples"], nl=False)
    elif format_ == "csv":
        import csv

        writer = csv.writer(sys.stdout)
        writer.writerow(answer["variables"])
        writer.writerows([_plain(cell) for cell in row] for row in answer["rows"])
    else:
        table("", answer["variables"], [[_cell(cell) for cell in row] for row in answer["rows"]])
        line(f"{len(answer['rows'])} rows" + (" (cut off: raise --limit)" if answer["truncated"] else ""))


def _cell(text: str | None) -> str:
    from engine.graph.service import decode_term

    return "" if text is None else short(decode_term(text))


def _plain(text: str | None) -> str:
    from engine.graph.service import decode_term

    term = None if text is None else decode_term(text)
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else term.value


@command()
@click.argument("source")
@click.option("--graph", default="main", show_default=True, help="Where triples without GRAPH go.")
@click.option("-m", "--message", default="", help="Why.")
def update(context: Context, source: str, graph: str, message: str) -> None:
    """Evaluate a SPARQL Update (text, .ru file or -) to the quads it removes and adds, and commit those."""
    with context.open() as kb:
        receipt = kb.update(query_text(source), graph=graph, message=message).as_json()
    context.emit(receipt, lambda: line(receipt_line(receipt)))


@command()
@click.argument("node")
def show(context: Context, node: str) -> None:
    """What is stated and derived about NODE (IRI, prefix:name, or local name), and what refers to it."""
    with context.open() as kb:
        iri = find(kb, node)
        subject = ox.NamedNode(iri)
        out = [(q.predicate, q.object) for q in kb.quads(subject=subject)]
        back = [(q.predicate, q.subject) for q in kb.quads(obj=subject)[:200]]
    data = {"node": iri, "states": [[str(p), str(o)] for p, o in out], "referredBy": [[str(p), str(s)] for p, s in back]}

    def text() -> None:
        line(iri, style="bold")
        if not out and not back:
            line("nothing is stated about it")
        table("", ["property", "value"], sorted((short(p), short(o)) for p, o in out))
        if back:
            table("referred to by", ["property", "subject"], sorted((short(p), short(s)) for p, s in back))

    context.emit(data, text)


@command()
def rules(context: Context) -> None:
    """The rules in force: purpose, heads, how they are evaluated, how many triples they derived."""
    with context.open() as kb:
        rows = kb.call("rules")

    def text() -> None:
        table(
            "", ["rule", "purpose", "heads", "evaluated", "derived", "from"],
            [(short(r["iri"]), r["purpose"], " ".join(short(h) for h in r["heads"]), r["mode"], r["derived"], r["origin"]) for r in rows],
            right=["derived"],
        )  # fmt: skip

    context.emit(rows, text)


@command()
@click.option("--limit", default=50, show_default=True)
def findings(context: Context, limit: int) -> None:
    """What coherence shapes found and is still so. Exit code 1 when there is any."""
    with context.open() as kb:
        rows = kb.call("findings")

    def text() -> None:
        table(
            "", ["about", "shape", "since", "finding"],
            [(short(r["about"]), short(r["shape"]), r["since"], r["message"]) for r in rows[:limit]],
        )  # fmt: skip
        line(f"{len(rows)} findings")

    context.emit(rows, text)
    if rows:
        raise click.exceptions.Exit(1)


@command()
@click.argument("graph", required=False)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File; its ending picks the format.")
@click.option("-f", "--format", "format_", type=click.Choice(["turtle", "nt", "nq", "trig", "jsonld", "rdf"]), default=None)
def export(context: Context, graph: str | None, output: Path | None, format_: str | None) -> None:
    """Write GRAPH (default: all asserted graphs, as N-Quads) as RDF."""
    from engine.catalogue.rdf_files import FORMATS

    endings = {"turtle": ".ttl", "nt": ".nt", "nq": ".nq", "trig": ".trig", "jsonld": ".jsonld", "rdf": ".rdf"}
    ending = endings[format_] if format_ else output.suffix if output else (".ttl" if graph else ".nq")
    if ending not in FORMATS:
        raise InputError(f"no RDF format for {ending!r}", remedy="use one of " + " ".join(sorted(FORMATS)))
    with context.open() as kb:
        chosen = [kb.graph_iri(graph)] if graph else [g["iri"] for g in kb.info()["graphs"]]
        quads = [q for g in chosen for q in kb.quads(graph=g)]
    syntax = FORMATS[ending]
    items: list[Any] = list(quads) if syntax.supports_datasets else [q.triple for q in quads]
    body = ox.serialize(items, format=syntax, prefixes=PREFIXES) or b""
    if output:
        partial = output.with_suffix(output.suffix + ".part")
        partial.write_bytes(body)
        partial.replace(output)
        line(f"{len(quads)} statements written to {output}")
    else:
        click.echo(body.decode(), nl=False)


@command()
@click.option("--new", is_flag=True, help="Make another key (another participant on this machine).")
@click.option("--passphrase", envvar="DAPPOPS_PASSPHRASE", help="Encrypt the new key.")
def keys(context: Context, new: bool, passphrase: str | None) -> None:
    """List the keys of this knowledge base, or make one. `--author ADDRESS` commits with another than the node's."""
    with context.open() as kb:
        if new and kb.home is not None:
            from engine.graph.keys import KeyRing

            KeyRing(kb.home / "keys").create(passphrase=passphrase)
        info = kb.info()
        data = [{"address": a, "node": a == info["node"]} for a in info["keys"]]
    context.emit(data, lines(*(f"{k['address']}{'  (node)' if k['node'] else ''}" for k in data)))
