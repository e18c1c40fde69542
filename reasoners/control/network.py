"""The runtime graph as a Boolean network: who is up, what runs, which unit does what it should, and the goal.

A host, its processor and its link stay as they are (faults and actions change them from outside). A process runs as long
as its host does and is not started again by itself. A unit does what it should when its process runs, its host's
processor is free, its host's link is good where it talks to other hosts, and every unit it depends on hard does; what is
marked soft (`control-dependencies`) only degrades it. The goal is that the ends of the deadline's path do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pyoxigraph as ox

from reasoners.control.expression import every
from reasoners.control.model import GOAL, Deployment, Host, Network, Runtime, Suspicion, Variable
from reasoners.decision import labels
from reasoners.errors import InputError
from reasoners.graph import Term, View
from reasoners.vocab import DAPPI

ANSWER_SECONDS = 0.5  # mean time after which a unit notices that one it waits for is back, or gone
VIEWS = (
    "control-applications", "control-hosts", "control-deployments", "control-dependencies", "control-flows",
    "control-goals", "control-links", "control-supply",
)  # fmt: skip


def read_runtime(view: View, views: Mapping[str, str], application: ox.NamedNode | None = None) -> Runtime:
    """The running system of `application` (default: the one that has deployments).

    Raises InputError when nothing is deployed, or several applications are and none was named.
    """
    found = sorted({_iri(r["application"]) for r in view.select(views["control-applications"])}, key=str)
    if application is None:
        if len(found) != 1:
            raise InputError(
                f"{len(found)} applications are deployed" if found else "nothing is deployed",
                rule="dapp:Deployment",
                remedy="name one of " + ", ".join(map(str, found))
                if found
                else "deploy a plan first: `dappops deploy`",
            )
        application = found[0]
    given = {ox.Variable("application"): application}
    hosts: dict[ox.NamedNode, Host] = {}
    rows = list(view.select(views["control-hosts"]))
    sharing: dict[ox.NamedNode | None, set[ox.NamedNode]] = {}  # an offer's slots are shared by the hosts it gave
    for row in rows:
        sharing.setdefault(_maybe(row["offer"]), set()).add(_iri(row["host"]))
    for row in rows:
        node, slots, several = _iri(row["host"]), _whole(row["slots"]), len(sharing[_maybe(row["offer"])])
        if node not in hosts:
            hosts[node] = Host(
                node, _maybe(row["provider"]), _maybe(row["offer"]), _maybe(row["region"]),
                None if slots is None else -(-slots // several), _number(row["price"]), row["state"] not in (DAPPI.Lost, DAPPI.Failed),
            )  # fmt: skip
    deployments: dict[ox.NamedNode, Deployment] = {}
    for row in view.select(views["control-deployments"], substitutions=given):
        node = _iri(row["deployment"])
        deployments[node] = Deployment(
            node, _iri(row["unit"]), _iri(row["host"]), _whole(row["generation"]) or 0,
            row["desired"] != DAPPI.Stopped, row["state"] not in (DAPPI.Failed, DAPPI.Lost, DAPPI.Stopped),
            _number(row["image"]) or 0.0,
        )  # fmt: skip
        hosts.setdefault(_iri(row["host"]), Host(_iri(row["host"])))
    hard: dict[ox.NamedNode, set[ox.NamedNode]] = {}
    soft: dict[ox.NamedNode, set[ox.NamedNode]] = {}
    for row in view.select(views["control-dependencies"], substitutions=given):
        side = soft if row["soft"] is not None and row["soft"].value == "true" else hard
        side.setdefault(_iri(row["unit"]), set()).add(_iri(row["needed"]))
    flows = {(_iri(r["from"]), _iri(r["to"])) for r in view.select(views["control-flows"], substitutions=given)}
    links = {_iri(r["link"]): (_iri(r["source"]), _iri(r["sink"])) for r in view.select(views["control-links"])}
    supply = {_iri(r["region"]): _number(r["rate"]) or 0.0 for r in view.select(views["control-supply"])}
    goals = tuple(dict.fromkeys(_iri(r["unit"]) for r in view.select(views["control-goals"], substitutions=given)))
    units = {d.unit for d in deployments.values()}
    return Runtime(
        application, hosts, deployments, {u: frozenset(n) for u, n in hard.items()},
        {u: frozenset(n) for u, n in soft.items()}, frozenset(flows), goals, links, supply,
        labels(view, {application, *hosts, *units}),
    )  # fmt: skip


def build(runtime: Runtime, *, seconds: float = ANSWER_SECONDS) -> Network:
    """The network of a running system in its present state."""
    variables: dict[str, Variable] = {}
    notes: list[str] = []
    names = _Names(runtime)

    def add(name: str, about: ox.NamedNode, says: str, function: str, value: bool) -> None:
        variables[name] = Variable(name, about, says, function, value, seconds, seconds)

    used = {d.host for d in runtime.deployments.values() if d.wanted}
    for host in sorted(used, key=lambda h: h.value):
        called = runtime.name(host)
        up, free, link = names.host(host)
        add(up, host, f"{called} is up", up, runtime.hosts[host].up)
        add(free, host, f"the processor of {called} is free for its deployments", free, True)
        add(link, host, f"the link of {called} is good", link, True)
    of_unit: dict[ox.NamedNode, list[Deployment]] = {}
    for deployment in sorted(runtime.deployments.values(), key=lambda d: d.node.value):
        if deployment.wanted:
            of_unit.setdefault(deployment.unit, []).append(deployment)
    units = _units(runtime, of_unit)
    for unit in units:
        called = runtime.name(unit)
        choices = []
        for number, deployment in enumerate(of_unit.get(unit, ()), 1):
            run = names.run(unit, number)
            up, free, link = names.host(deployment.host)
            add(
                run,
                deployment.node,
                f"{called} runs on {runtime.name(deployment.host)}",
                f"{run} & {up}",
                deployment.runs,
            )
            parts = [run, free] + ([link] if _talks(runtime, unit, deployment, of_unit) else [])
            choices.append(every(parts))
        if not choices:
            notes.append(f"{called} is needed but not deployed")
        needed = [names.unit(n) for n in sorted(runtime.hard.get(unit, ()), key=lambda n: n.value) if n in units]
        serves = "false" if not choices else choices[0] if len(choices) == 1 else "(" + ") | (".join(choices) + ")"
        if len(choices) > 1 and needed:
            serves = f"({serves})"
        add(names.unit(unit), unit, f"{called} does what it should", every([serves, *needed]), True)
    goals = [names.unit(u) for u in runtime.goals if u in units] or [names.unit(u) for u in units]
    add(GOAL, runtime.application, f"{runtime.name(runtime.application)} does what it should", every(goals), True)
    return settled(Network(tuple(variables.values()), tuple(notes)))


def settled(network: Network) -> Network:
    """The network in the state it comes to when what is steady or runs stays as it is: units and goal follow."""
    from reasoners.control.expression import compiled

    place = {v.name: i for i, v in enumerate(network.variables)}
    tests = [compiled(v.function, place) for v in network.variables]
    state = list(network.state)
    for _ in range(len(state) + 1):
        fresh = [test(state) for test in tests]
        if fresh == state:
            break
        state = fresh
    return network.with_values(dict(zip(place, state, strict=True)))


def faulted(network: Network, runtime: Runtime, suspicion: Suspicion) -> dict[str, bool]:
    """Which variables a fault holds at which value, as long as nobody does anything."""
    names = _Names(runtime)
    suspect, kind = suspicion.suspect, suspicion.kind
    held: dict[str, bool] = {}
    if suspect in runtime.deployments:
        for variable in network.variables:
            if variable.about == suspect:
                held[variable.name] = False
        return held
    ends = runtime.links.get(suspect)
    hosts = [suspect] if suspect in runtime.hosts else [e for e in ends or () if e in runtime.hosts]
    for host in hosts[:1] if ends else hosts:  # a link is good or bad with either end: one of them is enough
        up, free, link = names.host(host)
        name = {DAPPI.HostFailure: up, DAPPI.CpuContention: free, DAPPI.LinkDegradation: link}.get(kind, up)
        if name in network:
            held[name] = False
    return held


def variable_of(runtime: Runtime, node: ox.NamedNode) -> str | None:
    """The variable that says whether a deployment's process runs, or a host is up."""
    names = _Names(runtime)
    if node in runtime.hosts:
        return names.host(node)[0]
    deployment = runtime.deployments.get(node)
    if deployment is None:
        return None
    same = sorted(
        (d for d in runtime.deployments.values() if d.unit == deployment.unit and d.wanted), key=lambda d: d.node.value
    )
    return names.run(deployment.unit, same.index(deployment) + 1) if deployment in same else None


def _units(runtime: Runtime, of_unit: Mapping[ox.NamedNode, Sequence[Deployment]]) -> list[ox.NamedNode]:
    """Units that run or that a unit that runs needs, in order."""
    found = set(of_unit)
    todo = list(found)
    while todo:
        for needed in runtime.hard.get(todo.pop(), ()):
            if needed not in found:
                found.add(needed)
                todo.append(needed)
    return sorted(found, key=lambda u: u.value)


def _talks(
    runtime: Runtime, unit: ox.NamedNode, deployment: Deployment, of_unit: Mapping[ox.NamedNode, Sequence[Deployment]]
) -> bool:
    """Whether a deployment exchanges anything that counts with another host."""
    partners = set(runtime.hard.get(unit, ()))
    partners |= {u for u, needed in runtime.hard.items() if unit in needed}
    soft = runtime.soft.get(unit, frozenset())
    for a, b in runtime.flows:
        if unit in (a, b):
            other = b if a == unit else a
            if other not in soft and unit not in runtime.soft.get(other, frozenset()):
                partners.add(other)
    return any(d.host != deployment.host for partner in partners for d in of_unit.get(partner, ()))


class _Names:
    """Variable names: kind and the last part of the IRI, numbered where two things end alike."""

    def __init__(self, runtime: Runtime) -> None:
        self._words: dict[ox.NamedNode, str] = {}
        units = {d.unit for d in runtime.deployments.values()}
        units |= {n for found in (runtime.hard, runtime.soft) for u, needed in found.items() for n in (u, *needed)}
        for group in (runtime.hosts, units):
            taken: set[str] = set()
            for node in sorted(group, key=lambda n: n.value):
                word = base = re.sub(r"\W", "_", node.value.rstrip("/").replace("#", "/").rsplit("/", 1)[-1]) or "x"
                number = 1
                while word in taken:
                    number += 1
                    word = f"{base}_{number}"
                taken.add(word)
                self._words[node] = word

    def host(self, node: ox.NamedNode) -> tuple[str, str, str]:
        """Names of: the host is up, its processor is free, its link is good."""
        word = self._words[node]
        return f"up_{word}", f"free_{word}", f"link_{word}"

    def run(self, unit: ox.NamedNode, number: int) -> str:
        """Name of: the process of the unit's `number`-th deployment runs."""
        return f"run_{self._words[unit]}" + ("" if number == 1 else f"__{number}")

    def unit(self, node: ox.NamedNode) -> str:
        """Name of: the unit does what it should."""
        return f"serves_{self._words[node]}"


def _iri(term: Term | None) -> ox.NamedNode:
    if not isinstance(term, ox.NamedNode):
        raise InputError(f"{term} is no IRI", rule="dapp:Deployment", remedy="name what runs by IRIs")
    return term


def _maybe(term: Term | None) -> ox.NamedNode | None:
    return term if isinstance(term, ox.NamedNode) else None


def _number(term: Term | None) -> float | None:
    return float(term.value) if isinstance(term, ox.Literal) else None


def _whole(term: Term | None) -> int | None:
    return int(float(term.value)) if isinstance(term, ox.Literal) else None
