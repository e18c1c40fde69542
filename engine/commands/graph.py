"""Commands on the graph: init, commit, query, update, show, rules, findings, export, keys."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyoxigraph as ox

from engine.commands.history import receipt_line
from engine.commands.output import Context, command, count, iri_node, line, lines, narrow, short, show_error, table
from engine.errors import BusyError, InputError, did_you_mean
from engine.kb import KnowledgeBase
from reasoners.vocab import PREFIXES

if TYPE_CHECKING:
    from engine.describe import Described
    from reasoners.validate import Result


def expand(text: str) -> str:
    """An IRI from `<iri>`, `prefix:name` or an IRI."""
    text = text.strip("<>")
    prefix, colon, name = text.partition(":")
    return PREFIXES[prefix] + name if colon and prefix in PREFIXES and not name.startswith("//") else text


def find(kb: KnowledgeBase, text: str, kind: str = "") -> str:
    """The IRI a person means: an IRI, a prefixed name, or the local part or label of a node (InputError otherwise)."""
    iri = expand(text)
    if "://" in iri or iri.startswith(("urn:", "mailto:", "did:")):
        return iri_node(iri).value
    answer = kb.call("named", name=text, kind=expand(kind) if kind else None)
    if len(answer["iris"]) == 1:
        return str(answer["iris"][0])
    if answer["iris"]:
        raise InputError(
            f"{text!r} names {len(answer['iris'])} things", remedy="use one of: " + ", ".join(answer["iris"][:5])
        )
    prefix, colon, _ = text.partition(":")
    if colon and " " not in prefix:
        raise InputError(
            f"the prefix {prefix!r} is not known{did_you_mean(prefix, PREFIXES)}", rule="known: " + " ".join(sorted(PREFIXES)),
            remedy="write the whole IRI",
        )  # fmt: skip
    raise InputError(
        f"nothing is called {text!r}{did_you_mean(text, answer['known'], n=3)}",
        remedy="give its IRI, or see `dappops query`",
    )


@command()
@click.option(
    "--passphrase",
    envvar="DAPPOPS_PASSPHRASE",
    help="Encrypt the key (default: a key marked dev, in clear, mode 0600).",
)
def init(context: Context, passphrase: str | None) -> None:
    """Make a knowledge base: a key, the log, the shipped policy. Says where everything is; harmless to repeat."""
    if passphrase:
        from engine.graph.keys import KeyRing

        ring = KeyRing(context.folder / "keys")
        if not ring.addresses():
            ring.create(passphrase=passphrase)
        os.environ["DAPPOPS_PASSPHRASE"] = passphrase
    with context.open(makes=True) as kb:
        info = kb.info()

    def text() -> None:
        line(f"knowledge base   {info['home']}")
        line(f"node             {info['node']}")
        line(f"transactions     {info['head']}")
        for graph in info["graphs"]:
            line(f"graph            {graph['iri']}  ({graph['kind']}, {count(graph['sequence'], 'commit')})")

    context.emit(info, text)


@dataclass(frozen=True, slots=True)
class Wish:
    """How `commit` shall treat what the files say."""

    graph: str | None
    message: str
    remove: bool
    replace: bool
    expires: datetime | None


@command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--graph",
    default=None,
    help="Graph: a short name of yours or an IRI.  [default: main; policy for rules and shapes]",
)
@click.option("-m", "--message", default="", help="Why.")
@click.option("--remove", is_flag=True, help="Remove the statements instead of adding them.")
@click.option("--replace", is_flag=True, help="Make the graph exactly these files.")
@click.option("--expires", type=click.DateTime(), help="The statements hold until then (UTC).")
def commit(context: Context, files: tuple[Path, ...], **options: Any) -> None:
    """Commit FILES as one transaction: DAppOps-ML (.yaml), RDF (.ttl .nt .nq .trig .jsonld .rdf), rules (.rq).

    A DAppOps-ML or rule file replaces what the graph said about the things it describes; RDF only adds. Files that
    bring rules or shapes go to your policy graph, where they count. All mistakes are told at once and nothing is written
    (exit code 1).
    """
    wish = Wish(**options)
    if wish.remove and wish.replace:
        raise click.UsageError("--remove and --replace exclude each other")
    if wish.expires and wish.expires.replace(tzinfo=UTC) <= datetime.now(UTC):
        raise click.UsageError(f"--expires {wish.expires.isoformat()} is past")
    from engine.describe import check_rules, is_policy, read_files

    with context.open(makes=True) as kb:
        policy = kb.graph_iri("policy")
        documents = read_files(
            files,
            graph=lambda f: kb.graph_iri(wish.graph or ("policy" if is_policy(f) else "main")),
            known=lambda graph: () if wish.replace else local_ids(kb, graph),
        )
        if not wish.remove:
            for document in documents:
                if document.graph == policy:
                    check_rules(document)
        changes: dict[str, tuple[list[ox.Triple], list[ox.Triple]]] = {}
        for document in documents:
            removed, added = changes.setdefault(document.graph, ([], []))
            held = (
                [q.triple for q in kb.quads(graph=document.graph)]
                if wish.remove or wish.replace or document.restates
                else []
            )
            if wish.remove:
                removed += document.triples
                removed += document.about(held)
            else:
                added += document.triples
                removed += held if wish.replace else document.stale(held)
        until = int(wish.expires.replace(tzinfo=UTC).timestamp()) if wish.expires else 0
        try:
            receipt = kb.commit_all(
                changes, message=wish.message or ", ".join(f.name for f in files), expires=until
            ).as_json()
        except InputError as error:
            locate(error, documents)
            raise
    context.emit(receipt, lambda: line(receipt_line(receipt)))


def local_ids(kb: KnowledgeBase, graph: str) -> set[str]:
    """What a graph describes, as a DAppOps-ML file for it may refer to it."""
    subjects = (q.subject for q in kb.quads(graph=graph))
    return {s.value.removeprefix(f"{graph}/") for s in subjects if isinstance(s, ox.NamedNode)}


def locate(error: InputError, documents: Iterable[Described]) -> None:
    """Put file, line and column into the messages of a refusal, where a document knows them."""
    results: list[Result] = getattr(error, "results", [])
    for index, result in enumerate(results):
        position = next((p for d in documents if (p := d.position(result.focus, result.path, result.value))), None)
        if position:
            results[index] = replace(result, messages=(ox.Literal(f"{position}: {result.message}", language="en"),))


QUERY_FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE", "INSERT", "DELETE", "LOAD", "CLEAR", "WITH", "PREFIX", "BASE")


def query_text(source: str) -> str:
    """SPARQL given as text, as a file name, or `-` for standard input."""
    if source == "-":
        return sys.stdin.read()
    if "{" not in source and "\n" not in source and len(source) < 4096:
        path = Path(source)
        if path.is_file():
            try:
                return path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise InputError("not a text file in UTF-8", place=source, remedy="name a .rq or .ru file") from error
        if path.suffix in {".rq", ".ru", ".sparql"} or " " not in source.strip():
            near = (
                did_you_mean(path.name, [p.name for p in path.parent.glob("*.r[qu]")]) if path.parent.is_dir() else ""
            )
            raise InputError(
                f"no such query file{near}",
                place=source,
                remedy="give a .rq file, SPARQL text in quotes, or - for standard input",
            )
    word = re.match(r"\s*([A-Za-z]+)", source)
    if word and word[1].upper() not in {*QUERY_FORMS, "CREATE", "DROP", "COPY", "MOVE", "ADD"}:
        raise InputError(
            f"not SPARQL: it begins with {word[1]!r}{did_you_mean(word[1].upper(), QUERY_FORMS)}", place="line 1, column 1",
            rule="https://www.w3.org/TR/sparql11-query/#sparqlGrammar",
            remedy='write e.g. "SELECT ?app { ?app a dapp:QualityCriticalApplication }"',
        )  # fmt: skip
    return source


@dataclass(frozen=True, slots=True)
class Asked:
    """How `query` shall answer."""

    as_of: int | None
    limit: int | None
    timeout: float
    format_: str
    regime: str
    prove: Path | None = None


@command()
@click.argument("source")
@click.option(
    "--as-of", type=int, metavar="N", help="State after transaction N (asserted data, derived with its policy)."
)
@click.option(
    "--regime",
    type=click.Choice(["hierarchy", "full"]),
    default="hierarchy",
    show_default=True,
    help="What counts as true: asserted, class and property hierarchy and rules; or OWL 2 RL on top (made on first use).",
)
@click.option("--limit", type=click.IntRange(min=1), help="Rows at most.  [default: 1000000]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds; then the query is ended.",
)
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "turtle", "nt"]),
    default="table",
    show_default=True,
)
@click.option(
    "--prove",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the proof of each row to FILE, for `dappops verify` (SELECT and ASK; 10000 rows at most).",
)
def query(context: Context, source: str, **options: Any) -> None:
    """Answer a SPARQL query. SOURCE: the text, a .rq file, or -. Prefixes dapp: dappi: sh: prov: … are predeclared.

    JSON is that of https://www.w3.org/TR/sparql11-results-json/; the triples of CONSTRUCT and DESCRIBE are N-Triples
    unless --format says turtle.
    """
    from engine.commands import answers
    from engine.commands.watchdog import deadline

    asked = Asked(**options)
    text = query_text(source)
    as_json = context.json or asked.format_ == "json"

    def too_long() -> None:
        show_error(
            BusyError(
                f"the query ran for {asked.timeout:g} s",
                rule="--timeout",
                remedy="add a LIMIT or a selective pattern, or raise --timeout",
            ),
            as_json=as_json,
        )

    with context.open() as kb, deadline(asked.timeout, too_long):
        if "service" in text.lower():  # search by meaning inside the query
            from engine.search.service import expand_query

            text = expand_query(kb, text)
        method = "prove_query" if asked.prove else "query"
        answer = kb.call(method, text=text, as_of=asked.as_of, limit=asked.limit, regime=asked.regime)
    if asked.prove:
        answers.write_proof(answer["proof"], asked.prove)
    answers.show(answer, "json" if as_json else asked.format_)
    if asked.prove and not as_json:
        line(answers.proof_line(answer["proof"], asked.prove))


@command()
@click.argument("source")
@click.option("--graph", default="main", show_default=True, help="Where triples without GRAPH go.")
@click.option("-m", "--message", default="", help="Why.")
def update(context: Context, source: str, graph: str, message: str) -> None:
    """Evaluate a SPARQL Update (text, .ru file or -) to the quads it removes and adds, and commit those."""
    with context.open() as kb:
        receipt = kb.update(query_text(source), graph=graph, message=message).as_json()
    context.emit(receipt, lambda: line(receipt_line(receipt)))


SHOWN = 200  # lines of one node, and of what refers to it


@command()
@click.argument("node")
def show(context: Context, node: str) -> None:
    """What is stated and derived about NODE (IRI, prefix:name, or local name), and what refers to it."""
    with context.open() as kb:
        iri = find(kb, node)
        subject = iri_node(iri)
        out = [(q.predicate, q.object) for q in kb.quads(subject=subject)]
        back = [(q.predicate, q.subject) for q in kb.quads(obj=subject)]
    data = {
        "node": iri, "states": sorted([str(p), str(o)] for p, o in out),
        "referredBy": sorted([str(p), str(s)] for p, s in back)[:SHOWN], "referredByCount": len(back),
    }  # fmt: skip

    def text() -> None:
        line(iri, style="bold")
        if not out and not back:
            line("nothing is stated about it")
        if out:
            table("", ["property", "value"], sorted((short(p), short(o)) for p, o in out)[:SHOWN])
        if len(out) > SHOWN:
            line(f"… and {len(out) - SHOWN:,} more (--json shows all)")
        if back:
            table("referred to by", ["property", "subject"], sorted((short(p), short(s)) for p, s in back)[:SHOWN])
        if len(back) > SHOWN:
            line(f"… and {len(back) - SHOWN:,} more (ask with `dappops query`)")

    context.emit(data, text)


@command()
@click.option("--example", is_flag=True, help="Print a rule file to start from.")
@click.option("--resume", metavar="RULE", help="Try a suspended rule again and, if it keeps its budget, use it.")
def rules(context: Context, example: bool, resume: str | None) -> None:
    """The rules in force: purpose, heads, how they are evaluated, how many triples they derived.

    A rule of your policy that costs more than its budget in one commit is suspended: it derives nothing until it is resumed
    or changed.
    """
    if example:
        from engine.describe import example_rule

        body = example_rule()
        context.emit({"example": body}, lambda: click.echo(body, nl=False))
        return
    from engine.commands.resuming import resume_rule, with_suspensions

    with context.open() as kb:
        if resume:
            resume_rule(kb, resume)
        rows = with_suspensions(kb, kb.call("rules"))

    def text() -> None:
        columns = ["rule", "purpose", "from", "derived", "heads", *([] if narrow() else ["evaluated"])]
        cells = [
            (
                short(r["iri"]),
                r["purpose"],
                r["origin"],
                r["derived"],
                " ".join(short(h) for h in r["heads"]),
                "suspended" if r["suspended"] else r["mode"].split(":")[0],
            )
            for r in rows
        ]
        table("", columns, [cell[: len(columns)] for cell in cells], right=["derived"])
        for row in rows:
            if row["suspended"]:
                line(
                    f"suspended: {short(row['iri'])} since {row['suspended']['since']}: {row['suspended']['because']}",
                    style="red",
                )
                line(f"  dappops rules --resume {row['iri']}  tries it again")
        line("`dappops show RULE` prints the text of a rule, `dappops rules --example` a file to start from")

    context.emit(rows, text)


@command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Lines at most.")
def findings(context: Context, limit: int) -> None:
    """What coherence shapes found and is still so. Exit code 1 when there is any."""
    with context.open() as kb:
        rows = kb.call("findings")

    def text() -> None:
        if rows:
            table(
                "", ["about", "shape", "since", "finding"],
                [(short(r["about"]), short(r["shape"]), r["since"], r["message"]) for r in rows[:limit]],
            )  # fmt: skip
        more = f" ({len(rows) - limit} more: raise --limit)" if len(rows) > limit else ""
        line(count(len(rows), "finding") + more)

    context.emit(rows, text)
    if rows:
        raise click.exceptions.Exit(1)


ENDINGS = {"turtle": ".ttl", "nt": ".nt", "nq": ".nq", "trig": ".trig", "jsonld": ".jsonld", "rdf": ".rdf"}


@command()
@click.argument("graph", required=False)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File; its ending picks the format."
)
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(list(ENDINGS)),
    default=None,
    help="[default: turtle for one graph, nq for all]",
)
@click.option("--ontology", is_flag=True, help="Only what an ontology editor shows: no shapes, no rules.")
def export(context: Context, graph: str | None, output: Path | None, format_: str | None, ontology: bool) -> None:
    """Write GRAPH (default: all asserted graphs, as N-Quads) as RDF.

    `dappops import` reads it again; only the key in a graph's IRI can import that graph as it is. What an editor such as
    Protégé saves of `export GRAPH --ontology` comes back by `dappops import ontology`.
    """
    if ontology and not graph:
        raise click.UsageError("--ontology needs a GRAPH, such as policy")
    ending = ENDINGS[format_] if format_ else output.suffix if output else ENDINGS["turtle" if graph else "nq"]
    name = next((n for n, e in ENDINGS.items() if e == ending), None)
    if name is None:
        raise InputError(
            f"no RDF format for {ending!r}",
            place=str(output),
            remedy=f"end the name with one of {' '.join(ENDINGS.values())}, or give --format",
        )
    from engine.commands.answers import serialised

    syntax = ox.RdfFormat.from_extension(ending[1:])
    assert syntax is not None
    with context.open() as kb:
        known = [g["iri"] for g in kb.info()["graphs"]]
        chosen = [known_graph(kb, graph, known)] if graph else known
        quads = [q for g in chosen for q in kb.quads(graph=g)]
    triples = [q.triple for q in quads]
    if ontology:
        from engine.catalogue.ontologies import editable

        triples = editable(triples)
    body = serialised(triples if graph else quads, syntax)
    told = {"graphs": chosen, "statements": len(triples), "format": name, "output": str(output) if output else None}
    if output:
        partial = output.with_suffix(output.suffix + ".part")
        partial.write_text(body, encoding="utf-8")
        partial.replace(output)
        context.emit(told, lambda: line(f"{count(len(triples), 'statement')} written to {output}"))
    else:
        context.emit({**told, "text": body}, lambda: click.echo(body, nl=False))


def known_graph(kb: KnowledgeBase, name: str, known: list[str]) -> str:
    """IRI of a graph that is there; InputError names those that are."""
    iri = kb.graph_iri(name)
    if iri not in known:
        names = [k.rsplit("/", 1)[-1] for k in known]
        raise InputError(
            f"no graph {name!r}{did_you_mean(name, names)}",
            place=iri,
            remedy=f"there are: {', '.join(sorted(set(names)))}",
        )
    return iri


@command()
@click.option("--new", is_flag=True, help="Make another key (another participant on this machine).")
@click.option("--passphrase", envvar="DAPPOPS_PASSPHRASE", help="Encrypt the new key.")
def keys(context: Context, new: bool, passphrase: str | None) -> None:
    """List the keys of this knowledge base, or make one. `--author ADDRESS` commits with another than the node's."""
    with context.open(makes=True) as kb:
        made = None
        if new and kb.home is not None:
            from engine.graph.keys import KeyRing

            made = KeyRing(kb.home / "keys").create(passphrase=passphrase).address
        info = kb.info()
        data = [{"address": a, "node": a == info["node"], "new": a == made} for a in info["keys"]]
    marks = {True: "  (node)", False: ""}
    context.emit(data, lines(*(f"{k['address']}{marks[k['node']]}{'  (new)' if k['new'] else ''}" for k in data)))
