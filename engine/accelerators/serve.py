"""What accelerators leave in the graph, as service methods: the owner of the store commits, whoever asks.

Looking at devices and measuring happens in the process that asks; here are only the commits, which are idempotent: what
is there stays, what is gone is removed, a second call changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyoxigraph as ox

from engine.accelerators import devices, library, profiles
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

    def mine(triple: ox.Triple) -> bool:
        subject = triple.subject.value
        return bool(subject == node or subject.startswith(f"{node}/"))

    made = devices.device_triples(found, graph)
    return {**_replace(kernel, params, caller, graph, mine, made, f"devices of {found.host}"), "node": node}


@method
def publish_functions(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State the function library in the author's graph `functions`; profiles and packages there stay, and so does what
    others say there of a function in their own terms."""
    graph = _graph(kernel, params, FUNCTIONS)
    made = describe.function_triples(graph)
    said = {t.predicate for t in made}
    variants = {v for name in library.FUNCTIONS for v in library.function(name).variants}

    def mine(triple: ox.Triple) -> bool:
        name, _, rest = triple.subject.value.removeprefix(f"{graph}/").partition("/")
        part = not rest or rest in variants or rest.startswith("parameter/")
        return name in library.FUNCTIONS and part and triple.predicate in said

    return _replace(kernel, params, caller, graph, mine, made, "function library")


@method
def publish_profiles(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State measured `profiles` (as data) of the host whose node is `node` in the author's graph `functions`; each takes
    the place of the one of the same variant, device, box and size."""
    graph = _graph(kernel, params, FUNCTIONS)
    made: list[ox.Triple] = []
    for data in params["profiles"]:
        each = profiles.Profile(**data)
        device = ox.NamedNode(f"{params['node']}/device/{each.device}")
        made += profiles.profile_triples(graph, each, device)
    subjects = {t.subject for t in made}
    count = len(params["profiles"])
    return _replace(kernel, params, caller, graph, lambda t: t.subject in subjects, made, f"{count} profiles")


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
    mine: Callable[[ox.Triple], bool],
    triples: Iterable[ox.Triple],
    message: str,
) -> Json:
    """Make `triples` all of what is `mine` in `graph`."""
    author = _author(kernel, params)
    with kernel.lock.held():
        wanted = set(triples)
        quads = kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph))
        there = {q.triple for q in quads if isinstance(q.subject, ox.NamedNode) and mine(q.triple)}
        removed, added = sorted(there - wanted, key=str), sorted(wanted - there, key=str)
        receipt = None
        if removed or added:
            receipt = kernel.commit(
                {graph: (removed, added)}, author=author, sign=lambda d: caller.sign(author, d), message=message
            )
    return {
        "graph": graph, "added": len(added), "removed": len(removed), "receipt": receipt.as_json() if receipt else None,
    }  # fmt: skip
