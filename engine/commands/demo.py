"""The command `demo`: plays the story and prints it; the steps themselves are in `engine.story`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import click

from engine.commands.output import Context, command, console, count, line, print_json


@command()
@click.option("--seed", default=7, show_default=True, help="Draws the fault: its kind, target and time.")
@click.option(
    "--mode", type=click.Choice(["auto", "namespaces", "plain"]), default="auto", show_default=True,
    help="How hosts are played: network name spaces with shaped links (root), or plain processes.",
)  # fmt: skip
@click.option(
    "--source", type=click.Choice(["cloud", "ec2", "azure", "none"]), default="cloud", show_default=True,
    help="Catalogue of real offers beside the emulated hosts.",
)  # fmt: skip
@click.option("--opencl/--no-opencl", default=True, help="Look for OpenCL devices.")
@click.option("--fresh", is_flag=True, help="Do not go on with a run that was cut short.")
@click.option("--quick", is_flag=True, help="Measure and learn for a shorter time: rougher figures.")
@click.option("--keep", is_flag=True, help="Leave everything running at the end; `dappops deploy --stop` ends it.")
def demo(
    context: Context, seed: int, mode: str, source: str, opencl: bool, fresh: bool, quick: bool, keep: bool
) -> None:
    """Play the whole story of the flagship application on this machine.

    Describe, discover, program together, plan, virtualise, package, provision, operate: on a real catalogue, a real
    component index, this host's devices, and hosts that it plays itself. A fault that no reasoner is told of is injected,
    found and cured. Cut short and run again with the same seed, it goes on where it was.
    """
    from engine.story.play import Story, playing
    from engine.story.stage import Settings

    settings = Settings(seed=seed, mode=mode, source=source, opencl=opencl)
    if quick:
        settings = replace(
            settings, measure=0.2, learn=15.0, until_period=24.0, period=8.0, witnesses_ready=9.0, afterwards=14.0
        )
    with context.open(makes=True) as kb, ExitStack() as stack:
        show = stack.enter_context(_Shown(quiet=context.json))
        story = stack.enter_context(playing(Story(kb, settings, fresh=fresh, keep=keep, progress=show.progress)))
        say: Callable[..., None] = (lambda *args, **kwargs: None) if context.json else line
        say(f"{kb.info()['home']}, seed {seed}: {story.found}", style="bold")
        steps = []
        for ended in story.steps():
            show.clear()
            step = ended.step
            say()
            say(f"{step.number}. {step.title}  [{step.subsystem}, {ended.seconds:.1f} s]", style="bold cyan")
            for text in ended.told.lines:
                say(text)
            for text in ended.told.missing:
                say(f"  not available: {text}", style="yellow")
            if step.view and not ended.before:
                say(f"  what it left: dappops view {step.view}", style="dim")
            steps.append({"step": step.number, "title": step.title, "seconds": ended.seconds, "before": ended.before,
                          "lines": ended.told.lines, "missing": ended.told.missing, "data": ended.told.data})  # fmt: skip
        show.clear()
        story.close()
        summary = story.summary()
    if context.json:
        print_json({"seed": seed, "steps": steps, "summary": summary})
    else:
        show_summary(summary, keep=keep)
    if not summary["recovered"] or summary["stuck"]:
        raise click.exceptions.Exit(1)


class _Shown:
    """What is going on, on one line of stderr when that is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._status: Any = None
        self._on = not quiet and sys.stderr.isatty()

    def __enter__(self) -> _Shown:
        if self._on:
            self._status = console(stderr=True).status("")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Say how far a step is."""
        if self._status is not None:
            self._status.update(f"{what} {done:,}" + (f" of {total:,}" if total else "") if done or total else what)

    def clear(self) -> None:
        """Make room for lines."""
        if self._status is not None:
            self._status.update("")


def show_summary(summary: dict[str, Any], *, keep: bool) -> None:
    """The whole on one screen."""

    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f} s"

    line()
    line("Summary", style="bold cyan")
    decided = f"{count(summary['decisions'], 'decision')} in {count(summary['transactions'], 'transaction')}"
    line(f"  decided      {decided}, each with its reasons")
    for part in summary["parts"]:
        line(f"  {part['metric']['label'].lower()[:12]:<12} {part['value']:.4g} (weight {part['weight']:g})")
    refused = count(summary["refusedActions"], "action")
    line(f"  violations   {refused} stopped by SHACL; {count(summary['findings'], 'open finding')}")
    fault = summary["fault"]
    if fault:
        right = {True: "right", False: "wrong", None: "not found"}[summary["rootCauseRight"]]
        line(f"  fault        {fault['kind']}: {fault['detail'] or fault['error']}; root cause {right}")
        detected, recovered = seconds(summary["detectionSeconds"]), seconds(summary["recoverySeconds"])
        line(f"  times        detected after {detected}, recovered {recovered} after acting")
        line(f"  new plan     avoids {', '.join(summary['avoided']) or 'nobody: no provider was at fault'}")
    agreements = summary["agreements"]
    if agreements:
        broken = sorted({a["provider"].rsplit("/", 1)[-1] for a in agreements if a["state"] == "violated"})
        line(
            f"  agreements   {count(len(agreements), 'period')} settled by witnesses; broken by {', '.join(broken) or 'nobody'}"
        )
    proof = summary["proof"]
    if proof:
        held, refused_ = "holds" if proof["holds"] else "does not hold", "refused" if proof["refused"] else "accepted"
        line(
            f"  proof        of the plan: {proof['statements']} statements in {proof['file']}; {held}, one byte changed: {refused_}"
        )
    for text in summary["missing"]:
        line(f"  not here     {text}", style="yellow")
    for text in summary["stuck"]:
        line(f"  left over    {text}", style="red")
    line(f"  everything   {summary['seconds']:.0f} s; {summary['found']}")
    line()
    line("Where to look next", style="bold cyan")
    if summary["replanned"]:
        line(f"  dappops why {summary['replanned']}")
    if summary["proof"]:
        line(f"  dappops chain serve main --json; dappops verify {summary['proof']['file']} --rpc URL")
        line("  dappops view sla-story; dappops sla reputation; dappops name resolve rehearsal.live")
    line("  dappops view story-10-operated; dappops view story-8-provisioned; dappops events")
    line("  dappops simulate --fail meseta-1; dappops search 'stabilise shaky video'; dappops function list")
    line("  dappops serve      a page with all of it, and a SPARQL box")
    line(
        "  dappops demo --seed 8      another fault" + ("; dappops deploy --stop ends what still runs" if keep else "")
    )
