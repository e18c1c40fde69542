"""`dappops simulate`: what faults and actions would lead to, with nothing changed."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.output import Context, command, line, table, working


@command()
@click.option(
    "--action",
    type=click.Choice(["none", "restart", "migrate", "evacuate"]),
    help="Try this.  [default: everything that could be done]",
)
@click.option("--target", metavar="UNIT|HOST", help="What the action is done to.")
@click.option("--to", metavar="HOST", help="Where `migrate` and `evacuate` move things.")
@click.option(
    "--fail",
    multiple=True,
    metavar="[KIND:]THING",
    help="Let a host, a unit's process or a link fail first; repeatable. "
    "KIND is HostFailure, ProcessFailure, CpuContention or LinkDegradation.",
)
@click.option("--application", metavar="IRI", help="When several are deployed.")
@click.option(
    "--horizon",
    type=click.FloatRange(1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds within which it should be well.",
)
@click.option("--dot", is_flag=True, help="Print the network for Graphviz instead.")
@click.option("--network", is_flag=True, help="Print the variables and their functions, too.")
def simulate(context: Context, dot: bool, network: bool, fail: tuple[str, ...], **options: Any) -> None:
    """Say what would happen: attractors of the running system's Boolean network before and after, probability and time of
    recovery, and shapes that the new state would violate. Exit code 1 when the application would not come back."""
    with context.open() as kb, working("simulating"):
        told = kb.call("simulate", fail=list(fail), **options)
    if dot and not context.json:
        click.echo(told["dot"], nl=False)
        return
    context.emit(told, lambda: show(told, network))
    best = max(
        (a["probability"] for a in told["actions"] if not a["violations"]),
        default=1.0 if told["before"]["desirable"] else 0.0,
    )
    if best < 0.5:
        raise click.exceptions.Exit(1)


def show(told: dict[str, Any], network: bool) -> None:
    """A simulation for people."""
    faults = ", ".join(f"{f['kind']} of {f['label']}" for f in told["faults"])
    line(f"{told['application']['label']}: " + (f"with {faults}" if faults else "as it is"), style="bold")
    for name, analysis in (("as deployed", told["healthy"]), ("with the faults", told["before"])):
        if name == "with the faults" and not faults:
            continue
        line(f"{name}: {outcome(analysis)}")
        for attractor in analysis["attractors"]:
            if attractor["false"]:
                line("  not: " + ", ".join(said(told, attractor["false"])))
    for way in told["before"]["perturbations"]:
        line("it would come back if: " + ", ".join(says(told, p["variable"], p["value"]) for p in way))
    if network:
        table(
            "", ["variable", "now", "is true when"],
            [(v["name"], "true" if v["value"] else "false", v["function"]) for v in told["network"]],
        )  # fmt: skip
    if told["actions"]:
        table(
            "", ["action", "comes back", "after s", "interrupts", "per hour", "stopped by"],
            [
                (
                    a["label"], f"{a['probability']:.2f}", "" if a["expectedRecoveryTime"] is None else f"{a['expectedRecoveryTime']:.1f}",
                    a["interrupts"], "" if a["costPerHour"] is None else f"{a['costPerHour']:+.3f}", blocked(a["violations"]),
                )
                for a in told["actions"]
            ],
            right=["comes back", "after s", "interrupts", "per hour"],
        )  # fmt: skip
        for message in dict.fromkeys(v["message"] for a in told["actions"] for v in a["violations"]):
            line(f"shape: {message}")
    for note in told["notes"]:
        line(f"note: {note}")


def outcome(analysis: dict[str, Any]) -> str:
    """What a network comes to, in words."""
    if analysis["reason"] and not analysis["attractors"]:
        return str(analysis["reason"])
    count = len(analysis["attractors"])
    where = "one end state" if count == 1 else f"{count} end states"
    good = sum(1 for a in analysis["attractors"] if a["desirable"])
    return f"{where}, {'the application does what it should' if good == count else f'it does not do what it should in {count - good}'}"


def said(told: dict[str, Any], names: list[str]) -> list[str]:
    """Variables in words."""
    words = {v["name"]: v["says"] for v in told["network"]}
    return [words.get(name, name) for name in names]


def says(told: dict[str, Any], name: str, value: bool) -> str:
    """A variable at a value, in words."""
    return ("" if value else "not: ") + said(told, [name])[0]


def blocked(violations: list[dict[str, Any]]) -> str:
    """The shapes that speak against an action, by the last part of their names."""
    return ", ".join(dict.fromkeys(str(v["shape"]).strip("<>").rsplit("#", 1)[-1] for v in violations))
