"""Forks children that mine and tell, so that a test can kill them; the libraries are loaded once.

`mining_child.py FOLDER KEYS`: for each line `N K` on stdin a child sends N messages (0: until it is killed) with key number K
to a new contract and tells `ack BLOCK HASH TRANSACTION` after each; `pid …` comes first, `end` when it is over.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from chain_compliance import INIT, word

from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Message
from engine.ledger.embedded import evm  # noqa: F401  (loaded before the fork)
from engine.ledger.embedded.chain import EmbeddedChain


def say(*words: object) -> None:
    # one write for each line: what is in the pipe was told, whatever happens to us next
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def mine(folder: Path, keys: KeyRing, count: int, number: int) -> None:
    chain = EmbeddedChain(folder, keys)
    account = Address(keys.addresses()[number])
    contract = chain.send(Message(account, None, INIT)).contract
    n = 0
    while count == 0 or n < count:
        n += 1
        # sometimes many in one block, so that a kill can fall into a long one
        for sent in chain.send_all([Message(account, contract, word(n * 100 + i + 1)) for i in range(1 + n % 7)]):
            say("ack", sent.block, sent.block_hash.hex(), sent.transaction.hex())


def main() -> None:
    folder, keys = Path(sys.argv[1]), KeyRing(Path(sys.argv[2]))
    for line in sys.stdin:
        count, number = map(int, line.split())
        child = os.fork()
        if child == 0:
            mine(folder, keys, count, number)
            os._exit(0)
        say("pid", child)
        os.waitpid(child, 0)
        say("end")


main()
