"""Commands of a witness: make one, measure for an agreement and vote, attest a reading. See `engine.ledger.agreements.witness`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, line, lines, print_json, short
from engine.commands.sla import version_iri
from engine.errors import BusyError, InputError

FOLDER = click.Path(file_okay=False, path_type=Path)
PROBE = {"http": "URL", "tcp": "HOST:PORT", "sparql": "URL", "prometheus": "URL"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def witness() -> None:
    """Witnesses: processes with keys of their own that measure, vote, and attest readings."""


@command("init")
@click.argument("folder", type=FOLDER)
def init_(context: Context, folder: Path) -> None:
    """Make a witness's folder with a key (encrypted when DAPPOPS_PASSPHRASE is set); prints its account."""
    from engine.ledger.agreements import make_witness

    account = make_witness(folder, passphrase=os.environ.get("DAPPOPS_PASSPHRASE"))
    context.emit({"account": account, "folder": str(folder)}, lines(account))


@command("run")
@click.option("--agreement", metavar="VERSION", help="The agreement version, from this knowledge base.")
@click.option(
    "--assignment",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The version as a file (`sla show -o`).",
)
@click.option("--folder", type=FOLDER, required=True, help="The witness's folder: its key and measurements.")
@click.option("--key", "account", metavar="ADDRESS", help="Which key of the folder (default: the oldest).")
@click.option("--spool", type=FOLDER, help="Hand in through this folder; the knowledge base is not touched.")
@click.option(
    "--patience", type=float, metavar="SECONDS", help="After the end, open the vote although others have not sealed."
)
def run_(
    context: Context, agreement: str | None, assignment: Path | None, folder: Path, account: str | None, spool: Path | None,
    patience: float | None,
) -> None:  # fmt: skip
    """Measure an agreement's period, seal a vote, open it. Ended and started again it goes on where it was."""
    from engine.graph.keys import KeyRing
    from engine.ledger.agreements.exchange import checked, load
    from engine.ledger.agreements.model import graph_of

    keys = KeyRing(folder / "keys")
    stored = keys.addresses()
    if account is None and not stored:
        raise InputError("this folder has no key", place=str(folder), remedy=f"dappops witness init {folder}")
    key = keys.unlock(account or stored[0])
    if (agreement is None) == (assignment is None):
        raise click.UsageError("give --agreement or --assignment")
    if assignment is not None and spool is not None:  # a witness without a knowledge base
        _run(context, load(assignment.read_text(encoding="utf-8"), str(assignment)), key, folder, None, spool, patience)
        return
    with context.open() as kb:
        if assignment is not None:
            signed = load(assignment.read_text(encoding="utf-8"), str(assignment))
        else:
            signed = checked(kb.call("signed_graph", graph=graph_of(version_iri(kb, str(agreement)))))
        _run(context, signed, key, folder, kb.home, spool, patience)


def _run(
    context: Context, signed: Any, key: Any, folder: Path, home: Path | None, spool: Path | None, patience: float | None
) -> None:
    from engine.ledger.agreements.witness import Witness, desk_for

    def say(what: str, data: dict[str, Any]) -> None:
        if context.json:
            print_json({"event": what, **data})
        else:
            line(f"{what:<10} {', '.join(f'{k} {short(str(v))}' for k, v in data.items())}")

    made = Witness(signed, key, folder / "measurements", desk_for(signed, key, home, spool), patience=patience, say=say)
    signal.signal(signal.SIGTERM, lambda number, frame: made.stop())
    made.run()


@command("probe")
@click.argument("kind", type=click.Choice(sorted(PROBE)))
@click.argument("target")
@click.option("--query", default="", help="SPARQL, PromQL, a series, or (http) a JSON pointer to a number.")
@click.option("--expect", default="", help="Text that the answer must contain.")
@click.option("--timeout", type=float, default=2.0, show_default=True, metavar="SECONDS")
def probe_(context: Context, kind: str, target: str, query: str, expect: str, timeout: float) -> None:
    """Measure once, to see what a witness would see. Exit code 1 when it does not answer as it should."""
    from engine.ledger.agreements.probes import Probe, check, measure

    found = measure(check(Probe(kind, target, timeout, query, expect)))
    data = {"good": found.good, "seconds": found.seconds, "value": found.value, "detail": found.detail}
    value = "" if found.value is None else f", value {found.value:g}"
    context.emit(
        data, lines(f"{'good' if found.good else 'bad'}: {found.detail}, {found.seconds * 1000:.1f} ms{value}")
    )
    if not found.good:
        raise click.exceptions.Exit(1)


@command("collect")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def collect_(context: Context, folder: Path) -> None:
    """Take what witnesses signed in a folder into the knowledge base. Exit code 1 when something was refused."""
    from engine.ledger.agreements import collect

    with context.open() as kb:
        new, refused = collect(kb, folder)
    context.emit(
        {"new": new, "refused": refused},
        lines(*(f"taken    {short(g)}" for g in new), *(f"refused  {r}" for r in refused)),
    )
    if refused:
        raise click.exceptions.Exit(1)


@command("attest")
@click.option("--folder", type=FOLDER, required=True, help="The witness's folder.")
@click.option("--contract", required=True, metavar="ADDRESS", help="The application's contract (ReadingLog).")
@click.option("--series", required=True, help="Name of the series (its keccak-256), or its 64 hexadecimal digits.")
@click.option("--metric", required=True, help="The metric in the graph.")
@click.option("--http", "url", required=True, metavar="URL", help="Where the value is served.")
@click.option("--query", default="", metavar="POINTER", help="JSON pointer to the number, such as /temperature.")
@click.option(
    "--round",
    "period",
    type=int,
    default=60,
    show_default=True,
    help="Seconds of a round: all witnesses take its start.",
)
@click.option(
    "--tolerance", type=float, default=1.0, show_default=True, help="Most that the median may be from the own reading."
)
@click.option(
    "--patience", type=float, default=10.0, show_default=True, help="Seconds to wait for the others' readings."
)
@click.option("--chain", metavar="NAME", help="A chain of this home (default: main).")
def attest_(
    context: Context, folder: Path, contract: str, series: str, metric: str, url: str, query: str, period: int, tolerance: float,
    patience: float, chain: str | None,
) -> None:  # fmt: skip
    """Take part in one round of an oracle: measure, agree on the median, bring it to the contract when a quorum has signed."""
    from engine.graph.keys import KeyRing
    from engine.ledger.agreements import oracle
    from engine.ledger.agreements.desk import SocketDesk
    from engine.ledger.agreements.probes import Probe
    from engine.ledger.agreements.versions import chain_of
    from engine.ledger.knowledge import folder_of

    keys = KeyRing(folder / "keys")
    key = keys.unlock((keys.addresses() or [""])[0])
    with context.open() as kb:
        connected = chain_of(kb, name=chain)
        asked = oracle.Round(
            connected.chain.chain_id, contract, oracle.series_of(series), find(kb, metric, "dapp:Metric"),
            int(time.time()) // period * period,
        )  # fmt: skip
        base = kb.graph_iri("main").split("/g/", 1)[0]
        desk = SocketDesk(folder_of(kb), key, f"{base}/g/{key.address}/witness")
        try:
            data = oracle.take_part(
                kb, connected, asked, key, base, desk, Probe("http", url, 2.0, query),
                tolerance=oracle.millionths(tolerance), patience=patience,
            )  # fmt: skip
        except BusyError as error:
            if context.json:
                raise
            line(error.message, style="yellow")
            raise click.exceptions.Exit(4) from error
    context.emit(data, lines(*(f"{k:<12} {v}" for k, v in data.items() if v is not None)))


for _command in (init_, run_, probe_, collect_, attest_):
    witness.add_command(_command)
