"""What contracts will cost, before anything is deployed.

Gas depends on the machine's rules alone, so it is measured: the same contracts are deployed and called on a scratch chain
that lives as long as the forecast, with as many members, operators and series as the real ones. The price of gas is the
target chain's, now. The target is also asked for its own estimate (`eth_estimateGas`) of the largest message, since a chain
may charge more than the EVM's rules say (rollups do).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.graph.keys import Key, KeyRing
from engine.ledger.application import agreed
from engine.ledger.application.needs import Needs
from engine.ledger.application.templates import NOWHERE, Group, Needed, Origin, arguments, template
from engine.ledger.chain import Address, Chain, Inclusion, Message, Reverted, lower, raw
from engine.ledger.contracts import Contract, artifact, interface
from engine.ledger.eip712 import Domain, for_contract
from engine.ledger.embedded.schedule import Genesis
from engine.ledger.home import Connected

MONTH_S = 30 * 86_400
PROXY = "ApplicationProxy"
SCRATCH_ID = 1_337
_RICH = 10**24


@dataclass(frozen=True, slots=True)
class Fees:
    """Of one contract: gas, and wei at the forecast's price. `calls`: gas of each function; `monthly`: of the daily one."""

    template: str
    logic: int
    """0 when the chain has it already."""
    proxy: int
    calls: Mapping[str, int]
    calls_a_month: int | None
    """None when the description states no rate."""
    told: int | None = None
    """What the chain itself estimates for the logic, where it was asked."""

    def deployment(self) -> int:
        """Gas to deploy it."""
        return self.logic + self.proxy

    def monthly(self) -> int | None:
        """Gas of a month of daily calls."""
        if self.calls_a_month is None:
            return None
        return self.calls_a_month * self.calls[template(self.template).daily]

    def as_json(self, price: int) -> dict[str, Any]:
        """For programs; fees in wei as text."""
        monthly = self.monthly()
        return {
            "template": self.template, "logic_gas": self.logic, "proxy_gas": self.proxy,
            "deployment_gas": self.deployment(), "deployment_wei": str(price * self.deployment()),
            "calls": {n: {"gas": g, "wei": str(price * g)} for n, g in self.calls.items()},
            "daily": template(self.template).daily, "calls_a_month": self.calls_a_month, "month_gas": monthly,
            "month_wei": None if monthly is None else str(price * monthly), "logic_gas_told_by_chain": self.told,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forecast:
    """Fees of several contracts on one chain; `price` in wei for each gas. `left_out`: what cannot be deployed, and why."""

    chain: str
    price: int
    contracts: tuple[Fees, ...]
    left_out: Mapping[str, str]

    def of(self, name: str) -> Fees:
        """The fees of one template's contract."""
        return next(f for f in self.contracts if f.template == name)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        known = [m for f in self.contracts if (m := f.monthly()) is not None]
        return {
            "chain": self.chain, "gas_price_wei": str(self.price),
            "contracts": [f.as_json(self.price) for f in self.contracts], "left_out": dict(self.left_out),
            "deployment_gas": sum(f.deployment() for f in self.contracts),
            "deployment_wei": str(self.price * sum(f.deployment() for f in self.contracts)),
            "month_gas": sum(known), "month_wei": str(self.price * sum(known)),
        }  # fmt: skip


def gas_price(chain: Chain) -> int:
    """Wei for each gas now (https://ethereum.org/developers/docs/apis/json-rpc/#eth_gasprice); an embedded chain asks none."""
    node = getattr(chain, "node", None)
    return int(node.ask("eth_gasPrice"), 16) if node is not None else 0


def logic_name(name: str) -> str:
    """Under which name a chain's description remembers a template's logic: another version is another logic."""
    return f"{name}@{artifact(name).digest.hex()[:12]}"


def forecast(
    connected: Connected, needs: Needs, groups: Mapping[str, Group], account: str, *, price: int | None = None
) -> Forecast:
    """Measure and price. `groups`: template to group; `price`: wei for each gas instead of the chain's own."""
    paid = gas_price(connected.chain) if price is None else price
    made = []
    for needed in (n for n in needs.contracts if not n.missing):
        fees = measured(needed, groups[needed.template])
        if logic_name(needed.template) in connected.record.contracts:
            fees = replace(fees, logic=0)
        else:
            fees = replace(fees, told=estimated(connected.chain, account, artifact(needed.template).bytecode))
        made.append(fees)
    return Forecast(
        connected.record.name, paid, tuple(made), {n.template: n.missing for n in needs.contracts if n.missing}
    )


def estimated(chain: Chain, account: str, code: bytes) -> int | None:
    """What the chain says that creating a contract takes; None when it does not say (no money there, say)."""
    from engine.errors import DappopsError

    node, view = getattr(chain, "node", None), getattr(chain, "view", None)
    try:
        if node is not None:
            return int(node.ask("eth_estimateGas", {"from": lower(account), "data": "0x" + code.hex()}), 16)
        if view is not None:
            return int(view().estimate(sender=raw(account), to=None, data=code, value=0))
    except (Reverted, DappopsError):
        return None
    return None


def measured(needed: Needed, group: Group) -> Fees:
    """Gas of one contract: deployed as it will be, then called in a steady state on a second proxy with keys of ours."""
    from engine.ledger.embedded.chain import EmbeddedChain

    rate = needed.rate
    with tempfile.TemporaryDirectory(prefix="dappops-forecast-") as folder:
        keys = KeyRing(Path(folder) / "keys")
        accounts = sorted(keys.create().address for _ in range(max(len(group.members), len(group.operators))))
        me = Address(accounts[0])
        chain = EmbeddedChain(Path(folder), keys, genesis=Genesis(SCRATCH_ID, 1_700_000_000, {me: _RICH}))
        try:
            logic, made = create(chain, me, needed.template, ())
            _, proxy = create(chain, me, PROXY, (logic, initialisation(needed, group, NOWHERE)))
            scratch = Group(
                members=tuple(Address(a) for a in accounts[: len(group.members)]), quorum=group.quorum,
                operators=tuple(Address(a) for a in accounts[: len(group.operators)]), guardians=group.guardians,
                operator_quorum=group.operator_quorum,
            )  # fmt: skip
            shares = tuple((a, s) for a, (_, s) in zip(_many(me, len(needed.shares)), needed.shares, strict=True))
            ours = replace(needed, shares=shares)
            second, _ = create(chain, me, PROXY, (logic, initialisation(ours, scratch, NOWHERE)))
            contract = Contract(chain, second, needed.template)
            signers = [keys.unlock(a) for a in accounts]
            calls = _calls(contract, ours, scratch, signers)
            calls["pause"] = contract.send(me, "pause").gas_used
            unpause = agreed.UNPAUSE.hash(contract.call("nonce"))
            domain = agreed.domain(chain.chain_id, second)
            calls["unpause"] = contract.send(
                me, "unpause", _signatures(domain, unpause, signers, scratch.quorum)
            ).gas_used
        finally:
            chain.close()
    return Fees(needed.template, made.gas_used, proxy.gas_used, calls, None if rate is None else round(rate * MONTH_S))


def initialisation(needed: Needed, group: Group, origin: Origin) -> bytes:
    """Call data with which the proxy initialises itself."""
    return interface(needed.template).encode("initialize", arguments(needed, group, origin))


def create(chain: Chain, sender: str, name: str, args: tuple[Any, ...]) -> tuple[Address, Inclusion]:
    """Deploy an artifact; its address and what became of the message. Reverted, with the decoded error, when refused."""
    from engine.ledger.contracts import refused

    found = interface(name)
    code = artifact(name).bytecode + found.encode_constructor(args)
    try:
        done = chain.send(Message(lower(sender), None, code))
    except Reverted as error:
        raise refused(found, "constructor", error.data, error.message) from error
    if not done.succeeded or done.contract is None:
        raise refused(found, "constructor", done.output, f"transaction 0x{done.transaction.hex()} failed")
    return done.contract, done


def _many(first: str, count: int) -> list[str]:
    """Payees: one of our own, which can take ether, and others that are never paid."""
    return [first, *(f"0x{n:040x}" for n in range(1, count))][:count]


def _signatures(where: Domain, struct: bytes, keys: list[Key], count: int) -> list[bytes]:
    """By ascending address, as the contract takes them."""
    digest = where.digest(struct)
    return [for_contract(key.sign(digest)) for key in keys[:count]]


def _calls(contract: Contract, needed: Needed, group: Group, keys: list[Key]) -> dict[str, int]:
    """Gas of daily calls once the first, dearer one is over."""
    me, where = keys[0].address, agreed.domain(contract.chain.chain_id, contract.address)
    found: dict[str, int] = {}

    def send(function: str, *args: Any, value: int = 0) -> None:
        found[function] = contract.send(me, function, *args, value=value).gas_used

    if needed.template == "DigestLog":
        for n in (1, 2):
            send("append", bytes([n]) * 32, bytes([0xA0 + n]) * 32, 64)
    elif needed.template == "ConsentRegister":
        until = contract.chain.header().time + needed.longest_s - 60
        for n in (1, 2):
            consent = bytes([n]) * 32
            signature = for_contract(keys[0].sign(where.digest(agreed.GRANT.hash(consent, until))))
            send("grant", consent, until, signature)
        send("withdraw", bytes([2]) * 32)
    elif needed.template == "RevenueShare":
        for n in (1, 2):
            send("pay", bytes([n]) * 32, value=10**15)
        send("release", me)
    elif needed.template == "ReadingLog":
        time = contract.chain.header().time - 2
        for n in (1, 2):
            series, value = needed.series[0].key, 5_000_000 + n
            reading = agreed.READING.hash(series, value, time + n)
            send("attest", series, value, time + n, _signatures(where, reading, keys, group.operator_quorum))
    else:
        raise InputError(f"no calls of {needed.template} are known", remedy="add them to the forecast")
    return found
