"""A co-signing replica: it executes every block of a sealer again, keeps its own chain, and signs what came out the same.

Not consensus: one sealer orders the blocks, and a replica can only agree or refuse. What its signature is worth: the state
root under it follows from the transactions by the rules, in an order that this replica saw first and never changes, at a time
that its own clock did not contradict. A block that does not execute to the header it claims, a second block of one height, an
unsealed block, a block from the future and rules that nobody agreed to are refused and written down with what proves it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import BusyError, InputError, IntegrityError, NotAvailableError
from engine.graph.keys import KeyRing, recover
from engine.ledger.chain import Header, lower
from engine.ledger.chains.journal import Journal, Refusal
from engine.ledger.chains.statements import (
    NO_GATEWAY,
    Target,
    Upgrade,
    agreed,
    checkpoint_digest,
    ledger_domain,
    seal_digest,
    upgrade_digest,
)
from engine.ledger.embedded.schedule import NAMES, Genesis, checked, name_at

FILE = "replica.json"
AHEAD = 60  # seconds a block may be ahead of the replica's clock


@dataclass(frozen=True, slots=True)
class Config:
    """What a replica is told once.

    `source`: the URL of the sealer's server, or its folder, whose `running.json` tells the URL. `every`: sign a checkpoint for
    each of `targets` at every so many blocks (0: on demand). `members` and `quorum`: who has to agree to an upgrade. `knows`:
    rules that this replica's program can execute. `ahead`: seconds that a block may be ahead of this clock.
    """

    chain: str
    genesis: Mapping[str, Any]
    sealer: str
    source: str
    members: tuple[str, ...]
    quorum: int
    every: int = 0
    targets: tuple[Target, ...] = ()
    knows: tuple[str, ...] = NAMES
    ahead: int = AHEAD

    def json(self) -> dict[str, Any]:
        return {
            "chain": self.chain, "genesis": dict(self.genesis), "sealer": self.sealer, "source": self.source,
            "members": list(self.members), "quorum": self.quorum, "every": self.every,
            "targets": [t.json() for t in self.targets], "knows": list(self.knows), "ahead": self.ahead,
        }  # fmt: skip

    @staticmethod
    def read(folder: Path) -> Config:
        """From `replica.json`; InputError when it is none."""
        path = folder / FILE
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            return Config(
                chain=str(body["chain"]), genesis=body["genesis"], sealer=lower(body["sealer"]), source=str(body["source"]),
                members=tuple(lower(m) for m in body["members"]), quorum=int(body["quorum"]), every=int(body["every"]),
                targets=tuple(Target.of(t) for t in body["targets"]), knows=tuple(body["knows"]), ahead=int(body["ahead"]),
            )  # fmt: skip
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError("not the folder of a replica", place=str(path), remedy="make it with the chain") from error


class Replica:
    """One replica in its folder: `replica.json`, `keys/`, `chain.sqlite`, `journal.sqlite`."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        from engine.ledger.embedded.chain import EmbeddedChain

        self.folder, self.config, self._clock = folder, Config.read(folder), clock
        keys = KeyRing(folder / "keys")
        stored = keys.addresses()
        if not stored:
            raise InputError("this replica has no key", place=str(folder / "keys"))
        self.address = stored[0]
        self._key = keys.unlock(self.address)
        self.chain = EmbeddedChain(folder, keys, genesis=Genesis.of(self.config.genesis), clock=clock)
        self.journal = Journal(folder / "journal.sqlite")
        self.domain = ledger_domain(self.chain.chain_id, self.chain.header(0).hash)
        self._changed = threading.Condition()
        self._signing = threading.RLock()
        self._foreign: dict[int, str] = {}  # height -> rules of an upgrade that this replica cannot follow

    def close(self) -> None:
        self.journal.close()
        self.chain.close()

    # -- blocks ----------------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        return self.chain.store.head()

    def take(self, block: bytes, seal: bytes) -> Header:
        """Execute a sealed block and keep it; one that is here already changes nothing.

        IntegrityError when it is refused, which is then written down; BusyError when blocks before it are missing;
        NotAvailableError when its rules are not known here.
        """
        claimed = self._claimed(block)
        try:
            sealer = recover(seal_digest(self.domain, claimed.number, claimed.hash), seal)
        except IntegrityError:
            sealer = "nobody"
        if sealer != self.config.sealer:
            self._refuse("unsealed", claimed, f"sealed by {sealer}, the sealer is {self.config.sealer}", {})
        known = self.chain.store.header(claimed.number)
        if known is not None:
            if known[1] == claimed.hash:
                self.journal.put_seal(claimed.number, claimed.hash, seal)  # it was killed between block and seal
                return claimed
            self._equivocation(claimed, known[1], seal)
        self._running()
        head = self.head
        if claimed.number != head + 1:
            raise BusyError(
                f"block {claimed.number} is ahead of {head}", place=self.config.chain, remedy="send those between"
            )
        self._follow_rules(claimed)
        if claimed.time > self._clock() + self.config.ahead:
            self._refuse("future", claimed, f"its time is more than {self.config.ahead} s ahead of this clock", {})
        try:
            made = self.chain.import_block(block)
        except (IntegrityError, InputError, ValueError, TypeError, IndexError) as error:
            why = error.message if isinstance(error, (IntegrityError, InputError)) else str(error)
            self._refuse(
                "forged",
                claimed,
                self._diagnosis(claimed, why),
                {"block": "0x" + block.hex(), "seal": "0x" + seal.hex()},
            )
        self.journal.put_seal(claimed.number, claimed.hash, seal)
        with self._changed:
            self._changed.notify_all()
        if self.config.every and made.number % self.config.every == 0:
            for target in self.config.targets:
                self.sign(made.number, target)
        return made

    def _claimed(self, block: bytes) -> Header:
        from engine.ledger.embedded.evm import decoded_block
        from engine.ledger.headers import header_of

        try:
            return header_of(decoded_block(block)[0])
        except (ValueError, TypeError, IndexError) as error:
            raise InputError("not a block", place=self.config.chain) from error

    def _follow_rules(self, claimed: Header) -> None:
        """Stop before a block whose rules cannot be executed here, instead of judging it by other rules."""
        wanted = next((n for h, n in sorted(self._foreign.items(), reverse=True) if claimed.number >= h), None)
        wanted = wanted or name_at(self.chain.rules, claimed.number)
        if wanted not in self.config.knows:
            raise NotAvailableError(
                f"the rules {wanted!r} hold from block {claimed.number} on and are not known here: this replica stops at block "
                f"{self.head} and has signed nothing later",
                place=f"{self.config.chain}, replica {self.address}", rule=f"knows: {', '.join(self.config.knows)}",
                remedy="update its program and start it again: it catches up",
            )  # fmt: skip

    def _diagnosis(self, claimed: Header, why: str) -> str:
        from engine.ledger.headers import fields

        mine = name_at(self.chain.rules, claimed.number)
        form = {17: "shanghai", 20: "cancun", 21: "prague"}.get(fields(claimed.rlp))
        if form is not None and form != mine:
            return f"{why}; it has the form of {form} blocks, and no upgrade from {mine} was agreed for this height"
        return why

    def _equivocation(self, claimed: Header, ours: bytes, seal: bytes) -> NoReturn:
        first = self.journal.seal(claimed.number)
        evidence = {
            "chain": self.chain.chain_id, "number": claimed.number, "sealer": self.config.sealer,
            "first": {"hash": "0x" + ours.hex(), "seal": "0x" + first[1].hex() if first else ""},
            "second": {"hash": "0x" + claimed.hash.hex(), "seal": "0x" + seal.hex()},
        }  # fmt: skip
        self._refuse(
            "equivocation",
            claimed,
            f"the sealer sealed two blocks {claimed.number}: 0x{ours.hex()} came first; halted",
            evidence,
        )

    def _refuse(self, kind: str, claimed: Header, reason: str, evidence: Mapping[str, Any]) -> NoReturn:
        digest = "0x" + claimed.hash.hex()
        self.journal.refuse(Refusal(self._clock(), kind, claimed.number, digest, reason, evidence))
        raise IntegrityError(
            f"block {claimed.number} is refused ({kind}): {reason}", place=f"{self.config.chain}, replica {self.address}",
            rule="only what this replica computes itself", remedy=f"the proof is in {self.folder / 'journal.sqlite'}",
        )  # fmt: skip

    def _running(self) -> None:
        halted = self.journal.halted()
        if halted is not None:
            raise IntegrityError(
                f"this replica is halted: {halted.reason}", place=f"{self.config.chain}, replica {self.address}",
                rule="a sealer that said two things is not followed", remedy="people have to judge; its journal has both seals",
            )  # fmt: skip

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def sign(self, number: int | None, target: Target, *, wait: float = 0.0) -> dict[str, Any]:
        """This replica's checkpoint of a block (None: its newest) for a gateway; `wait` seconds for a block to come.

        BusyError when the block is not here (yet). The same request gets the same signature.
        """
        self._running()
        if number is not None:
            self._wait_for(number, wait)
        found = self.chain.store.header(number)
        if found is None:
            raise BusyError(
                f"block {number} is not here yet", place=f"replica {self.address}", remedy=f"it is at {self.head}"
            )
        height, digest, encoded = found
        name = f"{target.chain}:{target.gateway}"
        kept = self.journal.checkpoint(height, name)
        if kept is None:
            signature = self._key.sign(checkpoint_digest(target, self.chain.chain_id, height, digest))
            self.journal.put_checkpoint(height, name, digest, signature)
        elif kept[0] != digest:
            raise IntegrityError(
                "this height was signed with another block", place=f"block {height}", remedy="look at the journal"
            )
        else:
            signature = kept[1]
        return {
            "number": height, "hash": "0x" + digest.hex(), "header": "0x" + encoded.hex(), "address": self.address,
            "signature": "0x" + signature.hex(), **target.json(),
        }  # fmt: skip

    def _signed(self, height: int, digest: bytes, target: Target) -> bytes:
        name = f"{target.chain}:{target.gateway}"
        with self._signing:
            kept = self.journal.checkpoint(height, name)
            if kept is None:
                signature = self._key.sign(checkpoint_digest(target, self.chain.chain_id, height, digest))
                self.journal.put_checkpoint(height, name, digest, signature)
                return signature
        if kept[0] != digest:
            raise IntegrityError(
                "this height was signed with another block", place=f"block {height}", remedy="look at the journal"
            )
        return kept[1]

    def _wait_for(self, number: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while self.head < number and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    # -- upgrades --------------------------------------------------------------------------------------------------

    def agree(self, upgrade: Upgrade, sealer: bytes) -> bytes:
        """Sign a proposal that the sealer signed, when its rules are known here and its height is still to come.

        One upgrade at a time: while a height that was signed is still to come, no other is. Two quorums share a replica,
        so no two upgrades can be agreed.
        """
        self._running()
        digest = upgrade_digest(self.domain, upgrade.rules, upgrade.height)
        try:
            proposer = recover(digest, sealer)
        except IntegrityError:
            proposer = "nobody"
        if proposer != self.config.sealer:
            raise InputError(f"proposed by {proposer}, not by the sealer", place=self.config.chain)
        self._executable(upgrade)
        if upgrade.height <= self.head:
            raise InputError(
                f"height {upgrade.height} is not ahead: this replica is at {self.head}", remedy="choose a later one"
            )
        checked([*self.chain.rules, (upgrade.height, upgrade.rules)])
        with self._signing:
            for rules in NAMES:
                before = self.journal.upgrade(rules)
                if (
                    before is not None
                    and before[0] > self.head
                    and (rules, before[0]) != (upgrade.rules, upgrade.height)
                ):
                    raise InputError(
                        f"this replica has agreed to {rules} from height {before[0]}", rule="one upgrade at a time",
                        remedy="propose the same again, or wait until that height has passed",
                    )  # fmt: skip
            known = self.journal.upgrade(upgrade.rules)
            if known is not None and known[0] == upgrade.height:
                return known[1]
            signature = self._key.sign(digest)
            self.journal.put_upgrade(upgrade.rules, upgrade.height, signature)
            return signature

    def adopt(self, upgrade: Upgrade) -> None:
        """Follow an upgrade from its height on, once a quorum signed it. IntegrityError for too few.

        NotAvailableError when its rules are not known here; blocks up to its height are followed all the same.
        """
        agreed(upgrade, self.domain, self.config.members, self.config.quorum)
        if (upgrade.height, upgrade.rules) in self.chain.rules:
            return
        try:
            self._executable(upgrade)
        except NotAvailableError:
            self._foreign[upgrade.height] = upgrade.rules
            raise
        self.chain.schedule(upgrade.height, upgrade.rules)

    def _executable(self, upgrade: Upgrade) -> None:
        if upgrade.rules not in self.config.knows:
            raise NotAvailableError(
                f"the rules {upgrade.rules!r} are not known here", place=f"{self.config.chain}, replica {self.address}",
                rule=f"knows: {', '.join(self.config.knows)}", remedy="update this replica's program",
            )  # fmt: skip

    # -- following -------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Where it is and what it refused."""
        head = self.chain.header()
        halted, refusals = self.journal.halted(), self.journal.refusals()
        return {
            "address": self.address, "chain": self.config.chain, "head": head.number, "hash": "0x" + head.hash.hex(),
            "rules": [list(r) for r in self.chain.rules], "signed": self.journal.signed(),
            "halted": halted.reason if halted else None, "refusals": [r.json() for r in refusals[-10:]],
        }  # fmt: skip

    def step(self, feed: Callable[..., Any], *, wait: float = 0.0, most: int = 64) -> int:
        """Take what the sealer has after this head, upgrades first; how many blocks. `feed` calls a method of the sealer.

        What is refused is raised, after the sealer was asked whether it also says another thing about this head.
        """
        self._running()
        head = self.chain.header()
        answer = feed("dappops_blocks", head.number + 1, most, wait)
        for body in answer["upgrades"]:
            try:
                self.adopt(Upgrade.of(body))
            except NotAvailableError:
                continue  # told when its height comes
        for each in answer["blocks"]:
            block, seal = bytes.fromhex(each["block"][2:]), bytes.fromhex(each["seal"][2:])
            if self._claimed(block).parent != self.chain.header().hash:
                self._compare(feed)
            self.take(block, seal)
        return len(answer["blocks"])

    def _compare(self, feed: Callable[..., Any]) -> None:
        """The sealer's next block does not follow from this head: find the height from which on it says another thing."""
        low, high = 0, self.head
        while low < high:
            middle = (low + high) // 2
            theirs = self._asked(feed, middle + 1)
            known = self.chain.store.header(middle + 1)
            assert known is not None
            if theirs is not None and self._claimed(theirs[0]).hash == known[1]:
                low = middle + 1
            else:
                high = middle
        theirs = self._asked(feed, low + 1)
        if theirs is not None:
            self.take(*theirs)

    def _asked(self, feed: Callable[..., Any], number: int) -> tuple[bytes, bytes] | None:
        found: Sequence[Mapping[str, str]] = feed("dappops_blocks", number, 1, 0)["blocks"]
        return (bytes.fromhex(found[0]["block"][2:]), bytes.fromhex(found[0]["seal"][2:])) if found else None


def no_target(chain_id: int) -> Target:
    """A checkpoint for readers: of no gateway."""
    return Target(chain_id, NO_GATEWAY)
