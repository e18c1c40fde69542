"""Commands for what computes: devices, and functions listed, measured, chosen, packaged and called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, count, line, progress, short, table, working
from engine.commands.planning import show_conflict, show_verdict
from engine.errors import InputError, NotAvailableError

if TYPE_CHECKING:
    from engine.accelerators.devices import Discovery

BOXES = ("process", "wasm", "sandbox", "container")  # weakest first


# -- devices ---------------------------------------------------------------------------------------------------------
@command()
@click.option("--publish", is_flag=True, help="State them in the graph `devices`; what is gone is removed there.")
@click.option("--dry-run", is_flag=True, help="Look only (the default).")
@click.option("--no-opencl", is_flag=True, help="Leave OpenCL alone: the processor only.")
def devices(context: Context, publish: bool, dry_run: bool, no_opencl: bool) -> None:
    """Discover this host's processor, its extensions and OpenCL devices."""
    from engine.accelerators.devices import discover

    if publish and dry_run:
        raise click.UsageError("--publish and --dry-run contradict each other")
    with working("looking at devices"):
        found = discover(opencl=not no_opencl)
    published = None
    if publish:
        with context.open(makes=True) as kb:
            published = kb.call("publish_devices", found=found.as_json(), author=kb.author)
    context.emit({**found.as_json(), "published": published}, lambda: show_devices(found, published))


def show_devices(found: Discovery, published: dict[str, Any] | None) -> None:
    """Devices for people."""
    from engine.accelerators.devices import description

    rows = [(d.kind, d.name, ", ".join(d.models), f"{d.memory / 2**30:.1f}", description(d)) for d in found.devices]
    table(found.host, ["kind", "device", "runs", "GiB", "about"], rows, right=["GiB"])
    line(f"extensions: {', '.join(found.extensions) or 'none known'}")
    for reason in found.missing:
        line(reason, style="yellow")
    if published:
        line(f"{short(published['graph'])}: {published['added']} statements added, {published['removed']} removed")


# -- functions -------------------------------------------------------------------------------------------------------
@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def function() -> None:
    """List, measure, choose, package, serve and call functions."""


@command("list")
@click.option("--publish", is_flag=True, help="State the library in the graph `functions`.")
def list_(context: Context, publish: bool) -> None:
    """The function library: what each function does and in which variants."""
    from engine.accelerators.library import FUNCTIONS
    from engine.accelerators.library import function as get
    from engine.accelerators.library.describe import digest

    rows: list[dict[str, Any]] = [
        {
            "function": name, "parameters": [p for p, _ in get(name).parameters],
            "variants": {v: digest(get(name), v) for v in get(name).variants},
        }
        for name in FUNCTIONS
    ]  # fmt: skip
    published = None
    if publish:
        with context.open(makes=True) as kb:
            published = kb.call("publish_functions", author=kb.author)

    def show() -> None:
        table(
            "", ["function", "parameters", "variant", "digest"],
            [(r["function"], ", ".join(r["parameters"]), v, d[:19]) for r in rows for v, d in r["variants"].items()],
        )  # fmt: skip
        if published:
            line(f"{short(published['graph'])}: {published['added']} statements added, {published['removed']} removed")

    context.emit({"functions": rows, "published": published}, show)


@command("show")
@click.argument("name")
def show_(context: Context, name: str) -> None:
    """What the graph holds of a function: variants and measured profiles."""
    with context.open() as kb:
        iri = find(kb, name, "dapp:Function")
        variants = kb.call("view", name="compose-variants", bindings={"function": f"<{iri}>"})
        profiles = kb.call("view", name="compose-profiles", bindings={"function": f"<{iri}>"})
    rows = [dict(zip(profiles["variables"], row, strict=True)) for row in profiles["rows"]]
    found = [dict(zip(variants["variables"], row, strict=True)) for row in variants["rows"]]

    def show() -> None:
        table("", ["variant", "programming model"], [(tail(r["variant"]), plain(r["language"])) for r in found])
        line()
        table(
            "profiles", ["variant", "device", "box", "items", "ms", "quartiles apart", "cold ms", "J", "samples", "at"],
            [
                (
                    tail(r["variant"]), tail(r["device"]), tail(r["box"]), plain(r["size"]), digits(r["time"]), digits(r["spread"]),
                    digits(r["cold"]), digits(r["energy"]), plain(r["samples"]), plain(r["at"]),
                )
                for r in rows
            ],
            right=["items", "ms", "quartiles apart", "cold ms", "J", "samples"],
        )  # fmt: skip
        for source in sorted({plain(r["energySource"]) for r in rows if r["energySource"]}):
            line(f"energy: {source}")

    context.emit({"function": iri, "variants": found, "profiles": rows}, show)


def plain(term: str | None) -> str:
    """The text of a term as N-Triples."""
    if term is None:
        return ""
    return term[1:].split('"')[0] if term.startswith('"') else term.strip("<>")


def tail(term: str | None) -> str:
    """The last part of an IRI."""
    return plain(term).replace("#", "/").rsplit("/", 1)[-1]


def digits(term: str | None) -> str:
    """A number to three digits."""
    return "" if term is None else f"{float(plain(term)):.3g}"


@command("profile")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--variant", "variants", multiple=True, help="Only this variant.")
@click.option("--box", "boxes", multiple=True, type=click.Choice(BOXES), help="Only this box.")
@click.option("--sizes", help="Items of a call, with commas; the library's own sizes by default.")
@click.option("--repeats", type=click.IntRange(min=3), default=9, show_default=True, help="Warm calls at each size.")
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True,
    help="Seconds for one variant on one device in one box; larger sizes are left out when it is used up.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Measure; commit nothing.")
def profile_(
    context: Context,
    names: tuple[str, ...],
    variants: tuple[str, ...],
    boxes: tuple[str, ...],
    sizes: str | None,
    **options: Any,
) -> None:
    """Measure functions here, in every box there is, and state the profiles in the graph `functions`.

    Devices, library and packages are published, too, since a choice needs them.
    """
    from engine.accelerators.devices import discover
    from engine.accelerators.measuring import measure, publish, workshop

    dry = options.pop("dry_run")
    with context.open(makes=True) as kb:
        found = discover()
        with workshop(kb.home) as shop, progress("measuring", quiet=context.json) as tell:
            node = publish(kb, found, shop.built) if not dry else None
            made, skipped = measure(shop, found, names, variants, boxes, sizes=numbers(sizes), tell=tell, **options)
        if node and made:
            kb.call("publish_profiles", profiles=[p.as_json() for p in made], node=node, author=kb.author)
    data = {"profiles": [p.as_json() for p in made], "skipped": skipped, "published": not dry}

    def show() -> None:
        table(
            "", ["function", "variant", "device", "box", "items", "ms", "quartiles", "cold ms", "mJ"],
            [
                (
                    p.function, p.variant, p.device, p.box, f"{p.size:,}", f"{p.time:.3g}", f"{p.lower:.3g} to {p.upper:.3g}",
                    f"{p.cold:.0f}", "" if p.energy is None else f"{1e3 * p.energy:.3g}",
                )
                for p in made
            ],
            right=["items", "ms", "cold ms", "mJ"],
        )  # fmt: skip
        for source in sorted({p.energy_source for p in made}):
            line(f"energy: {source}")
        for reason in skipped:
            line(f"left out: {reason}", style="yellow")

    context.emit(data, show)


def numbers(text: str | None) -> tuple[int, ...]:
    """`100,200` as numbers."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise click.UsageError(f"{text!r}: write numbers with commas between them, e.g. 1000,8000") from error


@command("choose")
@click.argument("name")
@click.option("--size", type=click.IntRange(min=1), required=True, help="Items of a call: pixels, messages.")
@click.option(
    "--calls", type=click.IntRange(min=1), help="Calls that share one cold start; without it, it runs already."
)
@click.option(
    "--deadline", type=click.FloatRange(min=0, min_open=True), help="Milliseconds for each call, the first too."
)
@click.option(
    "--isolation", metavar="BOX", help="The weakest box that will do: process, wasm, sandbox, container, microvm."
)
@click.option("--unit", help="The unit that calls: its own demands count.")
@click.option("--time", "time_", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Weight of time.")
@click.option("--energy", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Weight of energy.")
@click.option(
    "--caution",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Standard deviations added to each forecast.",
)
@click.option(
    "--misses", type=click.IntRange(0, 100), default=3, show_default=True, help="Runners-up and near misses kept."
)
@click.option("--dry-run", is_flag=True, help="Show the choice; commit nothing.")
def choose(context: Context, name: str, time_: float, unit: str | None, **options: Any) -> None:
    """Choose variant, device and box for function NAME and commit the decision. Exit code 1 when nothing fits."""
    with context.open() as kb:
        whose = find(kb, unit, "dapp:ServiceUnit") if unit else None
        result = kb.call("choose_function", function=name, time=time_, unit=whose, author=kb.author, **options)
    context.emit(result, lambda: show_choice(result))
    if not result["chosen"]:
        raise click.exceptions.Exit(1)


def show_choice(result: dict[str, Any]) -> None:
    """A choice for people."""
    asked = [count(result["size"], "item")]
    asked.append("running already" if result["calls"] is None else f"{count(result['calls'], 'call')} a start")
    if result["deadline"] is not None:
        asked.append(f"deadline {result['deadline']:g} ms")
    if result["isolation"]:
        asked.append(f"at least {result['isolation']['label']}")
    line(f"{result['function']['label']} ({', '.join(asked)})", style="bold")
    if result["chosen"]:
        line(f"  →  {result['chosen']['option']}: {result['time']:.3g} ms a call", style="bold")
    rows = []
    for each in result["candidates"]:
        forecast = each["forecast"]
        if each["eligible"]:
            energy = f"{1e3 * forecast['energy']:.3g}" if forecast["energy"] is not None else ""
            about = f"{forecast['time']:.3g} ± {forecast['deviation']:.2g}"
            rows.append(
                (each["rank"], each["option"], about, f"{forecast['cold']:.0f}", energy, f"{each['score']:.3g}")
            )
    if rows:
        columns = ["rank", "option", "warm ms", "cold ms", "mJ", "score"]
        table("", columns, rows, right=["rank", "warm ms", "cold ms", "mJ", "score"])
    for rejection in result["rejections"]:
        line(f"  {rejection['count']:>4} rejected by {rejection['constraint']['label']}")
    for each in result["candidates"]:
        if not each["eligible"]:
            line(f"  near miss: {each['option']}")
            for verdict in each["verdicts"]:
                show_verdict(verdict, indent=4)
    for conflict in result["conflicts"]:
        show_conflict(conflict)
    for note in result["notes"]:
        line(f"note: {note}")
    if result["decision"]:
        line(f"decision {short(result['decision'])}; see `dappops why`")


@command("package")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--publish/--no-publish", default=True, show_default=True, help="State them in the graph `functions`.")
@click.option(
    "--oci", type=click.Path(path_type=Path, file_okay=False), help="Also write OCI image archives to this folder."
)
def package_(context: Context, names: tuple[str, ...], publish: bool, oci: Path | None) -> None:
    """Build the packages of functions, by digest: the same bytes on every run."""
    from engine.accelerators import library, packages
    from engine.accelerators.measuring import workshop

    functions = [library.function(n).id for n in names] or list(library.FUNCTIONS)
    with context.open(makes=True) as kb, workshop(kb.home) as shop:
        mine = [p for p in shop.built if p.function in functions]
        if publish:
            kb.call("publish_functions", author=kb.author)
            packages.publish(kb, shop.built, author=kb.author)
        written = []
        if oci is not None:
            oci.mkdir(parents=True, exist_ok=True)
            for each in (p for p in mine if p.box == "container"):
                packages.export_oci(shop.store, each, oci / f"{each.id}.tar")
                written.append(str(oci / f"{each.id}.tar"))
    rows: list[dict[str, Any]] = [
        {"package": p.id, "kind": p.kind, "box": p.box, "digest": p.digest, "bytes": p.size, "needs": p.needs}
        for p in mine
    ]

    def show() -> None:
        table(
            "", ["package", "kind", "bytes", "digest", "needs"],
            [(r["package"], r["kind"], f"{r['bytes']:,}", r["digest"][:19], r["needs"]) for r in rows], right=["bytes"],
        )  # fmt: skip
        for path in written:
            line(f"wrote {path}")

    context.emit({"packages": rows, "published": publish, "written": written}, show)


@command("call")
@click.argument("name")
@click.option(
    "--input", "source", type=click.File("rb"), required=True, help="File of the input, or - for standard input."
)
@click.option("--output", "target", type=click.Path(dir_okay=False), required=True, help="File for the output, or -.")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=N", help="A parameter, e.g. -p width=640."
)
@click.option("--variant", default="auto", show_default=True, help="This variant instead of the composer's choice.")
@click.option("--box", type=click.Choice(["auto", *BOXES]), default="auto", show_default=True)
@click.option("--device", default="auto", show_default=True, help="Name of an OpenCL device.")
@click.option("--isolation", metavar="BOX", help="The weakest box that will do.")
@click.option(
    "--broker",
    envvar="DAPPOPS_BROKER",
    metavar="SOCKET",
    help="Ask this broker instead of starting a box for the call.",
)
@click.option("--tenant", default="default", show_default=True, help="On whose account, with --broker.")
def call_(context: Context, name: str, source: Any, target: str, parameters: tuple[str, ...], **how: Any) -> None:
    """Call function NAME once: through a broker, or in a box that is started for it."""
    from engine.accelerators import library

    found = library.function(name)
    given = parameters_of(parameters)
    inputs = source.read()
    found.check(given, inputs)
    output, info = (
        through_broker(name, given, inputs, how) if how["broker"] else alone(context, found, given, inputs, how)
    )
    if target == "-":
        sys.stdout.buffer.write(output)
        return
    Path(target).write_bytes(output)

    def show() -> None:
        line(
            f"{target}: {len(output):,} bytes by {info['variant']} in box {info['box']}, {1e3 * info['seconds']:.3g} ms"
        )

    context.emit({"output": target, "bytes": len(output), **info}, show)


def parameters_of(texts: tuple[str, ...]) -> dict[str, int]:
    """`width=640` … as a mapping."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = int(value)
        except ValueError as error:
            raise click.UsageError(f"{text!r} is no parameter: write name=number, e.g. width=640") from error
    return found


def through_broker(
    name: str, parameters: dict[str, int], inputs: bytes, how: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Ask a broker."""
    from engine.accelerators.broker import engine_error
    from engine.accelerators.client import CallError, Client

    try:
        with Client(how["broker"], tenant=how["tenant"]) as client:
            answer = client.call(name, parameters, inputs, variant=how["variant"], device=how["device"], box=how["box"])
    except CallError as error:
        raise engine_error(error) from error
    return answer.output, dict(answer.info)


def alone(
    context: Context, found: Any, parameters: dict[str, int], inputs: bytes, how: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Start a box for one call: as asked, or as the composer chooses (one call a start; nothing is committed)."""
    from engine.accelerators.broker import engine_error
    from engine.accelerators.cell import Cell
    from engine.accelerators.client import CallError
    from engine.accelerators.measuring import workshop
    from engine.accelerators.profiles import LEVELS

    with context.open() as kb, workshop(kb.home) as shop:
        variant, box, device = how["variant"], how["box"], how["device"]
        if variant == "auto":
            result = kb.call(
                "choose_function", function=found.id, size=max(1, found.items(parameters)), calls=1, dry_run=True,
                isolation=how["isolation"] or (box if box != "auto" else None), author=kb.author,
            )  # fmt: skip
            if not result["chosen"]:
                raise NotAvailableError(
                    "not available: the composer finds nothing that fits", place=found.id,
                    remedy="see why with `dappops function choose`, or name --variant",
                )  # fmt: skip
            variant = tail(result["chosen"]["variant"]["iri"])
            device = result["chosen"]["device"]["label"] if variant == "opencl" else "auto"
            level = tail(result["chosen"]["box"]["iri"])
            box = next(name for name, known in LEVELS.items() if known == level)
        elif box == "auto":
            box = next(
                (b for b in BOXES if any((p.function, p.variant, p.box) == (found.id, variant, b) for p in shop.built)),
                "process",
            )
        try:
            with Cell(shop.store, shop.store.find(found.id, variant, box), shop.area, device=device) as cell:
                answer = cell.call(inputs, parameters)
                return answer.output, {"variant": variant, "box": box, "start": cell.start_seconds, **answer.info}
        except CallError as error:
            raise engine_error(error) from error


@command("serve")
@click.option("--status", is_flag=True, help="Only say whether it runs, and what it does.")
@click.option("--stop", is_flag=True, help="End it and its workers.")
def serve_(context: Context, status: bool, stop: bool) -> None:
    """Start the function broker of this home: one worker a tenant, variant and box, chosen as decisions say.

    Packages are those that the graph states; whoever calls finds the socket in DAPPOPS_BROKER.
    """
    from engine.accelerators import broker, packages

    if status and stop:
        raise click.UsageError("--status and --stop contradict each other")
    if stop or status:
        found = broker.status(context.folder) if status else {"stopped": broker.stop(context.folder)}
        context.emit(found, lambda: line(str(found) if found is not None else "no broker runs"))
        return
    with context.open() as kb:
        stated = packages.published(kb)
        if not stated or kb.home is None:
            raise InputError("no package is published", remedy="build them: `dappops function package`")
        choices = kb.call("function_choices", author=kb.author)
        handle = broker.start(kb.home, packages=stated, choices=choices)
    data = {"pid": handle.pid, "socket": handle.socket, "packages": len(stated), "choices": choices}

    def show() -> None:
        line(f"broker {handle.pid}: export DAPPOPS_BROKER={handle.socket}")
        line(f"{count(len(stated), 'package')}, {count(len(choices), 'choice')}")

    context.emit(data, show)


for each in (list_, show_, profile_, choose, package_, call_, serve_):
    function.add_command(each)
