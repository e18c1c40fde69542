"""Commands that decide and explain: plan, why, why-not."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.explaining import explain_triple
from engine.commands.graph import find
from engine.commands.output import Context, command, line, short, table, working
from engine.errors import InputError, did_you_mean
from engine.graph.written import split
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPPR

APPLICATION = "dapp:QualityCriticalApplication"


def the_application(kb: KnowledgeBase, name: str | None) -> str:
    """The application a person means; the only one when none is named."""
    if name:
        return find(kb, name, APPLICATION)
    iris: list[str] = kb.call("applications")
    if len(iris) == 1:
        return iris[0]
    if not iris:
        raise InputError(
            "no application is described yet",
            remedy="commit one: dappops commit examples/crowd-storytelling.yaml --graph app",
        )
    raise InputError(
        "several applications are described", remedy="name one: " + ", ".join(i.rsplit("/", 1)[-1] for i in iris)
    )


def weights_of(texts: tuple[str, ...]) -> dict[str, float]:
    """`cost=0.6` … as a mapping."""
    weights = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            weights[name] = float(value)
        except ValueError as error:
            raise click.UsageError(f"{text!r} is no weight: write metric=number, e.g. cost=0.6") from error
    return weights


@command()
@click.argument("application", required=False)
@click.option(
    "-w",
    "--weight",
    "weights",
    multiple=True,
    metavar="METRIC=W",
    help="Instead of the application's objectives: cost, energy, carbon.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds for the solver; then the best found, with its gap.",
)
@click.option("--seed", default=0, show_default=True, help="Of the solver; the same seed gives the same plan.")
@click.option(
    "--misses", type=click.IntRange(0, 1000), default=3, show_default=True, help="Nearest misses to keep per unit."
)
@click.option("--dry-run", is_flag=True, help="Show the plan; commit nothing.")
def plan(context: Context, application: str | None, weights: tuple[str, ...], **options: Any) -> None:
    """Place APPLICATION's units on offers and commit the decision with its reasons. Exit code 1 when nothing fits."""
    with context.open() as kb:
        iri = the_application(kb, application)
        with working("planning"):
            result = kb.call("plan", application=iri, weights=weights_of(weights), author=kb.author, **options)
    context.emit(result, lambda: show_plan(result))
    if not result["placements"]:
        raise click.exceptions.Exit(1)


def show_plan(result: dict[str, Any]) -> None:
    """A plan for people."""
    proven = {
        "optimal": "proven optimal",
        "feasible": f"best found, at most {100 * (result['gap'] or 0):.2f} % from the optimum",
    }
    status = proven.get(result["status"], result["status"])
    line(f"{result['application']['label']}: {status} ({result['solver']}, {result['seconds']:.1f} s)", style="bold")
    if result["placements"]:
        table(
            "", ["unit", "offer", "region", "provider", "per hour", "rank"],
            [
                (p["unit"]["label"], p["type"], p["region"], p["provider"], price(p), p["rank"])
                for p in result["placements"]
            ],
            right=["per hour", "rank"],
        )  # fmt: skip
        table(
            "", ["objective", "value", "weight", "share of score"],
            [(s["metric"]["label"], f"{s['value']:.4g}", f"{s['weight']:g}", f"{s['contribution']:.4g}") for s in result["parts"]],
            right=["value", "weight", "share of score"],
        )  # fmt: skip
    show_hosts(result)
    for deadline in result["deadlines"]:
        took = "not known" if deadline["time"] is None else f"{deadline['time']:.1f} ms"
        path = " > ".join(u["label"] for u in deadline["path"])
        line(
            f"deadline {deadline['deadline']['label']}: {took} of {deadline['bound']:g} ms"
            + (f" ({path})" if path else "")
        )
    for conflict in result["conflicts"]:
        show_conflict(conflict)
    for note in result["notes"]:
        line(f"note: {note}")
    for item in result["unchecked"]:
        line(f"not checked: {item['requirement']['label']}: {item['reason']}")
    local = [r for r in result["rules"] if not r["iri"].startswith(DAPPR.iri)]
    for rule in local:
        line(f"decided with a rule of this knowledge base: {rule['label']} ({short(rule['iri'])})")
    if result["decision"]:
        line(f"decision {short(result['decision'])}; see `dappops why`")


def show_hosts(result: dict[str, Any]) -> None:
    """What the plan takes of the hosts its offers lead to, and how long images take to get there; nothing without any."""
    times = {p["unit"]["iri"]: p["seconds"] for p in result["provisioning"]}
    rows = []
    for host in result["hosts"]:
        uses = {u["what"]: u for u in host["uses"]}
        known = [times.get(u["iri"]) for u in host["units"]]
        slowest = max((t for t in known if t is not None), default=None)
        rows.append(
            (
                host["host"]["label"], ", ".join(u["label"] for u in host["units"]), *(
                    used(uses[w]) if w in uses else "" for w in ("slots", "power")
                ),
                "not known" if None in known and times else "" if slowest is None else f"{slowest:.1f} s",
            )
        )  # fmt: skip
    if rows:
        table(
            "",
            ["host", "units", "slots", "power, W", "provisioned in"],
            rows,
            right=["slots", "power, W", "provisioned in"],
        )
    told = [float(t) for t in times.values() if t is not None]
    if told:
        unknown = f", {len(times) - len(told)} not known" if len(told) < len(times) else ""
        line(f"provisioning: every unit's image fetched and started within {max(told):.1f} s{unknown}")


def used(use: dict[str, Any]) -> str:
    """An amount of a host with its bound."""
    return f"{use['used']:g}" + (f" of {use['bound']:g}" if use["bound"] is not None else "")


def price(placement: dict[str, Any]) -> str:
    """Price per hour with its currency."""
    return "" if placement["price"] is None else f"{placement['price']:g} {placement['currency']}"


def show_conflict(conflict: dict[str, Any]) -> None:
    """Constraints that cannot all be met."""
    where = conflict["unit"]["label"] if conflict["unit"] else "between units"
    line(f"conflict ({where}): " + " with ".join(m["label"] for m in conflict["members"]), style="red")
    for text in conflict["relaxations"]:
        line(f"  possible when: {text}")


@command()
@click.argument("what", nargs=-1, metavar="[DECISION | SUBJECT PREDICATE OBJECT]")
@click.option("--unit", help="Of a decision: only this unit.")
@click.option(
    "--regime",
    type=click.Choice(["hierarchy", "full"]),
    default="hierarchy",
    show_default=True,
    help="Of a triple: derived by hierarchy and rules, or by OWL 2 RL, too.",
)
@click.option("--all", "every", is_flag=True, help="Of a triple: other derivations, too (20 at most).")
@click.option("--depth", type=click.IntRange(1, 80), default=40, show_default=True, help="Of a triple: steps followed.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "turtle"]),
    default="text",
    help="Of a triple: as a tree, or RDF (PROV-O).",
)
def why(
    context: Context, what: tuple[str, ...], unit: str | None, regime: str, every: bool, depth: int, format_: str
) -> None:
    """Explain a decision, or why a triple holds.

    Without a triple: DECISION (default: the newest), the choice per unit, how many each constraint rejected, the nearest
    misses. With SUBJECT PREDICATE OBJECT (also as one argument): which rule concluded it from what, down to asserted triples
    with their commits; exit code 1 when it does not hold, with what comes near.
    """
    terms = split(what[0]) if len(what) == 1 and " " in what[0].strip() else list(what)
    if len(terms) == 3:
        explain_triple(context, terms, regime, every=every, depth=depth, format_=format_)
        return
    if len(what) > 1:
        raise click.UsageError("give a decision, or the three terms of a triple: SUBJECT PREDICATE OBJECT")
    decision = what[0] if what else None
    with context.open() as kb:
        result = kb.call("why", decision=find(kb, decision, "dapp:Decision") if decision else None, author=kb.author)
    if unit:
        result["units"] = [named_unit(result["units"], unit)]
    context.emit(result, lambda: show_why(result))


def named_unit(units: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The unit of a decision that has this label, IRI or local name; InputError names those there are."""
    for item in units:
        iri = item["unit"]["iri"]
        if name in (item["unit"]["label"], iri, iri.rsplit("/", 1)[-1]):
            return item
    names = [u["unit"]["iri"].rsplit("/", 1)[-1] for u in units]
    raise InputError(
        f"the decision has no unit {name!r}{did_you_mean(name, names)}", remedy=f"one of {', '.join(names)}"
    )


def show_why(result: dict[str, Any]) -> None:
    """An explanation for people."""
    line(f"{result['application']['label']}: decided {result['time']} by {short(result['decidedBy'])}", style="bold")
    line(
        f"{result['solver']}, seed {result['seed']}, gap {result['gap'] if result['gap'] is not None else 'not known'}"
    )
    line(
        "state used: "
        + ", ".join(f"{short(s['graph'])} #{s['sequence']} {s['head'][:10]}" for s in result["usedState"])
    )
    for item in result["units"]:
        line()
        chosen = item["chosen"]
        missing = "nothing fits" if item["conflicts"] else "not placed: no plan for the whole application"
        line(f"{item['unit']['label']}  →  {offer_line(chosen) if chosen else missing}", style="bold")
        if chosen and chosen["scores"]:
            parts = ", ".join(f"{s['metric']['label']} {s['value']:.4g}" for s in chosen["scores"])
            line(f"  score {chosen['score']:.4g}, rank {chosen['rank']} of the eligible: {parts}")
        for rejection in item["rejections"]:
            rules = ", ".join(r["label"] for r in rejection["rules"])
            line(f"  {rejection['count']:>7,} rejected by {rejection['constraint']['label']}  [{rules}]")
        for miss in item["misses"]:
            if miss["eligible"]:
                line(f"  rank {miss['rank']}: {offer_line(miss)}, score {miss['score']:.4g}")
                continue
            line(f"  near miss: {offer_line(miss)}")
            for verdict in miss["verdicts"]:
                show_verdict(verdict, indent=4)
        for conflict in item["conflicts"]:
            show_conflict(conflict)
    for conflict in result["betweenUnits"]:
        show_conflict(conflict)


def offer_line(candidate: dict[str, Any]) -> str:
    """An offer, or another thing that was chosen among, on one line."""
    if not candidate["type"]:
        return str(candidate["thing"]["label"])
    price = f", {candidate['price']:g} {candidate['currency']}/h" if candidate.get("price") is not None else ""
    return f"{candidate['type']} in {candidate['region']} of {candidate['provider']}{price}"


def show_verdict(verdict: dict[str, Any], indent: int = 2) -> None:
    """What one constraint said."""
    found = ", ".join(verdict["found"]) or ("not known" if not verdict["known"] else "")
    wanted = ", ".join(verdict["wanted"])
    told = "; ".join(x for x in (f"wanted {wanted}" if wanted else "", f"found {found}" if found else "") if x)
    margin = f", margin {verdict['margin']:.4g}" if verdict["margin"] is not None else ""
    rule = f" [{verdict['rule']['label']}]" if verdict["rule"] and verdict["rule"] != verdict["constraint"] else ""
    line(
        f"{' ' * indent}{'meets' if verdict['satisfied'] else 'violates'} {verdict['constraint']['label']}{rule}: {told}{margin}"
    )


@command("why-not")
@click.argument("offer")
@click.option("--unit", help="For this unit.  [default: every unit]")
@click.option("--decision", help="Of this decision.  [default: the newest]")
def why_not(context: Context, offer: str, unit: str | None, decision: str | None) -> None:
    """Explain why OFFER (IRI, or e.g. `m5.large/eu-west-1`) was not chosen, recomputed over the state the decision used."""
    with context.open() as kb:
        reasons = kb.call("why", decision=find(kb, decision, "dapp:Decision") if decision else None, author=kb.author)
        found = find(kb, offer, "dapp:ServiceOffer")
        chosen = [named_unit(reasons["units"], unit)] if unit else reasons["units"]
        units = [u["unit"]["iri"] for u in chosen]
        answers = [kb.call("why_not", offer=found, unit=u, decision=reasons["decision"]) for u in units]

    def text() -> None:
        for answer in answers:
            show_why_not(answer)

    context.emit(answers if len(answers) != 1 else answers[0], text)


def show_why_not(answer: dict[str, Any]) -> None:
    """Why an offer was not chosen for a unit."""
    name = answer["offer"].split("/offer/")[-1]
    line(f"{answer['unit']['label']}: {name}", style="bold")
    if answer["isChosen"]:
        line("  it was chosen")
    for verdict in answer["verdicts"]:
        show_verdict(verdict)
    if answer["forced"] is not None:
        if answer["difference"] is not None:
            chosen = answer["chosen"].split("/offer/")[-1]
            line(
                f"  it meets every constraint; the best plan with it scores {answer['difference']:.4g} worse (chosen: {chosen})"
            )
        else:
            line("  it meets its own constraints, but no plan can hold it:")
            for conflict in answer["forced"]["conflicts"]:
                show_conflict(conflict)
            for note in answer["forced"]["notes"]:
                line(f"  {note}")
    if answer["asOf"] is not None:
        line(f"  (state as of transaction {answer['asOf']})")
