"""The commands `name …`: applications' names on a chain, taken, looked up, moved, and answered for over DNS and HTTP."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, count, line, lines, print_json, table
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.ledger.chain import Inclusion
    from engine.ledger.home import Connected
    from engine.ledger.naming import NameRecord

on_chain = click.option("--chain", default="main", show_default=True, help="Chain of this home.")
for_days = click.option(
    "--days", type=click.FloatRange(1 / 24, 3650), default=365, show_default=True, help="For how long."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def name() -> None:
    """Names of applications: register, resolve, move, renew, hand over, list, serve."""


@contextmanager
def registry(context: Context, chain: str, *, makes: bool = False) -> Iterator[tuple[KnowledgeBase, Connected]]:
    """The knowledge base and the chain; the default chain is made by whoever registers the first name."""
    from engine.graph.keys import KeyRing
    from engine.ledger import home

    with context.open(makes=makes) as kb:
        if kb.home is None:
            raise InputError("a knowledge base that keeps nothing has no chain", place="--home", remedy="name a folder")
        keys = KeyRing(kb.home / "keys")
        if makes and chain == home.DEFAULT:
            yield kb, home.ensure(kb.home, keys, kb.author)
        else:
            yield kb, home.connect(kb.home, chain, keys=keys)


@command("register")
@click.argument("name")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@for_days
@click.option(
    "--operator", metavar="ADDRESS", help="Who may move the end points beside you, an orchestrator's key say."
)
@click.option("--application", help="What it is a name of: IRI, local name or label.")
@on_chain
def register_(
    context: Context,
    name: str,
    urls: tuple[str, ...],
    days: float,
    operator: str | None,
    application: str | None,
    chain: str,
) -> None:
    """Take NAME, which answers at URL…; say so in the graph `ledger`."""
    from engine.ledger import naming

    with registry(context, chain, makes=True) as (kb, connected):
        of = find(kb, application, "dapp:QualityCriticalApplication") if application else None
        done = naming.register(
            connected, kb.author, name, endpoints=urls, duration=round(days * 86400), operator=operator
        )
        naming.state_name(kb, connected, name, application=of)
        show_done(context, naming.record(connected, name), done)


@command("resolve")
@click.argument("name")
@on_chain
def resolve_(context: Context, name: str, chain: str) -> None:
    """Where NAME answers now."""
    from engine.ledger import naming

    with registry(context, chain) as (_, connected):
        found = naming.resolve(connected, name)
    context.emit(found.json(), lines(*found.endpoints or ("(no end points)",)))


@command("renew")
@click.argument("name")
@for_days
@on_chain
def renew_(context: Context, name: str, days: float, chain: str) -> None:
    """Extend NAME, from its expiry."""
    from engine.ledger import naming

    with registry(context, chain) as (kb, connected):
        done = naming.renew(connected, kb.author, name, round(days * 86400))
        naming.state_name(kb, connected, name)
        show_done(context, naming.record(connected, name), done)


@command("move")
@click.argument("name")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@on_chain
def move_(context: Context, name: str, urls: tuple[str, ...], chain: str) -> None:
    """Let NAME answer at URL… from now on (none: nowhere). No transaction when it does so already."""
    from engine.ledger import naming

    with registry(context, chain) as (kb, connected):
        done = naming.move(connected, kb.author, name, urls)
        naming.state_name(kb, connected, name)
        show_done(context, naming.record(connected, name), done)


@command("operator")
@click.argument("name")
@click.argument("address", required=False)
@on_chain
def operator_(context: Context, name: str, address: str | None, chain: str) -> None:
    """Let ADDRESS move NAME's end points, too; without ADDRESS only you can."""
    from engine.ledger import naming

    with registry(context, chain) as (kb, connected):
        done = naming.set_operator(connected, kb.author, name, address)
        show_done(context, naming.record(connected, name), done)


@command("transfer")
@click.argument("name")
@click.argument("address")
@on_chain
def transfer_(context: Context, name: str, address: str, chain: str) -> None:
    """Give NAME to ADDRESS for good."""
    from engine.ledger import naming

    with registry(context, chain) as (kb, connected):
        done = naming.transfer(connected, kb.author, name, address)
        naming.state_name(kb, connected, name)
        show_done(context, naming.record(connected, name), done)


@command("list")
@click.option("--owner", metavar="ADDRESS", help="Only names that this address registered.")
@click.option(
    "--refresh", is_flag=True, help="Also bring the graph `ledger` to what the registry says of names stated there."
)
@on_chain
def list_(context: Context, owner: str | None, refresh: bool, chain: str) -> None:
    """Every name of a chain, with where it answers and until when it is held."""
    from engine.ledger import naming

    with registry(context, chain) as (kb, connected):
        changed = naming.follow(kb, connected) if refresh else []
        found = [naming.record(connected, each) for each in naming.names(connected, owner=owner)]

    def show() -> None:
        rows = [(r.name, ", ".join(r.endpoints), str(r.version), state(r), r.owner) for r in found]
        table("", ["name", "answers at", "version", "until", "owner"], rows, right=["version"])
        line(count(len(found), "name") + (f", restated: {', '.join(changed)}" if changed else ""))

    context.emit([r.json() for r in found], show)


@command("serve")
@click.option("--dns-port", type=click.IntRange(0, 65535), default=5300, show_default=True, help="UDP and TCP; 0: any.")
@click.option("--http-port", type=click.IntRange(0, 65535), default=8053, show_default=True, help="0: any.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="A loopback address.")
@click.option("--ttl", type=click.IntRange(0, 86400), help="Seconds others may remember an answer.  [default: 5]")
@click.option("--suffix", metavar="ZONE", help="Names are asked below this zone: NAME.ZONE.  [default: as they are]")
@on_chain
def serve_(
    context: Context, dns_port: int, http_port: int, host: str, ttl: int | None, suffix: str | None, chain: str
) -> None:
    """Answer for the names of a chain over DNS and HTTP on this machine, until Ctrl-C.

    Try `dig -p 5300 @127.0.0.1 NAME`, also with types SRV, URI and TXT; or GET /resolve?name=NAME on the HTTP port. More
    settings: DAPPOPS_NAMES_FRESH, DAPPOPS_NAMES_CONNECTIONS, DAPPOPS_NAMES_PATIENCE.
    """
    from engine.ledger.naming.answering import Resolver, Settings
    from engine.ledger.naming.serve import serving

    given = {"DAPPOPS_NAMES_TTL": "" if ttl is None else str(ttl), "DAPPOPS_NAMES_SUFFIX": suffix or ""}
    settings = Settings.of({**os.environ, **{k: v for k, v in given.items() if v}})
    with (
        registry(context, chain) as (_, connected),
        serving(Resolver(connected, settings), host=host, dns_port=dns_port, http_port=http_port) as serving_at,
    ):
        data = {"host": host, "dns": serving_at.dns, "http": serving_at.http, "pid": os.getpid()}
        if context.json:
            print_json(data)
        else:
            line(
                f"DNS {host}:{serving_at.dns} (UDP, TCP), http://{host}:{serving_at.http}/resolve?name=…  (Ctrl-C ends it)"
            )
        sys.stdout.flush()  # whoever started this waits for the line
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        while not ended.wait(1):
            pass


def state(found: NameRecord) -> str:
    """Until when a name is held, for people."""
    until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(found.expires))
    return until if found.alive else f"expired {until}"


def show_done(context: Context, found: NameRecord, done: Inclusion | None) -> None:
    """A name after a change."""
    data: dict[str, Any] = {
        **found.json(), "transaction": f"0x{done.transaction.hex()}" if done else None, "gas": done.gas_used if done else 0,
    }  # fmt: skip

    def show() -> None:
        line(
            f"{found.name}: {', '.join(found.endpoints) or 'no end points'} (version {found.version}, until {state(found)})"
        )
        line(f"owner {found.owner}" + (f", operator {found.operator}" if found.operator else ""))
        line(f"block {done.block}, {done.gas_used:,} gas" if done else "nothing changed, no transaction")

    context.emit(data, show)


for each in (register_, resolve_, renew_, move_, operator_, transfer_, list_, serve_):
    name.add_command(each)
