"""The process that serves a chain: `python -m engine.ledger.chains.serve_main HOME NAME [--port N]`, loopback only.

Ethereum's JSON-RPC for wallets and verifiers, and the feed that co-signing replicas follow, on one port. Nobody needs it to
write: every process of this home opens the chain itself.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from engine.errors import DappopsError
from engine.graph.keys import KeyRing
from engine.ledger.chains.cosigning import SERVER
from engine.ledger.chains.processes import announce
from engine.ledger.chains.serving import served
from engine.ledger.home import record

ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Parse, serve until told to stop."""
    parser = argparse.ArgumentParser(description="A chain's server.")
    parser.add_argument("home", type=Path)
    parser.add_argument("name")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # taken by sigwait below; a handler could meet a lock that is held
    try:
        found = record(options.home, options.name)
        server = served(found, KeyRing(options.home / "keys"), port=options.port)
    except (DappopsError, OSError) as error:
        print(f"stopped: {error}", file=sys.stderr, flush=True)
        return getattr(error, "exit_code", 3)
    (found.folder / SERVER).mkdir(exist_ok=True)
    announce(found.folder / SERVER, server.url)
    signal.sigwait(ENDING)
    os._exit(0)  # answers under way are dropped; nothing is written here


if __name__ == "__main__":
    sys.exit(main())
