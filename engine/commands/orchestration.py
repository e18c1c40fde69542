"""Commands about what runs: deploy, status, events."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import Context, command, count, line, print_json, table
from engine.commands.planning import the_application
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.orchestration.named import Named
    from engine.orchestration.runtime import Pass, Runtime

STYLES = {"Running": "green", "Failed": "red", "Lost": "red", "Degraded": "yellow"}


@command()
@click.argument("application", required=False)
@click.option(
    "--mode", type=click.Choice(["auto", "namespaces", "plain"]), default="auto", show_default=True,
    help="How hosts are played: as network namespaces (root), or as plain processes on 127.0.0.1.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Stay and keep everything as it should be, until Ctrl-C.")
@click.option("--stop", is_flag=True, help="Stop everything and take the hosts away.")
@click.option("--dry-run", is_flag=True, help="Show what would change; commit and start nothing.")
@click.option("--fresh", is_flag=True, help="Do not adopt what an earlier run left; begin with new hosts.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=120.0, show_default=True, help="Seconds for all to answer."
)
@click.option(
    "--programs", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the units' programs."
)
@click.option(
    "--name", "names", metavar="NAME=UNIT", multiple=True,
    help="Let a registered name follow a unit, wherever it is moved; repeatable. With --watch for as long as that lasts.",
)  # fmt: skip
@click.option("--chain", default="main", show_default=True, help="With --name: the chain it is registered on.")
def deploy(
    context: Context, application: str | None, mode: str, watch: bool, stop: bool, dry_run: bool, fresh: bool,
    timeout: float, programs: Path | None, names: tuple[str, ...], chain: str,
) -> None:  # fmt: skip
    """Start APPLICATION's units as its newest plan says. They keep running when this ends; --stop ends them.

    Exit code 1 when a unit could not be placed or does not answer.
    """
    from engine.orchestration import deployments
    from engine.orchestration.runtime import Runtime

    with context.open() as kb:
        runtime = Runtime(kb, mode, programs=programs)
        if stop:
            stop_all(context, kb, runtime)
            return
        iri = the_application(kb, application)
        if dry_run:
            made = deployments.deploy(kb, iri, programs=programs, dry_run=True)
            context.emit(made, lambda: show_changes(made))
            raise click.exceptions.Exit(1 if made["problems"] else 0)
        runtime.followers += [named(kb, text, chain, iri) for text in names]
        with runtime.up(fresh=fresh):
            runtime.reconcile_once(publish_now=True)  # what died while nobody watched is to be started anew
            made = deployments.deploy(kb, iri, programs=programs)
            if not context.json:
                show_changes(made)
            watched = keep(context, runtime, timeout=timeout, watch=watch)
            if runtime.follower_problem is not None:
                raise runtime.follower_problem
            result = {**made, "runtime": runtime.describe(), **status_json(kb, load=True)}
    if not context.json or not watch:
        context.emit(result, lambda: show_deployed(result))
    if made["problems"] or not watched:
        raise click.exceptions.Exit(1)


def named(kb: KnowledgeBase, text: str, chain: str, application: str) -> Named:
    """A name that follows a unit, as `--name` says it."""
    from engine.ledger.chains import managing
    from engine.ledger.naming.names import check_name
    from engine.orchestration.named import Named

    name, equals, unit = text.partition("=")
    if not equals or not unit:
        raise click.UsageError(f"--name {text}: write NAME=UNIT, such as rehearsal.live=player-gateway")
    return Named(kb, check_name(name), unit, lambda: managing.connect(kb, chain), application=application)


def keep(context: Context, runtime: Runtime, *, timeout: float, watch: bool) -> bool:
    """Run the loop until all is settled, or for ever; whether all answers. Ctrl-C ends the watching, not what runs."""
    from engine.errors import BusyError

    def told(done: Pass) -> None:
        for happened in done.happened:
            if context.json and watch:
                click.echo(event_line(happened))
            elif not context.json:
                line(f"  {clock(happened.at)}  {happened.message}", stderr=not watch)

    try:
        done = runtime.run(lambda done: done.settled, timeout, told)
        if watch:
            line("watching; Ctrl-C ends the watching, `dappops deploy --stop` what runs", stderr=True)
            runtime.run(lambda done: False, None, told)
    except BusyError as error:
        line(f"note: {error.message}", "yellow", stderr=True)
        return False
    except KeyboardInterrupt:
        line("what runs goes on; stop it with `dappops deploy --stop`", stderr=True)
        return True
    return done.ready


def event_line(happened: Any) -> str:
    """One event as one line of JSON: a stream, not a document."""
    import json

    return json.dumps(
        {"time": happened.at, "kind": happened.kind, "about": happened.about, "message": happened.message}
    )


def stop_all(context: Context, kb: KnowledgeBase, runtime: Runtime) -> None:
    """Nothing is to run, nothing runs, and the hosts are gone."""
    from engine.orchestration import deployments

    done = deployments.undeploy(kb)
    stuck = runtime.down()
    names = [d["unit"] for d in done["deployments"]]

    def show() -> None:
        line(
            f"{count(len(names), 'deployment')} stopped, hosts taken away"
            if names
            else "nothing was to run; hosts taken away"
        )
        for each in stuck:
            line(f"still there: {each}", "red")

    context.emit({"stopped": names, "left": stuck}, show)
    if stuck:
        raise click.exceptions.Exit(1)


def show_changes(made: dict[str, Any]) -> None:
    """What a plan changes, for people."""
    changed = [d for d in made["deployments"] if d["change"] != "kept"]
    kept = len(made["deployments"]) - len(changed)
    if changed:
        table(
            "",
            ["unit", "host", "generation", "change"],
            [(d["unit"], d["host"], d["generation"], d["change"]) for d in changed],
        )
    if kept:
        line(f"{count(kept, 'deployment')} as before")
    for problem in made["problems"]:
        line(f"{problem['unit']}: {problem['reason']} ({problem['remedy']})", "red")


def show_deployed(result: dict[str, Any]) -> None:
    """How a deployment ended, for people."""
    show_status(result)
    runtime = result["runtime"]
    adopted = "hosts of an earlier run adopted" if runtime["adopted"] else "new hosts"
    line(f"mode {runtime['mode']}, {adopted}; units in: {', '.join(runtime['boxes'])}")
    for lack in runtime["notAvailable"]:
        line(f"not emulated here: {lack['what']}: {lack['reason']} ({lack['remedy']})")
    line("it goes on running; see `dappops status`, stop it with `dappops deploy --stop`")


@command()
@click.option("--watch", is_flag=True, help="Again each second, until Ctrl-C.")
def status(context: Context, watch: bool) -> None:
    """What should run where, and how it was last seen; hosts and their load."""
    with context.open() as kb:
        while True:
            found = status_json(kb, load=True)
            if watch and not context.json:
                click.clear()
            context.emit(found, lambda f=found: show_status(f))  # type: ignore[misc]
            if not watch:
                return
            time.sleep(1.0)


def status_json(kb: KnowledgeBase, *, load: bool = False) -> dict[str, Any]:
    """Deployments and hosts as the graph has them; with `load`, what this machine sees of their processes now."""
    from engine.orchestration import glance

    return glance.status(kb, load=load)


def show_status(found: dict[str, Any]) -> None:
    """Deployments and hosts for people."""
    if not found["status"]:
        line("nothing is deployed; `dappops deploy APPLICATION` does it")
        return
    table(
        "", ["unit", "host", "state", "since", "generation", "endpoint"],
        [
            (d["unit"], d["host"], d["state"] + (f" ({d['now']})" if d.get("now") else ""), d["since"], d["generation"], d["endpoint"])
            for d in found["status"]
        ],
        right=["generation"],
    )  # fmt: skip
    table(
        "", ["host", "provider", "state", "units", "cores used", "of", "memory MB"],
        [
            (
                h["host"], h["provider"], h["state"], h["units"], number(h.get("cores"), 2), number(h.get("of"), 2),
                number(h.get("memoryMB"), 0),
            )
            for h in found["hosts"]
        ],
        right=["units", "cores used", "of", "memory MB"],
    )  # fmt: skip
    if found.get("note"):
        line(f"note: {found['note']}")


def number(value: float | None, digits: int) -> str:
    """A figure for a table; nothing when it is not known."""
    return "" if value is None else f"{value:.{digits}f}"


@command()
@click.option("--since", metavar="TIME", help="From this time on: a dateTime, or e.g. 90s, 10m, 2h ago.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many, the newest."
)
@click.option("--follow", is_flag=True, help="Then those to come, until Ctrl-C.")
def events(context: Context, since: str | None, limit: int, follow: bool) -> None:
    """What happened to what runs, oldest first."""
    from engine.orchestration import glance

    after = moment(since) if since else ""
    with context.open() as kb:
        found = glance.events(kb, after)[-limit:]
        if context.json and not follow:
            print_json(found)
            return
        shown: set[str] = set()
        if not found and not follow:
            line("nothing has happened" + (f" since {after}" if after else ""))
        while True:
            for event in found:
                if event["event"] not in shown:
                    shown.add(event["event"])
                    show_event(event, as_json=context.json)
            if not follow:
                return
            time.sleep(1.0)
            found = glance.events(kb, found[-1]["time"] if found else after)


def show_event(event: dict[str, Any], *, as_json: bool) -> None:
    """One event: a line for people, or a line of JSON."""
    import json

    if as_json:
        click.echo(json.dumps(event, ensure_ascii=False))
    else:
        line(f"{event['time']}  {event['kind']:<10}  {event['message']}")


def clock(seconds: float) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def moment(text: str) -> str:
    """A dateTime, or a span before now, as canonical UTC text; InputError otherwise."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    try:
        if text[-1:] in units and text[:-1].replace(".", "", 1).isdigit():
            at = datetime.fromtimestamp(time.time() - float(text[:-1]) * units[text[-1]], UTC)
        else:
            at = datetime.fromisoformat(text)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", place="--since", remedy="write 2026-01-31T12:00:00Z, or 90s, 10m, 2h"
        ) from error
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
