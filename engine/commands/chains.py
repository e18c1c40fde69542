"""`dappops chain`: chains of this home, what was measured of them, who co-signs them, which transactions go where."""

from __future__ import annotations

from typing import Any

import click

from engine.commands.output import Context, command, count, line, progress, table, working
from engine.commands.planning import the_application, weights_of


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def chain() -> None:
    """Make, measure, choose, upgrade and co-sign chains; prove one on another."""


@command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["embedded", "json-rpc"]), default="embedded", show_default=True)
@click.option(
    "--rpc", metavar="URL", help="Of a network's node; env:NAME reads it from the environment (it may hold a secret)."
)
@click.option("--chain-id", type=click.IntRange(min=1), help="EIP-155 number; a network must have it.")
@click.option(
    "--co-signers", type=click.IntRange(0, 16), default=0, show_default=True, help="Replicas that check and co-sign."
)
@click.option("--quorum", type=click.IntRange(min=1), help="How many of them must sign.  [default: more than half]")
@click.option(
    "--every", type=click.IntRange(min=0), default=0, help="They sign every so many blocks.  [default: when asked]"
)
@click.option("--no-start", is_flag=True, help="Do not start them yet.")
def create(context: Context, name: str, no_start: bool, **options: Any) -> None:
    """Make the chain NAME with the product's contracts on it, or take up a network elsewhere."""
    from engine.ledger.chains import managing

    with context.open(makes=True) as kb, working(f"making {name}"):
        made = managing.create(kb, name, start=not no_start, **options)
    data = managing.as_recorded(made)

    def show() -> None:
        line(f"chain {made.name}: {made.kind}, chain id {made.chain_id}", style="bold")
        table("", ["contract", "address"], sorted(made.contracts.items()))
        if options["co_signers"]:
            line(f"{count(options['co_signers'], 'co-signer')}: dappops chain replicas {made.name}")

    context.emit(data, show)


@command("list")
def list_(context: Context) -> None:
    """The chains of this home."""
    from engine.ledger.chains import managing

    with context.open() as kb:
        rows = managing.listed(kb)

    def show() -> None:
        table(
            "", ["chain", "kind", "chain id", "head", "final", "rules", "co-signers", "tx/s", "final in s", "served at"],
            [
                (
                    r["name"], r["kind"], r["chainId"], r["head"], r["final"], _schedule(r),
                    f"{len(r['coSigners'])} (quorum {r['quorum']})" if r["coSigners"] else "", _figure(r["measured"].get("throughput")),
                    _figure(r["measured"].get("finality")), r["url"],
                )
                for r in rows
            ],
            right=["chain id", "head", "final", "tx/s", "final in s"],
        )  # fmt: skip
        for row in rows:
            if "problem" in row:
                line(f"{row['name']}: {row['problem']}", style="red")

    context.emit(rows, show)


@command()
@click.argument("name", default="main")
@click.option(
    "--samples",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="Single anchors, one after another.",
)
@click.option("--burst", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Anchors sent at once.")
@click.option(
    "--patience", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait for finality."
)
def profile(context: Context, name: str, **options: Any) -> None:
    """Measure the chain NAME with real anchors, which are paid for, and state what came out in the graph `ledger`."""
    from engine.ledger.chains import managing

    with context.open() as kb, progress(f"measuring {name}", quiet=context.json) as told:
        found = managing.profiled(kb, name, progress=told, **options)

    def show() -> None:
        rows = [
            ("transactions a second", _figure(found.throughput)), ("inclusion, median s", _figure(found.inclusion)),
            ("inclusion, 95 % within s", _figure(found.slow_inclusion)), ("final, median s", _figure(found.finality)),
            ("gas of an anchor", f"{found.gas:,}"), ("wei of an anchor", f"{found.fee:,}"),
            ("co-signers", "not known" if found.co_signers is None else found.co_signers),
        ]  # fmt: skip
        table(
            f"{name}: {found.samples} single anchors, {found.burst} at once",
            ["measured", "value"],
            rows,
            right=["value"],
        )

    context.emit({"chain": name, **found.json()}, show)


@command()
@click.argument("application", required=False)
@click.option(
    "-w",
    "--weight",
    "weights",
    multiple=True,
    metavar="METRIC=W",
    help="cost, finality, inclusion, throughput, co-signers.",
)
@click.option("--misses", type=click.IntRange(0, 1000), default=3, show_default=True, help="Nearest misses to keep.")
@click.option("--dry-run", is_flag=True, help="Show the choice; commit nothing.")
def choose(context: Context, application: str | None, weights: tuple[str, ...], **options: Any) -> None:
    """Choose a ledger for each kind of transaction of APPLICATION, with reasons. Exit code 1 when one has none."""
    with context.open() as kb:
        iri = the_application(kb, application)
        with working("choosing"):
            result = kb.call("choose_ledger", application=iri, weights=weights_of(weights), author=kb.author, **options)
    context.emit(result, lambda: _show_choice(result))
    if any(c["ledger"] is None for c in result["chosen"]):
        raise click.exceptions.Exit(1)


def _show_choice(result: dict[str, Any]) -> None:
    line(result["application"]["label"], style="bold")
    table(
        "", ["transactions", "ledger"],
        [(c["scope"]["label"], c["ledger"]["label"] if c["ledger"] else "none") for c in result["chosen"]],
    )  # fmt: skip
    refused = [
        (
            c["scope"]["label"],
            c["ledger"]["label"],
            v["constraint"]["label"],
            ", ".join(v["wanted"]),
            ", ".join(v["found"]) or "not known",
        )
        for c in result["candidates"]
        for v in c["verdicts"]
    ]
    if refused:
        table("not chosen", ["transactions", "ledger", "because of", "wanted", "found"], refused)
    for conflict in result["conflicts"]:
        label = conflict["unit"]["label"] if conflict["unit"] else ""
        line(f"{label}: no ledger meets all of {', '.join(m['label'] for m in conflict['members'])}", style="red")
        for text in conflict["relaxations"]:
            line(f"  {text}")
    for note in result["notes"]:
        line(f"note: {note}")
    if result["decision"]:
        line(f"why: dappops why {result['decision']}")


@command()
@click.argument("name")
@click.option("--rules", required=True, metavar="NAME", help="The EVM rules, such as prague.")
@click.option(
    "--at-height", "height", type=click.IntRange(min=1), help="First block that follows them.  [default: ten ahead]"
)
def upgrade(context: Context, name: str, rules: str, height: int | None) -> None:
    """Let the chain NAME follow newer rules from a height on, when a quorum of its co-signers agrees."""
    from engine.ledger.chains import managing

    with context.open() as kb, working("asking the co-signers"):
        made = managing.upgraded(kb, name, rules, height)
    data = {
        "chain": name, **made.upgrade.json(), "signers": list(made.signers), "refused": dict(made.refused), "told": list(made.told),
    }  # fmt: skip

    def show() -> None:
        line(f"{name} follows {rules} from block {made.upgrade.height} on", style="bold")
        line(f"agreed by {', '.join(made.signers) or 'its sealer alone: it has no co-signers'}")
        for address, why in made.refused.items():
            line(f"not by {address}: {why}", style="yellow")

    context.emit(data, show)


@command()
@click.argument("name")
@click.option("--start", is_flag=True, help="Start them and the chain's server.")
@click.option("--stop", is_flag=True, help="Stop them; without --only the server, too.")
@click.option(
    "--only", "numbers", type=click.IntRange(min=1), multiple=True, metavar="N", help="This one (repeatable)."
)
def replicas(context: Context, name: str, start: bool, stop: bool, numbers: tuple[int, ...]) -> None:
    """The co-signing replicas of NAME: where they are, what they refused. Exit code 1 when one refused something."""
    from engine.ledger.chains import managing

    if start and stop:
        raise click.UsageError("--start and --stop exclude each other")
    with context.open() as kb, working("asking the replicas"):
        rows = managing.replicas(kb, name, start=start, stop=stop, numbers=numbers)

    def show() -> None:
        columns = ["replica", "address", "runs", "head", "signed", "refused"]
        cells = [
            (
                r["number"],
                r["address"],
                "yes" if r["running"] else "no",
                r.get("head"),
                r.get("signed"),
                len(r.get("refusals", ())),
            )
            for r in rows
        ]
        table("", columns, cells, right=["replica", "head", "signed", "refused"])
        for row in rows:
            for refusal in row.get("refusals", ()):
                line(
                    f"replica {row['number']} refused block {refusal['number']} ({refusal['kind']}): {refusal['reason']}",
                    style="red",
                )
            if row.get("said"):
                line(f"replica {row['number']}: {row['said']}")

    context.emit(rows, show)
    if any(r.get("refusals") for r in rows):
        raise click.exceptions.Exit(1)


@command()
@click.argument("name")
@click.option("--block", "number", type=click.IntRange(min=0), help="Its number.  [default: the newest]")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=600),
    default=10.0,
    show_default=True,
    help="Seconds for replicas to get there.",
)
def checkpoint(context: Context, name: str, number: int | None, wait: float) -> None:
    """Have a block of NAME co-signed and state who signed it."""
    from engine.ledger.chains import managing

    with context.open() as kb, working("asking the co-signers"):
        made = managing.checkpointed(kb, name, number, wait=wait)

    def show() -> None:
        line(f"{name}: block {made.number}, 0x{made.hash.hex()}", style="bold")
        table("", ["co-signer", "signature"], [(a, f"0x{s.hex()[:16]}…") for a, s in made.signatures.items()])

    context.emit({"chain": name, **made.json()}, show)


@command()
@click.option("--from", "source", required=True, metavar="CHAIN", help="Where the head is anchored.")
@click.option("--to", "target", required=True, metavar="CHAIN", help="Where it is to be known.")
@click.option("--graph", metavar="GRAPH", help="Whose head.  [default: the newest batch]")
@click.option("--submitter", metavar="ADDRESS", help="Who anchored it.  [default: the author]")
@click.option(
    "--wait", type=click.FloatRange(min=0, max=600), default=15.0, show_default=True, help="Seconds for co-signers."
)
def relay(context: Context, source: str, target: str, graph: str | None, submitter: str | None, wait: float) -> None:
    """Bring a head of one chain to another with a proof that the other's Gateway checks."""
    from engine.graph.hashing import keccak256
    from engine.ledger.chains import managing

    with context.open() as kb, working(f"relaying {source} to {target}"):
        key = keccak256(kb.graph_iri(graph).encode()) if graph else None
        made = managing.relayed(kb, source, target, graph=key, submitter=submitter, wait=wait)
    data = {
        "from": source, "to": target, "gateway": made.gateway, "graph": "0x" + made.graph.hex() if made.graph else None,
        "submitter": made.submitter, "value": "0x" + made.value.hex(), "block": made.number, "vouchedBy": made.signers.kind,
        "signers": list(made.signers.addresses), "quorum": made.signers.quorum, "gas": dict(made.gas),
        "transactions": ["0x" + t.hex() for t in made.transactions],
    }  # fmt: skip

    def show() -> None:
        if not made.transactions:
            line(f"{target} knows it already: 0x{made.value.hex()} in block {made.number} of {source}")
            return
        line(f"{target} knows 0x{made.value.hex()} of block {made.number} of {source}", style="bold")
        line(
            f"vouched for by {made.signers.kind} ({made.signers.quorum} of {len(made.signers.addresses)}); gateway {made.gateway}"
        )
        line("gas: " + ", ".join(f"{what} {gas:,}" for what, gas in made.gas.items()))

    context.emit(data, show)


@command()
@click.argument("name", default="main")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="On loopback.  [default: a free one]")
@click.option("--detach", is_flag=True, help="Go on in the background; `chain stop` ends it.")
def serve(context: Context, name: str, port: int, detach: bool) -> None:
    """Serve NAME as JSON-RPC on this machine, for verifiers and wallets."""
    from engine.ledger import home as chains
    from engine.ledger.chains import cosigning, managing
    from engine.ledger.chains.serving import served
    from engine.ledger.knowledge import folder_of, keys_of

    with context.open() as kb:
        home, keys = folder_of(kb), keys_of(kb)
        record = managing.connect(kb, name).record if name == chains.DEFAULT else chains.record(home, name)
    if detach:
        there = cosigning.serve(record, home, port=port)
        context.emit(
            {"chain": name, "url": there.url, "pid": there.pid}, lambda: line(f"{name} is served at {there.url}")
        )
        return
    server = served(record, keys, port=port)
    context.emit({"chain": name, "url": server.url}, lambda: line(f"{name} is served at {server.url}; Ctrl-C ends it"))
    try:
        server.wait()
    except KeyboardInterrupt:
        server.close()


@command()
@click.argument("name")
@click.argument("address")
@click.argument("amount")
def fund(context: Context, name: str, address: str, amount: str) -> None:
    """Send AMOUNT tokens of NAME (such as 2.5) from the author's account to ADDRESS."""
    from engine.ledger.chains import managing
    from engine.ledger.money import to_wei

    with context.open() as kb, working("sending"):
        wei = to_wei(amount, "AMOUNT")
        done = managing.fund(kb, name, address, wei)
    data = {
        "chain": name,
        "to": address,
        "wei": str(wei),
        "block": done.block,
        "transaction": "0x" + done.transaction.hex(),
    }
    context.emit(data, lambda: line(f"{address} has {amount} tokens of {name} more (block {done.block})"))


@command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove its data, too, unless somebody relies on it.")
def stop(context: Context, name: str, remove: bool) -> None:
    """End the programs of NAME (server, replicas). Its data stays."""
    from engine.ledger.chains import managing

    with context.open() as kb, working(f"stopping {name}"):
        done = managing.stop(kb, name, remove=remove)
    tail = "removed" if remove else "its data stays"
    context.emit(done, lambda: line(f"{name}: {count(done['stopped'], 'program')} ended; {tail}"))


def _schedule(row: dict[str, Any]) -> str:
    """The rules in force, and those that come."""
    rules, head = row.get("rules") or [], row["head"] or 0
    now = [name for height, name in rules if height <= head][-1:]
    return ", ".join([*now, *(f"{name} from {height}" for height, name in rules if height > head)])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


for each in (create, list_, profile, choose, upgrade, replicas, checkpoint, relay, serve, fund, stop):
    chain.add_command(each)
