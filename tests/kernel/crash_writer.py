"""A process that writes to a knowledge base until it is killed: at a given step of the commit path, or from outside.

Run by `test_crash.py`: `python crash_writer.py HOME KILL_AT SEED COMMITS [FLUSH_EVERY]`. Prints `ACK <transaction> <key>` after
each accepted commit and `REJ` after each refused one. The kill is a real SIGKILL of this process.
"""

from __future__ import annotations

import os
import random
import signal
import sys

import pyoxigraph as ox

import engine
from engine.errors import DappopsError
from engine.graph import commit as commit_path
from engine.graph import kernel as kernel_module
from reasoners.vocab import DAPP, RDF, RDFS, UNIT, XSD

HOME, KILL_AT, SEED, COMMITS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
steps = 0


def checkpoint(name: str) -> None:
    """Die at the chosen step."""
    global steps  # noqa: PLW0603
    steps += 1
    if KILL_AT and steps == KILL_AT:
        os.kill(os.getpid(), signal.SIGKILL)


commit_path.checkpoint = checkpoint
kernel_module.checkpoint = checkpoint
kernel_module.FLUSH_EVERY = int(sys.argv[5]) if len(sys.argv) > 5 else 5

rng = random.Random(SEED)
kb = engine.open(HOME)
graph = kb.graph_iri("main")
print("READY", flush=True)


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(f"{graph}/{name}")


def offer(key: int, *, price: str = "1.5", broken: bool = False) -> list[ox.Triple]:
    """A priced offer; broken ones violate a shape and must leave no trace."""
    this, cost = node(f"offer{key}"), node(f"price{key}")
    amount = "-1" if broken else price
    return [
        ox.Triple(this, RDF.type, DAPP.ServiceOffer),
        ox.Triple(this, RDFS.label, ox.Literal(f"offer {key}", language="en")),
        ox.Triple(this, DAPP.offersType, node(f"type{key % 3}")),
        ox.Triple(this, DAPP.offeredBy, node("provider")),
        ox.Triple(this, DAPP.inRegion, node(f"region{key % 4}")),
        ox.Triple(this, DAPP.hasPrice, cost),
        ox.Triple(cost, RDF.type, DAPP.PriceSpecification),
        ox.Triple(cost, DAPP.amount, ox.Literal(amount, datatype=XSD.decimal)),
        ox.Triple(cost, DAPP.currency, ox.Literal("EUR")),
        ox.Triple(cost, DAPP.perUnit, UNIT.HR),
        ox.Triple(this, RDFS.seeAlso, ox.BlankNode("note")),
        ox.Triple(ox.BlankNode("note"), RDFS.label, ox.Literal(f"note {key}", language="en")),
    ]


mine: list[int] = []
for _ in range(COMMITS):
    kind, key = rng.random(), rng.getrandbits(40)
    try:
        if kind < 0.6 or not mine:
            receipt = kb.commit(graph, offer(key), message=str(key))
            mine.append(key)
        elif kind < 0.75:
            receipt = kb.commit(graph, offer(key, broken=True), message="broken")
        elif kind < 0.9:
            gone = node(f"offer{mine.pop(rng.randrange(len(mine)))}")
            receipt = kb.commit(graph, [], [q.triple for q in kb.quads(subject=gone, graph=graph)], message="withdrawn")
        else:
            region = node(f"region{rng.randrange(4)}")
            old = [q.triple for q in kb.quads(subject=region, predicate=DAPP.within, graph=graph)]
            new = [
                ox.Triple(
                    region,
                    DAPP.within,
                    ox.NamedNode(f"https://w3id.org/dappops/id#Country-{rng.choice(['DE', 'FR', 'US'])}"),
                )
            ]
            receipt = kb.commit(graph, new, old, message="moved")
        print("ACK", receipt.sequence, flush=True)
    except DappopsError as error:
        print("REJ", type(error).__name__, flush=True)
print("STEPS", steps, flush=True)
kb.close()
