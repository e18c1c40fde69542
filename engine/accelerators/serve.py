"""What accelerators leave in the graph, as service methods: the owner of the store commits, whoever asks.

Looking at devices and measuring happens in the process that asks; here are only the commits, which are idempotent: what
is there stays, what is gone is removed, a second call changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyoxigraph as ox

from engine.accelerators import devices
from engine.accelerators.library import describe
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method

DEVICES, FUNCTIONS = "devices", "functions"


@method
def publish_devices(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State what `found` (a `devices.Discovery` as data) says of its host in the author's graph `devices`."""
    found = devices.from_json(params["found"])
    graph = _graph(kernel, params, DEVICES)
    node = devices.node_iri(graph, found.host).value

    def mine(subject: str) -> bool:
        return subject == node or subject.startswith(f"{node}/")

    result = _replace(kernel, params, caller, graph, mine, devices.device_triples(found, graph), f"devices of {found.host}")
    return {**result, "node": node}


@method
def publish_functions(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State the function library in the author's graph `functions`; profiles and packages there stay."""
    graph = _graph(kernel, params, FUNCTIONS)
    triples = describe.function_triples(graph)
    library = {f"{graph}/{name}" for name in describe.FUNCTIONS}

    def mine(subject: str) -> bool:
        rest = subject.removeprefix(f"{graph}/").split("/")
        return f"{graph}/{rest[0]}" in library

    return _replace(kernel, params, caller, graph, mine, triples, "function library")


def _graph(kernel: Kernel, params: Json, name: str) -> str:
    with kernel.lock.held():
        return kernel.resolve(params.get("graph") or name, _author(kernel, params))


def _author(kernel: Kernel, params: Json) -> str:
    author: str = (params.get("author") or kernel.node).lower()
    return author


def _replace(
    kernel: Kernel,
    params: Json,
    caller: Caller,
    graph: str,
    mine: Callable[[str], bool],
    triples: Iterable[ox.Triple],
    message: str,
) -> Json:
    """Make `triples` all that `graph` says of the subjects that are `mine`."""
    author = _author(kernel, params)
    with kernel.lock.held():
        wanted = set(triples)
        quads = kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph))
        there = {q.triple for q in quads if isinstance(q.subject, ox.NamedNode) and mine(q.subject.value)}
        removed, added = sorted(there - wanted, key=str), sorted(wanted - there, key=str)
        receipt = None
        if removed or added:
            receipt = kernel.commit(
                {graph: (removed, added)}, author=author, sign=lambda d: caller.sign(author, d), message=message
            )
    return {
        "graph": graph, "added": len(added), "removed": len(removed), "receipt": receipt.as_json() if receipt else None,
    }  # fmt: skip
