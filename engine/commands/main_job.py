"""The planning job: describe, check, fill the catalogue, place, explain, say where to look next. The story is `demo`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from engine import resources
from engine.commands.catalogue import run_with_progress, show_report
from engine.commands.graph import locate
from engine.commands.history import receipt_line
from engine.commands.output import Context, command, count, line, print_json
from engine.commands.planning import show_plan, show_why, the_application
from engine.describe import check_documents, read_files
from engine.errors import InputError, NotAvailableError
from engine.kb import KnowledgeBase


class Teller:
    """Says each step to people, or keeps quiet for `--json`, where the whole is one document at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self._number = quiet, 0

    def heading(self, text: str) -> None:
        """Start a step."""
        self._number += 1
        if not self.quiet:
            line()
            line(f"{self._number}. {text}", style="bold cyan")

    def __call__(self, text: str, style: str | None = None) -> None:
        if not self.quiet:
            line(text, style=style)

    def show(self, function: Callable[[dict[str, Any]], None], data: dict[str, Any]) -> None:
        """Print data by a function that does so for people."""
        if not self.quiet:
            function(data)


@command()
@click.argument("description", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--source", type=click.Choice(["cloud", "ec2", "azure"]), default="cloud", show_default=True, help="Catalogue."
)
@click.option("--region", "regions", multiple=True, help="Only these regions.")
def run(context: Context, description: Path | None, source: str, regions: tuple[str, ...]) -> None:
    """Describe, check and place an application on a real cloud catalogue, and explain the plan from the graph.

    DESCRIPTION: a DAppOps-ML file; default: the live crowd-storytelling example. Everything is kept in the knowledge
    base; running it again changes only what is new.
    """
    path = description or resources.data_root() / "examples" / "crowd-storytelling.yaml"
    started = time.monotonic()
    say = Teller(quiet=context.json)
    with context.open(makes=True) as kb:
        info = kb.info()
        say.heading("Knowledge base")
        say(f"{info['home']}, node {info['node']} (key marked dev), {count(info['head'], 'transaction')}")

        say.heading(f"Describe and check: {path.name}")
        described, application = describe(kb, path, say)

        say.heading("Catalogue: what the clouds offer")
        report: dict[str, Any] | None = None
        try:
            params = {"source": source, "regions": list(regions) or None, "author": kb.author}
            report = run_with_progress(kb, f"import {source}", "import_cloud", quiet=context.json, params=params)
            say.show(show_report, report)
        except NotAvailableError as error:
            say(f"left out: {error}", style="yellow")

        say.heading("Plan: one offer for every unit")
        result = kb.call("plan", application=application, author=kb.author)
        say.show(show_plan, result)

        say.heading("Why: from the graph alone")
        reasons = kb.call("why", decision=result["decision"])
        say.show(show_why, reasons)

        say.heading("Where to look next")
        found = len(kb.call("findings"))
        seconds = time.monotonic() - started
        head = kb.info()["head"]
        say(f"everything took {seconds:.0f} s; {count(head, 'transaction')}; {count(found, 'open finding')}")
        for hint in hints(result, reasons, application):
            say(f"  {hint}")
    if context.json:
        print_json(
            {
                "knowledgeBase": {k: v for k, v in info.items() if k != "graphs"}, "description": {"file": str(path), **described},
                "catalogue": report, "plan": result, "why": reasons, "findings": found, "transactions": head, "seconds": seconds,
            }
        )  # fmt: skip
    if not result["placements"]:
        raise click.exceptions.Exit(1)


def describe(kb: KnowledgeBase, path: Path, say: Teller) -> tuple[dict[str, Any], str]:
    """Commit a description to the graph `app`; returns what was done, and the application."""
    graph = kb.graph_iri("app")
    document = read_files([path], graph=graph)[0]
    for place, result in check_documents([document]):
        say(f"{place}: {result.message}", style="yellow")
    stale = document.stale(q.triple for q in kb.quads(graph=graph))
    try:
        receipt = kb.commit(graph, document.triples, stale, message=f"describe {path.name}").as_json()
    except InputError as error:
        locate(error, [document])
        raise
    say(f"{len(document.triples)} statements conform; {receipt_line(receipt)}")
    application = document.application.value if document.application else the_application(kb, None)
    return {"statements": len(document.triples), "receipt": receipt}, application


def hints(result: dict[str, Any], reasons: dict[str, Any], application: str) -> Iterator[str]:
    """Commands worth trying next."""
    other = next((u for u in reasons["units"] if u["misses"]), None)
    if other:
        offer = other["misses"][0]["offer"].split("/offer/")[-1].split("/", 1)[-1]
        yield f"dappops why-not {offer} --unit {other['unit']['iri'].rsplit('/', 1)[-1]}"
    elif result["placements"]:
        yield f"dappops show {result['placements'][0]['offer']}"
    yield "dappops query 'SELECT ?offer ?amount { ?offer dapp:hasPrice/dapp:amount ?amount } ORDER BY DESC(?amount) LIMIT 5'"
    yield "dappops rules --example > my-rule.rq; dappops commit my-rule.rq; dappops plan"
    yield "dappops log; dappops verify; dappops findings; dappops rules"
    yield f"dappops show {application.rsplit('/', 1)[-1]}"
