"""Commands that discover: search, recommend."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, line, narrow, progress, short, table
from engine.commands.planning import show_conflict, show_verdict, the_application
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPPR

UNIT = "dapp:ServiceUnit"
TAGS_SHOWN = 3  # of a component, in a table


@command()
@click.argument("text", nargs=-1, required=True)
@click.option("-n", "--limit", type=click.IntRange(1, 500), default=10, show_default=True, help="How many to show.")
@click.option("--section", help="Only components of this section of the repository, e.g. video.")
@click.option(
    "--tag", "tags", multiple=True, metavar="FACET::TAG", help="Only components with this tag; may be repeated."
)
@click.option("--refresh", is_flag=True, help="Take the package list anew instead of the stored index.")
def search(context: Context, text: tuple[str, ...], **options: Any) -> None:
    """Find components and functions by what TEXT means, nearest first. Exit code 1 when there is nothing to search in."""
    with context.open() as kb:
        result = _call(context, kb, "search", text=" ".join(text), **options)
    context.emit(result, lambda: show_search(result))
    if not result["hits"]:
        raise click.exceptions.Exit(1)


def _call(context: Context, kb: KnowledgeBase, method: str, **params: Any) -> Any:
    with progress("texts", quiet=context.json) as bar:
        return kb.call(method, lambda frame: bar(frame["done"], frame["total"], frame["note"]), **params)


def show_search(result: dict[str, Any]) -> None:
    """Hits for people."""
    if result["hits"]:
        table(
            "", ["similarity", "name", "what it is", *([] if narrow() else ["tags"])],
            [
                (f"{h['similarity']:.3f}", h["name"], h["description"], *([] if narrow() else [tags(h)]))
                for h in result["hits"]
            ],
            right=["similarity"],
        )  # fmt: skip
    show_sources(result)


def tags(hit: dict[str, Any]) -> str:
    """The tags that say most about a hit: what it works with, is used for, and speaks."""
    if hit["kind"] == "function":
        return "function of the graph"
    facets = ("use", "works-with", "protocol", "network", "interface", "role")
    found = [t for f in facets for t in hit["tags"] if t.startswith(f"{f}::") and not t.endswith("::TODO")]
    return ", ".join([hit["section"], *found[:TAGS_SHOWN]])


def show_sources(result: dict[str, Any]) -> None:
    """What was searched in, and what could not be."""
    index = result["index"]
    if index:
        line(
            f"{index['count']:,} components of {index['source']}, taken {index['retrievedAt']}, {index['digest'][:23]}…"
        )
    if result["functions"]:
        line(f"{result['functions']} functions of this knowledge base")
    if result["notAvailable"]:
        line(result["notAvailable"], "yellow")


@command()
@click.argument("need", nargs=-1)
@click.option("--unit", help="For this unit: by NEED when given, else by what its description says.")
@click.option(
    "--application", help="Of this application; without NEED and --unit, for all its units.  [default: the only one]"
)
@click.option(
    "-n", "--shown", type=click.IntRange(1, 50), default=3, show_default=True, help="How many to rank for each need."
)
@click.option(
    "--pool",
    type=click.IntRange(1, 500),
    default=50,
    show_default=True,
    help="How many of the nearest to judge for each.",
)
@click.option("--refresh", is_flag=True, help="Take the package list anew instead of the stored index.")
def recommend(
    context: Context, need: tuple[str, ...], unit: str | None, application: str | None, **options: Any
) -> None:
    """Recommend components and functions for NEED (words), a unit, or all units of an application, and commit the decision.

    What is near in meaning is judged by the rules of purpose recommend; `dappops why` tells the reasons. Exit code 1 when a
    need is left without any.
    """
    with context.open() as kb:
        params: dict[str, Any] = {"author": kb.author, **options}
        if unit:
            params["unit"] = find(kb, unit, UNIT)
        if application or not (unit or need):
            params["application"] = the_application(kb, application)
        if need:
            params["need"] = " ".join(need)
        result = _call(context, kb, "recommend", **params)
    context.emit(result, lambda: show_recommendation(result))
    if not all(n["recommended"] for n in result["needs"]):
        raise click.exceptions.Exit(1)


def show_recommendation(result: dict[str, Any]) -> None:
    """A recommendation for people."""
    for item in result["needs"]:
        need = item["need"]
        words = "" if need["label"] == need["text"] else f": {need['text']}"
        line(f"{need['label']}{words}", style="bold")
        for each in item["recommended"]:
            against = "".join(f"; {d['constraint']['label']} (-{d['penalty']:g})" for d in each["discouraged"])
            weak = " (weak)" if each["weak"] else ""
            line(f"  {each['rank']}  {each['name']:<24} {each['similarity']:.3f}{weak}  {each['description']}{against}")
        if not item["recommended"]:
            line("  nothing that was found may be used", style="red")
        if item["rejections"]:
            line(
                "  rejected: "
                + ", ".join(f"{r['count']} {r['constraint']['label'].lower()}" for r in item["rejections"])
            )
        if item["misses"]:
            miss = item["misses"][0]
            line(f"  nearest miss: {miss['name']}, {miss['similarity']:.3f}, {miss['description']}")
            for verdict in miss["verdicts"]:
                show_verdict(verdict, indent=4)
        for conflict in item["conflicts"]:
            show_conflict(conflict)
    for note in result["notes"]:
        line(f"note: {note}")
    for rule in result["rules"]:
        if not rule["iri"].startswith(DAPPR.iri):
            line(f"decided with a rule of this knowledge base: {rule['label']} ({short(rule['iri'])})")
    show_sources(result)
    line(f"decision {short(result['decision'])}; see `dappops why`")
