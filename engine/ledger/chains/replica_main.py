"""The process of one replica: `python -m engine.ledger.chains.replica_main FOLDER [--port N]`.

Follows the sealer in one thread, answers on loopback in others, writes what it refuses to stderr and its journal. Ends on
SIGTERM; it stops by itself, with exit code 5, when blocks need rules that it does not know.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine.errors import BusyError, DappopsError, NotAvailableError
from engine.ledger.chains.processes import announce, running
from engine.ledger.chains.replica import Replica
from engine.ledger.chains.statements import Target, Upgrade, from_hex
from engine.ledger.chains.wire import Served, call

FOLLOW = 10.0  # seconds that one question to the sealer waits for a block
ENDING = (signal.SIGTERM, signal.SIGINT)
AGAIN = 0.3  # seconds until the next attempt after one that failed


class Service:
    """A replica's answers."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def methods(self) -> dict[str, Any]:
        return {f"replica_{n}": getattr(self, n) for n in ("status", "sign", "agree", "adopt", "offer")}

    def status(self) -> dict[str, Any]:
        """Where it is and what it refused."""
        return self._replica.status()

    def sign(self, number: int | None, chain: int, gateway: str, wait: float = 0.0) -> dict[str, Any]:
        """Its checkpoint of a block for a gateway."""
        return self._replica.sign(number, Target.of({"chain": chain, "gateway": gateway}), wait=min(float(wait), 30.0))

    def agree(self, rules: str, height: int, sealer: str) -> dict[str, str]:
        """Its signature under an upgrade that the sealer proposed."""
        signature = self._replica.agree(Upgrade(str(rules), int(height)), from_hex(sealer))
        return {"address": self._replica.address, "signature": "0x" + signature.hex()}

    def adopt(self, upgrade: dict[str, Any]) -> bool:
        """Follow an upgrade that a quorum signed."""
        self._replica.adopt(Upgrade.of(upgrade))
        return True

    def offer(self, block: str, seal: str) -> dict[str, Any]:
        """A sealed block from whoever has one: how replicas learn that the sealer told another of them another thing."""
        made = self._replica.take(from_hex(block), from_hex(seal))
        return {"number": made.number, "hash": "0x" + made.hash.hex()}


def follow(replica: Replica) -> int:
    """Follow for as long as the rules are known; the exit code. What is refused is told once, and asked for again."""
    told = ""

    def feed(method: str, *params: Any) -> Any:
        return call(_source(replica.config.source), method, *params, timeout=FOLLOW + 10)

    while True:
        try:
            replica.step(feed, wait=FOLLOW)
            told = ""
        except BusyError:
            time.sleep(AGAIN)  # the sealer is away
        except NotAvailableError as error:
            print(f"stopped: {error}", file=sys.stderr, flush=True)
            return error.exit_code
        except DappopsError as error:
            if str(error) != told:
                told = str(error)
                print(f"refused: {error}", file=sys.stderr, flush=True)
            time.sleep(AGAIN)


def _source(told: str) -> str:
    """The sealer's URL; a folder tells who serves it now."""
    if told.startswith("http://"):
        return told
    there = running(Path(told))
    if there is None:
        raise BusyError("the sealer's server does not run", place=told, remedy="dappops chain replicas NAME --start")
    return there.url


def main() -> int:
    """Parse, serve, follow."""
    parser = argparse.ArgumentParser(description="A co-signing replica.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # taken by sigwait below; a handler could meet a lock that is held
    try:
        replica = Replica(options.folder)
        server = Served(replica.chain, Service(replica).methods(), options.port)
    except (DappopsError, OSError) as error:
        print(f"stopped: {error}", file=sys.stderr, flush=True)
        return getattr(error, "exit_code", 3)
    announce(options.folder, server.url)

    def work() -> None:
        code = 6
        try:
            code = follow(replica)
        finally:
            sys.stderr.flush()
            os._exit(code)

    threading.Thread(target=work, daemon=True).start()
    signal.sigwait(ENDING)
    sys.stderr.flush()
    # a question to the sealer may still wait for its answer; what is on disk is whole at any moment
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
