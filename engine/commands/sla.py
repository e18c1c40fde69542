"""Commands for agreements: propose, answer, sign, open, settle, and what became of them. What each does is `engine.ledger.agreements`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.graph import find
from engine.commands.output import Context, command, count, line, lines, short, table, working
from engine.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.ledger.home import Connected

FILE = click.Path(dir_okay=False, path_type=Path)
SETTERS = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="A term; lists and mappings as JSON. May be repeated."
)
CHAIN = click.option("--chain", metavar="NAME", help="A chain of this home (default: main, or that of the version).")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def sla() -> None:
    """Agreements: propose, counter, accept, open, settle, and the reputation that follows."""


# -- finding ---------------------------------------------------------------------------------------------------------
def version_iri(kb: KnowledgeBase, text: str) -> str:
    """The version a person means: its IRI, `name-v2`, or a name (then its newest version)."""
    from engine.ledger.agreements.model import graph_of, parts_of
    from engine.ledger.knowledge import rows_of

    if "://" in text:
        return f"{graph_of(text)}/terms"
    known: dict[str, tuple[int, str]] = {}
    for row in rows_of(kb, "sla-versions"):
        _, name, number = parts_of(row["version"])
        known[f"{name}-v{number}"] = (number, row["version"])
        known[name] = max(known.get(name, (0, "")), (number, row["version"]))
    wanted = text.removeprefix("sla-").removesuffix("/terms")
    if wanted not in known:
        raise InputError(
            f"no agreement {text!r}{did_you_mean(wanted, known)}", remedy="see `dappops sla status`, or give its IRI"
        )
    return known[wanted][1]


def connected_to(kb: KnowledgeBase, chain: str | None, version: str | None = None) -> Connected:
    """The chain of a version, or the one named, or `main`."""
    from engine.ledger.agreements.versions import chain_of, read

    if version is not None and chain is None:
        return chain_of(kb, read(kb, version))
    return chain_of(kb, name=chain)


def changed(changes: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` as terms."""
    found: dict[str, Any] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set {text!r}: write KEY=VALUE")
        try:
            found[key] = json.loads(value) if value[:1] in "[{" else value
        except json.JSONDecodeError as error:
            raise InputError(f"not JSON: {error}", place=f"--set {key}") from error
    return found


def tell(context: Context, data: dict[str, Any], *keys: str) -> None:
    """Print some of what a call returned, a line each."""
    context.emit(
        data, lines(*(f"{key:<12} {short(str(data[key]))}" for key in keys if data.get(key) not in (None, "")))
    )


# -- proposing -------------------------------------------------------------------------------------------------------
@command("propose")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from-plan", "application", metavar="APPLICATION", help="Terms that follow from its newest plan.")
@click.option("--draw", type=int, metavar="N", help="Draw N witnesses from those registered on the chain.")
@SETTERS
@CHAIN
def propose_(
    context: Context,
    file: Path | None,
    application: str | None,
    draw: int | None,
    changes: tuple[str, ...],
    chain: str | None,
) -> None:
    """Propose an agreement: terms from a YAML file, from a plan, or both, changed by --set."""
    from engine.ledger import agreements
    from engine.ledger.agreements.terms import read_yaml

    given = read_yaml(file.read_text(encoding="utf-8"), str(file)) if file is not None else {}
    given |= changed(changes)
    with context.open() as kb:
        connected = connected_to(kb, chain)
        bases = (
            agreements.terms_from_plan(kb, find(kb, application, "dapp:QualityCriticalApplication"))
            if application
            else [{}]
        )
        made = []
        for base in bases:
            terms = {**base, **given}
            if draw is not None:
                terms["witnesses"] = agreements.draw_witnesses(
                    kb, str(terms.get("agreement", "agreement")), draw, connected=connected, author=kb.author,
                    without=[a for a in (terms.get("providerAccount"), kb.author) if a],
                )  # fmt: skip
            made.append(agreements.propose(kb, terms, connected=connected))
    context.emit({"versions": made}, lines(*made))


@command("counter")
@click.argument("version")
@SETTERS
def counter_(context: Context, version: str, changes: tuple[str, ...]) -> None:
    """Answer a version with another one in which some terms are different."""
    from engine.ledger import agreements

    with context.open() as kb:
        made = agreements.counter(kb, version_iri(kb, version), changed(changes))
    context.emit({"version": made}, lines(made))


@command("accept")
@click.argument("version")
@click.option("--account", metavar="ADDRESS", help="Whose key signs (default: the side whose key is here).")
@click.option("-o", "--output", type=FILE, help="Write the signature to a file, too, for the other side.")
def accept_(context: Context, version: str, account: str | None, output: Path | None) -> None:
    """Sign a version's terms (EIP-712) as one of its sides."""
    from engine.ledger import agreements

    with context.open() as kb:
        signed = agreements.accept(kb, version_iri(kb, version), account=account)
    if output is not None:
        output.write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")
    tell(context, signed, "account", "agreement", "termsHash", "signature")


@command("take")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def take_(context: Context, files: tuple[Path, ...]) -> None:
    """Take what others signed: versions, signatures, or a folder of witnesses' votes."""
    from engine.ledger import agreements
    from engine.ledger.agreements.exchange import FORMAT, load

    done: list[dict[str, Any]] = []
    with context.open() as kb:
        for path in files:
            if path.is_dir():
                new, refused = agreements.collect(kb, path)
                done += [{"graph": g} for g in new] + [{"refused": r} for r in refused]
                continue
            text = path.read_text(encoding="utf-8")
            try:
                kind = json.loads(text).get("format")
            except (json.JSONDecodeError, AttributeError) as error:
                raise InputError("neither a signed graph nor a signature", place=str(path)) from error
            if kind == FORMAT:
                graph = load(text, str(path))
                kb.call("adopt_graph", graph=graph.as_json())
                done.append({"graph": graph.graph})
            else:
                done.append({"signature": agreements.add_signature(kb, json.loads(text))["account"]})
    context.emit(done, lines(*(" ".join(f"{k} {short(v)}" for k, v in d.items()) for d in done)))
    if any("refused" in d for d in done):
        raise click.exceptions.Exit(1)


# -- on the chain ----------------------------------------------------------------------------------------------------
@command("open")
@click.argument("version")
@click.option("--fund", is_flag=True, help="First deposit what the sides whose keys are here lack.")
def open_command(context: Context, version: str, fund: bool) -> None:
    """Open a version that both sides signed, in one transaction, before its start."""
    from engine.ledger import agreements

    with context.open() as kb, working("sending"):
        iri = version_iri(kb, version)
        data = agreements.open_(kb, iri, fund=fund)
        agreements.follow(kb, connected_to(kb, None, iri))
    tell(context, data, "version", "agreement", "state", "block", "gas", "transaction")


@command("settle")
@click.argument("version")
@click.option("--only", is_flag=True, help="Only the transaction: no judgement, no reputation.")
def settle_(context: Context, version: str, only: bool) -> None:
    """Settle by the opened votes, bring it back as triples, judge the evidence, assess the provider."""
    from engine.ledger import agreements

    with context.open() as kb, working("settling"):
        iri = version_iri(kb, version)
        data = {"settled": agreements.settle(kb, iri)} if only else agreements.conclude(kb, iri)

    def show() -> None:
        for key in ("version", "state", "block", "gas"):
            if key in data["settled"]:
                line(f"{key:<12} {short(str(data['settled'][key]))}")
        for one in data.get("assessed", {}).get("assessments", ()):
            if one["dimension"] is None:
                who = one["participant"]
                line(f"reputation   {who['label']}: at least {one['bound']:.3f}, expected {one['expected']:.3f}")

    context.emit(data, show)


@command("expire")
@click.argument("version")
def expire_(context: Context, version: str) -> None:
    """Give every side its own back, after the time for voting."""
    from engine.ledger import agreements

    with context.open() as kb, working("sending"):
        iri = version_iri(kb, version)
        data = agreements.expire(kb, iri)
        agreements.follow(kb, connected_to(kb, None, iri))
    tell(context, data, "version", "state", "block", "gas")


@command("cancel")
@click.argument("version")
@click.option("--sign", "account", metavar="ADDRESS", help="Only print this side's signature, for the other side.")
@click.option("--signature", "signatures", multiple=True, metavar="HEX", help="The other side's signature.")
def cancel_(context: Context, version: str, account: str | None, signatures: tuple[str, ...]) -> None:
    """End an open agreement by both sides, before its end."""
    from engine.ledger import agreements

    with context.open() as kb:
        iri = version_iri(kb, version)
        if account is not None:
            made = agreements.cancel_signature(kb, iri, account)
            context.emit({"account": account, "signature": made}, lines(made))
            return
        with working("sending"):
            data = agreements.cancel(kb, iri, signatures)
            agreements.follow(kb, connected_to(kb, None, iri))
    tell(context, data, "version", "state", "block", "gas")


@command("deposit")
@click.argument("account")
@click.argument("amount")
@CHAIN
def deposit_(context: Context, account: str, amount: str, chain: str | None) -> None:
    """Put tokens into an account's balance at the contract."""
    from engine.ledger import agreements
    from engine.ledger.money import to_wei

    with context.open() as kb, working("sending"):
        data = agreements.deposit(kb, account, to_wei(amount, "AMOUNT"), connected=connected_to(kb, chain))
    tell(context, {**data, "balance": whole(data["balance"])}, "account", "balance", "block")


@command("withdraw")
@click.argument("account")
@click.argument("amount", required=False)
@CHAIN
def withdraw_(context: Context, account: str, amount: str | None, chain: str | None) -> None:
    """Take tokens (default: all) out of an account's balance at the contract."""
    from engine.ledger import agreements
    from engine.ledger.money import to_wei

    with context.open() as kb, working("sending"):
        wei = None if amount is None else to_wei(amount, "AMOUNT")
        data = agreements.withdraw(kb, account, wei, connected=connected_to(kb, chain))
    told = {**data, "withdrawn": whole(data["withdrawn"]), "balance": whole(data["balance"])}
    tell(context, told, "account", "withdrawn", "balance", "block")


def whole(wei: int) -> str:
    """Wei as tokens, for people."""
    from engine.ledger.money import to_tokens

    return to_tokens(wei, exact=False).value


# -- looking ---------------------------------------------------------------------------------------------------------
@command("status")
@click.argument("version", required=False)
@click.option("--no-follow", is_flag=True, help="Do not first bring the chain's events into the graph.")
def status_(context: Context, version: str | None, no_follow: bool) -> None:
    """How an agreement stands on its chain; without one: all of them."""
    from engine.ledger import agreements
    from engine.ledger.agreements.model import parts_of
    from engine.ledger.knowledge import rows_of

    with context.open() as kb:
        wanted = (
            [version_iri(kb, version)]
            if version
            else list(dict.fromkeys(r["version"] for r in rows_of(kb, "sla-versions")))
        )
        rows = [agreements.status(kb, iri) for iri in wanted]
        if not no_follow:
            for name in sorted({r["chain"] for r in rows}):
                agreements.follow(kb, connected_to(kb, name))

    def show() -> None:
        table(
            "", ["agreement", "version", "state", "signed", "sealed", "opened", "quorum", "chain"],
            [
                (
                    parts_of(r["version"])[1], parts_of(r["version"])[2], "proposed" if r["state"] == "none" else r["state"],
                    len(r["signed"]), r["sealed"], r["opened"], f"{r['quorum']} of {len(r['witnesses'])}", r["chain"],
                )
                for r in rows
            ],
        )  # fmt: skip
        for row in rows if version else ():
            for side, told in row["sides"].items():
                line(
                    f"{side:<9} {told['account']}  balance {whole(told['balance'])}, in escrow {whole(told['escrow'])} when open"
                )
            for witness, why in row["abstained"].items():
                line(f"abstains  {short(witness)}: {why}")

    context.emit(rows[0] if version else rows, show)


@command("show")
@click.argument("version")
@click.option("-o", "--output", type=FILE, help="Write the version as its proposer signed it, for another home.")
def show_(context: Context, version: str, output: Path | None) -> None:
    """The terms of a version, and from evidence to the plan that changed."""
    from engine.ledger import agreements
    from engine.ledger.agreements.terms import terms_of
    from engine.ledger.knowledge import rows_of

    with context.open() as kb:
        iri = version_iri(kb, version)
        told, signed = agreements.contract_terms(kb, iri)
        story = rows_of(kb, "sla-story", version=iri)
        if output is not None:
            output.write_text(json.dumps(kb.call("signed_graph", graph=told.graph), indent=1) + "\n", encoding="utf-8")
    terms = terms_of(told)
    data = {
        "version": iri,
        "termsHash": signed.terms_hash.hex(),
        "agreement": signed.identifier.hex(),
        "terms": terms,
        "story": story,
    }

    def show() -> None:
        line(f"version      {iri}\nterms hash   {signed.terms_hash.hex()}\non chain     {signed.identifier.hex()}")
        for key, value in terms.items():
            if value not in ("", None):
                line(f"{key:<16} {json.dumps(value) if isinstance(value, list) else short(str(value))}")
        seen = [r for r in story if "evidence" in r]
        if seen:
            table(
                "", ["evidence", "good", "bad", "violated", "settled", "bound", "then", "now"],
                [
                    (
                        short(r["evidence"]), r["good"], r["bad"], r.get("violated", ""), short(r.get("state", "")), r.get("bound", ""),
                        short(r.get("before", "")), short(r.get("after", "")),
                    )
                    for r in seen
                ],
                right=["good", "bad", "bound"],
            )  # fmt: skip

    context.emit(data, show)


@command("follow")
@CHAIN
def follow_(context: Context, chain: str | None) -> None:
    """Bring what the contract told into the graph, and take back what a reorganisation dropped."""
    from engine.ledger import agreements

    with context.open() as kb, working("reading the chain"):
        found = agreements.follow(kb, connected_to(kb, chain))
    context.emit(
        found.as_json(),
        lines(
            f"{count(len(found.new), 'event')} new, {len(found.withdrawn)} taken back, {count(len(found.settlements), 'settlement')},"
            f" {found.pending} not final yet; up to block {found.block}"
        ),
    )


@command("reputation")
@click.argument("participant", required=False)
@click.option("--assess", is_flag=True, help="Commit what changed, for plans to read.")
def reputation_(context: Context, participant: str | None, assess: bool) -> None:
    """How likely providers keep their promises, from settled agreements."""
    with context.open() as kb:
        who = find(kb, participant, "dapp:Participant") if participant else None
        if assess:
            kb.call("assess", author=kb.author)
        data = kb.call("reputation", participant=who, author=kb.author)

    def show() -> None:
        table(
            "", ["participant", "dimension", "at least", "expected", "alpha", "beta", "settlements"],
            [
                (
                    a["participant"]["label"], a["dimension"]["label"] if a["dimension"] else "all", f"{a['bound']:.3f}",
                    f"{a['expected']:.3f}", f"{a['alpha']:.2f}", f"{a['beta']:.2f}", len(a["settlements"]),
                )
                for a in data["assessments"]
            ],
            right=["at least", "expected", "alpha", "beta", "settlements"],
        )  # fmt: skip

    context.emit(data, show)


for _command in (
    propose_, counter_, accept_, take_, open_command, settle_, expire_, cancel_, deposit_, withdraw_, status_, show_, follow_,
    reputation_,
):  # fmt: skip
    sla.add_command(_command)
