"""The main job: what `make run` does. Describe, check, fill the catalogue, place, explain, say where to look next."""

from __future__ import annotations

import time
from pathlib import Path

import click

from engine import resources
from engine.commands.catalogue import run_with_progress, show_report
from engine.commands.history import receipt_line
from engine.commands.output import Context, command, line, short
from engine.commands.planning import show_plan, show_why, the_application
from engine.describe import check_documents, read_files
from engine.errors import NotAvailableError


def heading(number: int, text: str) -> None:
    """Start a step."""
    line()
    line(f"{number}. {text}", style="bold cyan")


@command()
@click.argument("description", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", type=click.Choice(["cloud", "ec2", "azure"]), default="cloud", show_default=True, help="Catalogue.")
@click.option("--region", "regions", multiple=True, help="Only these regions.")
def run(context: Context, description: Path | None, source: str, regions: tuple[str, ...]) -> None:
    """Describe, check and place an application on a real cloud catalogue, and explain the plan from the graph.

    DESCRIPTION: a DAppOps-ML file; default: the live crowd-storytelling example. Everything is kept in the knowledge
    base; running it again changes only what is new.
    """
    path = description or resources.data_root() / "examples" / "crowd-storytelling.yaml"
    started = time.monotonic()
    with context.open() as kb:
        info = kb.info()
        heading(1, "Knowledge base")
        line(f"{info['home']}, node {info['node']} (key marked dev), {info['head']} transactions")

        heading(2, f"Describe and check: {path.name}")
        graph = kb.graph_iri("app")
        documents = read_files([path], graph=graph)
        for place, result in check_documents(documents):
            line(f"{place}: {result.message}", style="yellow")
        held = {q.triple for q in kb.quads(graph=graph)}
        subjects = {t.subject for t in documents[0].triples}
        stale = [t for t in held if t.subject in subjects and t not in set(documents[0].triples)]
        receipt = kb.commit(graph, documents[0].triples, stale, message=f"describe {path.name}").as_json()
        line(f"{len(documents[0].triples)} statements conform; {receipt_line(receipt)}")

        heading(3, "Catalogue: what the clouds offer")
        try:
            report = run_with_progress(
                kb, f"import {source}", context.json, "import_cloud", source=source, regions=list(regions) or None, author=kb.author
            )
            show_report(report)
        except NotAvailableError as error:
            line(f"left out: {error}", style="yellow")

        heading(4, "Plan: one offer for every unit")
        application = documents[0].application.value if documents[0].application else the_application(kb, None)
        result = kb.call("plan", application=application, author=kb.author)
        show_plan(result)

        heading(5, "Why: from the graph alone")
        show_why(kb.call("why", decision=result["decision"]))
        findings = kb.call("findings")

        heading(6, "Where to look next")
        line(f"everything took {time.monotonic() - started:.0f} s; {kb.info()['head']} transactions; {len(findings)} open findings")
        if result["placements"]:
            first = result["placements"][0]
            other = next((u for u in kb.call("why", decision=result["decision"])["units"] if u["misses"]), None)
            offer = other["misses"][0]["offer"].split("/offer/")[-1].split("/", 1)[-1] if other else first["offer"]
            unit = other["unit"]["iri"].rsplit("/", 1)[-1] if other else first["unit"]["iri"].rsplit("/", 1)[-1]
            line(f"  dappops why-not {offer} --unit {unit}")
        line("  dappops query 'SELECT ?offer ?amount { ?offer dapp:hasPrice/dapp:amount ?amount } ORDER BY DESC(?amount) LIMIT 5'")
        line("  dappops log; dappops verify; dappops findings; dappops rules")
        line(f"  dappops show {short(application)[-40:].rsplit('/', 1)[-1]}")
    if not result["placements"]:
        raise click.exceptions.Exit(1)
