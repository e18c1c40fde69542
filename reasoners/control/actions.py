"""What could be done about an incident: restarts, moves, an empty host, a new plan, or nothing; each as a change of triples.

Enumeration does not judge: a move to a host that is too small, in a forbidden place or suspected itself is a candidate
like any other, and whoever stops it (a rule, a shape) says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

import pyoxigraph as ox

from reasoners.control.model import Action, Deployment, Runtime, Suspicion
from reasoners.vocab import DAPP, DAPPI

Suits = Callable[[Deployment, ox.NamedNode], bool]
"""Whether a deployment could run on a host, everything else staying as it is."""

LIKELY = 0.05  # confidence below which a hypothesis brings no actions of its own
MOST = 60  # candidates


def affected(runtime: Runtime, suspicion: Suspicion) -> list[Deployment]:
    """The deployments that a fault hits first, in order."""
    own = runtime.deployments.get(suspicion.suspect)
    if own is not None:
        return [own]
    ends = runtime.links.get(suspicion.suspect)
    hosts = ends if ends is not None else (suspicion.suspect,)
    for host in hosts:  # of a link, the first end that carries anything: leaving one end leaves the link
        found = runtime.on(host)
        if found:
            return found
    return []


def candidates(
    runtime: Runtime, suspicions: Sequence[Suspicion], base: str, suits: Suits, *, most: int = MOST
) -> list[Action]:
    """Actions against the likely suspects, the likeliest first, each once; nodes are `<base>/action/<number>`."""
    made: list[Action] = []
    seen: set[tuple[object, ...]] = set()
    numbers = count(1)
    likely = sorted((s for s in suspicions if s.confidence >= LIKELY), key=lambda s: -s.confidence)
    for draft in _drafts(runtime, likely, suits):
        kind, targets, moves, restarts, to, label = draft
        key = (kind, frozenset(moves.items()), frozenset(restarts))
        if key in seen or len(made) >= most:
            continue
        seen.add(key)
        node = ox.NamedNode(f"{base}/action/{next(numbers)}")
        made.append(Action(node, kind, targets, moves, restarts, to, True, label))
    return made


Draft = tuple[
    ox.NamedNode, tuple[ox.NamedNode, ...], Mapping[ox.NamedNode, ox.NamedNode], tuple[ox.NamedNode, ...],
    ox.NamedNode | None, str,
]  # fmt: skip


def _drafts(runtime: Runtime, suspicions: Sequence[Suspicion], suits: Suits) -> Iterator[Draft]:
    called = runtime.name
    yield DAPP.ControlAction, (runtime.application,), {}, (), None, "wait and see"
    for suspicion in suspicions:
        hit = affected(runtime, suspicion)
        if not hit:
            continue
        names = ", ".join(called(d.unit) for d in hit)
        yield DAPP.RestartAction, tuple(d.node for d in hit), {}, tuple(d.node for d in hit), None, f"restart {names}"
        source = hit[0].host
        if suspicion.suspect not in runtime.deployments:
            for target, moves in _evacuations(runtime, hit, source, suits):
                ways = (
                    f"{called(runtime.deployments[d].unit)} to {called(h)}" for d, h in sorted(moves.items(), key=str)
                )
                where = f" to {called(target)}" if target else ": " + ", ".join(ways)
                yield DAPP.EvacuateAction, (source,), moves, (), target, f"move everything from {called(source)}{where}"
        for deployment in hit:
            for host in sorted(runtime.hosts, key=lambda h: h.value):
                if host != deployment.host:
                    yield (
                        DAPP.MigrateAction, (deployment.node,), {deployment.node: host}, (), host,
                        f"move {called(deployment.unit)} to {called(host)}",
                    )  # fmt: skip
        provider = runtime.hosts[source].provider
        if suspicion.suspect not in runtime.deployments and provider is not None:
            out = [d for d in runtime.deployments.values() if d.wanted and runtime.hosts[d.host].provider == provider]
            elsewhere = place(runtime, sorted(out, key=lambda d: d.node.value), suits, without=provider)
            if elsewhere is not None:
                label = f"plan anew without {called(provider)}"
                yield DAPP.ReplanAction, (runtime.application,), elsewhere, (), None, label


def _evacuations(
    runtime: Runtime, hit: Sequence[Deployment], source: ox.NamedNode, suits: Suits
) -> Iterator[tuple[ox.NamedNode | None, dict[ox.NamedNode, ox.NamedNode]]]:
    spread = place(runtime, hit, suits)
    if spread is not None:
        yield None, spread
    if len(hit) > 1:
        for host in sorted(runtime.hosts, key=lambda h: h.value):
            if host != source:
                yield host, {d.node: host for d in hit}


def place(
    runtime: Runtime, moving: Sequence[Deployment], suits: Suits, *, without: ox.NamedNode | None = None
) -> dict[ox.NamedNode, ox.NamedNode] | None:
    """Other hosts for all of `moving`, each where it suits and there is room, cheap ones first; None when one finds none.

    Those with the fewest choices choose first. `without`: a provider whose hosts are left out.
    """
    leaving = {d.node for d in moving}
    room = {
        host.node: (host.slots if host.slots is not None else 1 << 30)
        - sum(1 for d in runtime.on(host.node) if d.node not in leaving)
        for host in runtime.hosts.values()
    }
    choices = {
        d.node: sorted(
            (h for h in runtime.hosts.values() if h.node != d.host and (without is None or h.provider != without) and suits(d, h.node)),
            key=lambda h: (h.price if h.price is not None else 0.0, h.node.value),
        )
        for d in moving
    }  # fmt: skip
    moves: dict[ox.NamedNode, ox.NamedNode] = {}
    for deployment in sorted(moving, key=lambda d: (len(choices[d.node]), d.node.value)):
        host = next((h for h in choices[deployment.node] if room[h.node] > 0), None)
        if host is None:
            return None
        room[host.node] -= 1
        moves[deployment.node] = host.node
    return moves


def desired(runtime: Runtime, action: Action) -> tuple[list[ox.Triple], list[ox.Triple]]:
    """The desired state that goes and the one that comes: a host for a move, the next generation for a restart."""
    removed: list[ox.Triple] = []
    added: list[ox.Triple] = []
    for node, host in sorted(action.moves.items(), key=lambda m: m[0].value):
        old = runtime.deployments[node]
        removed.append(ox.Triple(node, DAPP.onResource, old.host))
        added.append(ox.Triple(node, DAPP.onResource, host))
    for node in sorted(action.touched, key=lambda n: n.value):
        generation = runtime.deployments[node].generation
        removed.append(ox.Triple(node, DAPP.generation, ox.Literal(generation)))
        added.append(ox.Triple(node, DAPP.generation, ox.Literal(generation + 1)))
        if not runtime.deployments[node].wanted:
            removed.append(ox.Triple(node, DAPP.desiredState, DAPPI.Stopped))
            added.append(ox.Triple(node, DAPP.desiredState, DAPPI.Running))
    return removed, added


def cost(runtime: Runtime, action: Action) -> float | None:
    """Change of the price per hour in the offers' currency; None when a price is not known."""
    total = 0.0
    for node, host in action.moves.items():
        before, after = runtime.hosts[runtime.deployments[node].host].price, runtime.hosts[host].price
        if before is None or after is None:
            return None
        total += after - before
    return total
