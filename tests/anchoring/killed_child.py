"""Run as a script: anchors in a home and kills itself at one point. `killed_child.py HOME POINT`."""

from __future__ import annotations

import os
import signal
import sys

import engine
from engine.ledger.anchoring import anchorer


def main() -> None:
    home, point = sys.argv[1:]

    def checkpoint(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    anchorer.checkpoint = checkpoint
    with engine.open(home) as kb:
        kb.call("anchor", flush=True)
    sys.exit("it did not come to this point")


if __name__ == "__main__":
    main()
