"""The commands `contract …`: contracts for an application, from its requirements to their handing over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, count, line, short, table, working
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.ledger.application.agreed import Agreement
    from engine.ledger.application.templates import Group
    from engine.ledger.chain import Inclusion
    from engine.ledger.home import Connected

F = TypeVar("F", bound=Callable[..., Any])
APPLICATION = "dapp:QualityCriticalApplication"
on_chain = click.option("--chain", default="main", show_default=True, help="Chain of this home.")
only = (
    click.option("--template", "templates", multiple=True, metavar="NAME", help="Only this contract; may be repeated."),
    click.option("--requirement", "requirements", multiple=True, metavar="NAME", help="Only what fulfils it; repeatable."),
    click.option("--share", "shares", multiple=True, metavar="ADDRESS=PART", help="Of a RevenueShare; may be repeated."),
    click.option("--member", "members", multiple=True, metavar="ADDRESS", help="Who decides.  [default: participants' accounts]"),
    click.option("--guardian", "guardians", multiple=True, metavar="ADDRESS", help="Who may pause, besides members."),
    click.option("--operator", "operators", multiple=True, metavar="ADDRESS", help="Who works.  [default: this node; witnesses]"),
    click.option("--quorum", type=click.IntRange(1, 64), help="How many members agree.  [default: more than half]"),
)  # fmt: skip
signing = (
    click.option("--signature", "signatures", multiple=True, metavar="HEX", help="Of another member; may be repeated."),
    click.option("--sign-only", is_flag=True, help="Print what members sign and the signatures of keys here; send nothing."),
)  # fmt: skip


def options(group: Sequence[Any]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def add(function: F) -> F:
        for option in reversed(group):
            function = option(function)
        return function

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def contract() -> None:
    """Contracts made for an application: templates, forecast, deploy, status, pause, unpause, patch, migrate."""


@contextmanager
def opened(context: Context, chain: str, *, makes: bool = False) -> Iterator[tuple[KnowledgeBase, Connected]]:
    """The knowledge base and the chain; `makes`: the default chain is made when there is none."""
    from engine.graph.keys import KeyRing
    from engine.ledger import home

    with context.open() as kb:
        if kb.home is None:
            raise InputError("a knowledge base that keeps nothing has no chain", place="--home", remedy="name a folder")
        keys = KeyRing(kb.home / "keys")
        make = makes and chain == home.DEFAULT
        with home.ensure(kb.home, keys, kb.author) if make else home.connect(kb.home, chain, keys=keys) as connected:
            yield kb, connected


# -- before ----------------------------------------------------------------------------------------------------------
@command("templates")
@click.argument("application", required=False)
def templates_(context: Context, application: str | None) -> None:
    """The templates; with APPLICATION, which requirement calls for which and why."""
    from engine.ledger import application as room

    if application is None:
        known = [
            {"template": t.name, "about": t.about, "daily": t.daily, "view": t.view} for t in room.TEMPLATES.values()
        ]
        context.emit(known, lambda: table("", ["template", "for"], [(t["template"], t["about"]) for t in known]))
        return
    with context.open() as kb:
        found = room.needs(kb, find(kb, application, APPLICATION))

    def show() -> None:
        for needed in found.contracts:
            line(f"{needed.template}: {room.TEMPLATES[needed.template].about}", style="bold")
            for requirement in needed.requirements:
                line(f"  fulfils {short(requirement)}")
            for why in needed.why:
                line(f"  because {why}")
            for note in (*needed.notes, *([f"missing: {needed.missing}"] if needed.missing else [])):
                line(f"  {note}", style="yellow")
        line(f"{count(len(found.without), 'requirement')} without a template: kept without a contract, or not at all")
        for requirement, kind in found.without:
            line(f"  {short(requirement)} ({kind})")

    context.emit(found.as_json(), show)


@command("forecast")
@click.argument("application")
@options(only)
@click.option("--gas-price", type=click.FloatRange(0), metavar="GWEI", help="Instead of the chain's present one.")
@on_chain
def forecast_(context: Context, application: str, gas_price: float | None, chain: str, **chosen: Any) -> None:
    """What APPLICATION's contracts will cost to deploy and to run for a month, before anything is deployed."""
    from engine.ledger import application as room

    with opened(context, chain, makes=True) as (kb, connected), working("measuring on a scratch chain"):
        needed, groups = selected(kb, application, chosen)
        price = None if gas_price is None else round(gas_price * 1e9)
        found = room.forecast(connected, needed, groups, kb.author, price=price)
    context.emit(found.as_json(), lambda: show_forecast(found.as_json()))


def selected(kb: KnowledgeBase, application: str, chosen: dict[str, Any]) -> tuple[Any, dict[str, Group]]:
    """What is to be deployed, by the options, and the group of each."""
    from engine.ledger import application as room

    iri = find(kb, application, APPLICATION)
    shares = [share(text) for text in chosen["shares"]]
    requirements = [find(kb, r) for r in chosen["requirements"]]
    needed = room.needs(kb, iri, shares=shares).only(chosen["templates"], requirements)
    groups = {
        n.template: needed.group(
            n, kb.author, members=chosen["members"], guardians=chosen["guardians"], operators=chosen["operators"],
            quorum=chosen["quorum"] or 0,
        )
        for n in needed.contracts
    }  # fmt: skip
    return needed, groups


def share(text: str) -> tuple[str, int]:
    """`0x…=3`."""
    account, _, part = text.partition("=")
    if not part.isdecimal():
        raise InputError(f"{text!r} is no share", place="--share", rule="ADDRESS=PART, a whole number of parts")
    return account, int(part)


def show_forecast(found: dict[str, Any]) -> None:
    """A forecast for people."""
    rows = []
    for each in found["contracts"]:
        calls = ", ".join(f"{name} {seen['gas']:,}" for name, seen in each["calls"].items())
        month = "no rate stated" if each["calls_a_month"] is None else f"{each['calls_a_month']:,} × {each['daily']}"
        rows.append(
            (
                each["template"],
                f"{each['deployment_gas']:,}",
                tokens(each["deployment_wei"]),
                calls,
                month,
                tokens(each["month_wei"]),
            )
        )
    table(
        f"chain {found['chain']}, gas at {int(found['gas_price_wei']) / 1e9:g} gwei",
        ["contract", "gas to deploy", "tokens", "gas a call", "calls a month", "tokens a month"], rows,
        right=["gas to deploy", "tokens", "tokens a month"],
    )  # fmt: skip
    line(
        f"deploy: {found['deployment_gas']:,} gas, {tokens(found['deployment_wei'])} tokens; a month: {tokens(found['month_wei'])} tokens"
    )
    for name, why in found["left_out"].items():
        line(f"{name} is left out; missing: {why}", style="yellow")


def tokens(wei: str | None) -> str:
    """Wei as whole tokens, for people."""
    return "" if wei is None else f"{int(wei) / 1e18:.6g}"


@command("deploy")
@click.argument("application")
@options(only)
@on_chain
def deploy_(context: Context, application: str, chain: str, **chosen: Any) -> None:
    """Deploy what APPLICATION's requirements call for, behind proxies, and say so in the graph `ledger`."""
    from engine.ledger import application as room

    with opened(context, chain, makes=True) as (kb, connected), working("deploying"):
        needed, groups = selected(kb, application, chosen)
        done = room.deploy(kb, connected, needed, groups)
    left_out = {n.template: n.missing for n in needed.contracts if n.missing}

    def show() -> None:
        rows = [
            (d.template, d.address, ", ".join(short(r) for r in d.requirements), f"{d.gas:,}", f"{d.error or 0:+.2%}")
            for d in done
        ]
        table(
            "", ["contract", "address", "fulfils", "gas", "against forecast"], rows, right=["gas", "against forecast"]
        )
        for name, why in left_out.items():
            line(f"{name} is left out; missing: {why}", style="yellow")

    context.emit({"deployed": [d.as_json() for d in done], "left_out": left_out}, show)


# -- afterwards ------------------------------------------------------------------------------------------------------
@command("status")
@click.argument("contract", required=False)
@click.option("--compare", is_flag=True, help="Forecast again, and say how far off it is from the gas really used.")
@on_chain
def status_(context: Context, contract: str | None, compare: bool, chain: str) -> None:
    """How CONTRACT (an address or template; default: all of this chain) is, and what its calls cost."""
    from engine.ledger import application as room
    from engine.ledger.application.operate import compared, pick
    from engine.ledger.naming.statements import GRAPH, ledger_iri

    with opened(context, chain) as (kb, connected):
        ledger = ledger_iri(kb.graph_iri(GRAPH), connected.record.name)
        chosen = [pick(kb, connected, contract)] if contract else [k for k in room.known(kb) if k.ledger == ledger]
        found = []
        for one in chosen:
            told = room.status(connected, one)
            if compare and told["used"]:
                needed = room.needs(kb, one.application).only([one.template])
                groups = {n.template: needed.group(n, kb.author) for n in needed.contracts}
                calls = room.forecast(connected, needed, groups, kb.author).of(one.template).calls
                told["used"] = compared(told, calls)
            found.append(told)

    def show() -> None:
        for told in found:
            state = "handed over" if told["successor"] else "paused" if told["paused"] else "working"
            line(f"{told['template']} {told['address']}: {state}", style="bold")
            line(f"  logic {told['implementation']}, {told['quorum']} members agree, {told['nonce']} agreements so far")
            if told["successor"]:
                line(f"  now {told['successor']['address']} on chain {told['successor']['chain_id']}")
            for name, seen in told["used"].items():
                off = seen.get("forecast_error")
                told_off = "" if off is None else f", forecast {seen['forecast_gas']:,} ({off:+.2%})"
                line(f"  {name}: {count(seen['calls'], 'call')}, {seen['mean_gas']:,} gas on average{told_off}")
        if not found:
            line("no contracts")

    context.emit(found, show)


@command("pause")
@click.argument("contract")
@on_chain
def pause_(context: Context, contract: str, chain: str) -> None:
    """Stop CONTRACT's daily work; withdrawals go on."""
    from engine.ledger import application as room
    from engine.ledger.application.operate import pick

    with opened(context, chain) as (kb, connected):
        one = pick(kb, connected, contract)
        done = room.pause(kb, connected, one)
    show_act(context, one.address, done)


@command("unpause")
@click.argument("contract")
@options(signing)
@on_chain
def unpause_(context: Context, contract: str, signatures: tuple[str, ...], sign_only: bool, chain: str) -> None:
    """Let CONTRACT work again, when enough members agree."""
    from engine.ledger import application as room
    from engine.ledger.application.operate import pick

    with opened(context, chain) as (kb, connected):
        one = pick(kb, connected, contract)
        done = room.unpause(kb, connected, one, signatures=parsed(signatures), sign_only=sign_only)
    show_act(context, one.address, done)


@command("patch")
@click.argument("contract")
@click.option("--implementation", metavar="ADDRESS", help="The logic.  [default: the template's version shipped here]")
@click.option("--call", "call_data", metavar="HEX", default="", help="Call data for the new logic, once.")
@options(signing)
@on_chain
def patch_(
    context: Context,
    contract: str,
    implementation: str | None,
    call_data: str,
    signatures: tuple[str, ...],
    sign_only: bool,
    chain: str,
) -> None:
    """Put other logic behind CONTRACT's address, when enough members agree; its state stays."""
    from engine.ledger import application as room
    from engine.ledger.application.operate import pick

    with opened(context, chain) as (kb, connected):
        one = pick(kb, connected, contract)
        done = room.patch(
            kb, connected, one, implementation=implementation, call=raw_bytes(call_data, "--call"),
            signatures=parsed(signatures), sign_only=sign_only,
        )  # fmt: skip
    show_act(context, one.address, done)


@command("migrate")
@click.argument("contract")
@click.option("--to-chain", metavar="NAME", help="Another chain of this home.  [default: the same]")
@click.option("--successor", metavar="ADDRESS", help="Made before by this command.  [default: a new one]")
@click.option("--state-root", metavar="HEX", help="Told with the successor's address.")
@options(only[2:])
@options(signing)
@on_chain
def migrate_(
    context: Context,
    contract: str,
    to_chain: str | None,
    successor: str | None,
    state_root: str | None,
    signatures: tuple[str, ...],
    sign_only: bool,
    chain: str,
    **chosen: Any,
) -> None:
    """Hand CONTRACT over to a successor made from the present description, when enough members agree; it freezes for ever.

    With several members: the first run with --sign-only makes the successor and tells its address and state root; the others
    give both with --successor and --state-root.
    """
    from engine.ledger import application as room
    from engine.ledger.application.operate import Successor, pick, succeed
    from engine.ledger.chain import lower

    if (successor is None) != (state_root is None):
        raise click.UsageError("--successor and --state-root belong together")
    with opened(context, chain) as (kb, connected):
        one = pick(kb, connected, contract)
        from engine.graph.keys import KeyRing
        from engine.ledger import home

        assert kb.home is not None
        other = home.connect(kb.home, to_chain, keys=KeyRing(kb.home / "keys")) if to_chain else None
        there = other or connected
        if successor is not None:
            to = Successor(there.chain.chain_id, lower(successor), raw_bytes(state_root or "", "--state-root"))
        else:
            asked = {"templates": (one.template,), "requirements": (), **chosen}
            needed, groups = selected(kb, one.application, asked)
            to = succeed(kb, connected, one, needed, groups[one.template], there)
        try:
            done = room.migrate(kb, connected, one, to, there=there, signatures=parsed(signatures), sign_only=sign_only)
        except InputError as error:
            again = f"--successor {to.address} --state-root 0x{to.state_root.hex()}"
            raise InputError(
                error.message, place=error.place, rule=error.rule, remedy=f"{error.remedy} (with {again})"
            ) from error
        finally:
            if other is not None:
                other.close()
    show_act(
        context,
        one.address,
        done,
        successor={"chain_id": to.chain_id, "address": to.address, "state_root": "0x" + to.state_root.hex()},
    )


def parsed(texts: Sequence[str]) -> list[bytes]:
    """Signatures as bytes."""
    return [raw_bytes(text, "--signature") for text in texts]


def raw_bytes(text: str, place: str) -> bytes:
    """Bytes of hexadecimal text."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise InputError(f"{text[:40]!r} is not hexadecimal", place=place, rule="0x and hexadecimal digits") from error


def show_act(context: Context, address: str, done: Agreement | Inclusion, **more: Any) -> None:
    """What an act came to: a transaction, or what is to be signed."""
    from engine.ledger.application.agreed import Agreement

    if isinstance(done, Agreement):
        told = {"contract": address, **done.as_json(), **more}

        def show() -> None:
            line(f"digest 0x{done.digest.hex()}, {len(done.signatures)} of {done.quorum} signatures")
            for signer, signature in sorted(done.signatures.items()):
                line(f"{signer}: 0x{signature.hex()}")
            for name, value in more.items():
                line(f"{name}: {value}")

        context.emit(told, show)
        return
    sent = {
        "contract": address, "transaction": "0x" + done.transaction.hex(), "block": done.block, "gas": done.gas_used,
        "fee_wei": str(done.fee), **more,
    }  # fmt: skip
    context.emit(sent, lambda: line(f"{address}: block {done.block}, {done.gas_used:,} gas"))


for _each in (templates_, forecast_, deploy_, status_, pause_, unpause_, patch_, migrate_):
    contract.add_command(_each)
