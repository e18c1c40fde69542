"""`python -m verifier FILE` and `dappops-verify FILE`: exit 0 holds, 1 does not hold, 2 usage."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from verifier.check import Trust, verify
from verifier.reading import MAX_FILE


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; always ends by SystemExit."""
    parser = argparse.ArgumentParser("dappops-verify", description="Check a proof file. It needs nothing but the file.")
    parser.add_argument("file", help="the proof file, or - for standard input")
    parser.add_argument("--rpc", metavar="URL", help="an Ethereum node to ask about anchored blocks")
    parser.add_argument("--trust", metavar="ADDRESS", action="append", default=[], type=_address,
                        help="believe this node's seals where the owner's signature does not reach")  # fmt: skip
    parser.add_argument("--co-signer", metavar="ADDRESS", action="append", default=[], type=_address,
                        help="believe this co-signer's checkpoints")  # fmt: skip
    parser.add_argument("--quorum", type=int, metavar="N", help="so many co-signers suffice (default: all named)")
    parser.add_argument(
        "--chain-head-hash", metavar="HASH", type=_hash, help="hash of the anchored block, known from elsewhere"
    )
    parser.add_argument("--depth", type=int, metavar="N", help="so many blocks must follow the anchored one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--all", action="store_true", help="print the checks that hold, too")
    options = parser.parse_args(arguments)
    try:
        if options.file == "-":
            body = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with Path(options.file).open("rb") as file:
                body = file.read(MAX_FILE + 1)
        trust = Trust(
            frozenset(options.trust),
            frozenset(options.co_signer),
            options.quorum,
            options.chain_head_hash,
            options.depth,
        )
        report = verify(body, options.rpc, trust)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(json.dumps(report.as_json(), indent=1) if options.json else report.text(every=options.all))
    sys.exit(0 if report.holds else 1)


def _address(text: str) -> str:
    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address (0x and 40 hex digits)")
    return text.lower()


def _hash(text: str) -> bytes:
    if not re.fullmatch("(?:0x)?[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no hash (64 hex digits)")
    return bytes.fromhex(text.removeprefix("0x"))


if __name__ == "__main__":
    main()
