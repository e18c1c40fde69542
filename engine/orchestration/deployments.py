"""From a plan to what should run: which unit on which host, in which generation. Commits, and nothing else, start things.

`deploy`, `undeploy`, `restart` and `migrate` change the desired state in the graph `operation`, as methods of the owner
(`engine.orchestration.serve`); the reconcile loop carries it out. `assign` and `arrange`, which decide, are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine import resources
from engine.orchestration.emulation.topology import Host, Link, Topology, cores, memory, topology
from reasoners.graph import Term
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

GRAPH = "operation"
DEFAULT_SLOTS = 8  # units on a host whose offers do not say how many they are for
GIGABIT = 125e6  # bytes
Json = dict[str, Any]
Row = Mapping[str, Term]


@dataclass(frozen=True, slots=True)
class Placement:
    """What a plan chose for a unit."""

    unit: str
    offer: str
    provider: str


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as the graph describes it."""

    iri: str
    provider: str
    offers: tuple[str, ...]
    slots: int
    reached: bool
    cores: float | None
    memory: int | None


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as the graph has it: what should be, and what was last seen."""

    iri: str
    unit: str
    application: str
    host: str
    generation: int
    desired: str  # Running | Stopped
    plan: str = ""
    package: str = ""
    entry: str = ""
    digest: str = ""
    state: str = ""  # name of a DeploymentState
    since: str = ""
    endpoint: str = ""
    box: str = ""

    @property
    def name(self) -> str:
        """The unit's short name."""
        return tail(self.iri)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a placement is not carried out."""

    unit: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Arranged:
    """What deployments should become, with the word for each change: new, kept, moved, restarted, updated, stopped."""

    deployments: tuple[Deployed, ...]
    changes: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def tail(iri: str) -> str:
    """The last part of an IRI: short names of hosts and units."""
    return iri.replace("#", "/").rsplit("/", 1)[-1]


# -- reading rows of views -------------------------------------------------------------------------------------------
def _text(row: Row, name: str) -> str:
    term = row.get(name)
    return "" if term is None else str(term) if isinstance(term, ox.BlankNode) else str(term.value)


def _number(row: Row, name: str) -> float | None:
    term = row.get(name)
    return float(term.value) if isinstance(term, ox.Literal) else None


def hosts_of(rows: Iterable[Row]) -> list[HostRow]:
    """Rows of the view `deploy-hosts`. An offer's capacity is shared by the hosts that were obtained through it."""
    groups: dict[str, list[Row]] = {}
    sharing: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(_text(row, "host"), []).append(row)
        sharing.setdefault(_text(row, "offer"), set()).add(_text(row, "host"))
    out = []
    for iri, given in sorted(groups.items()):
        capacities = {
            o: -(-int(c) // len(sharing[o])) for row in given if (o := _text(row, "offer")) and (c := _number(row, "capacity"))
        }  # fmt: skip
        slots = sum(capacities.values()) or DEFAULT_SLOTS
        first = given[0]
        sizes = [_number(row, "memory") for row in given]
        out.append(
            HostRow(
                iri, _text(first, "provider"), tuple(sorted({_text(r, "offer") for r in given} - {""})), slots,
                any(_text(row, "driver") for row in given),
                cores(_number(first, "share"), _number(first, "vcpus"), slots),
                memory(max((s for s in sizes if s is not None), default=None), slots),
            )
        )  # fmt: skip
    return out


def topology_of(hosts: Iterable[Row], links: Iterable[Row]) -> Topology:
    """Rows of the views `deploy-hosts` and `deploy-links` as what is to be played: hosts that a driver reaches."""
    found = [h for h in hosts_of(hosts) if h.reached]
    return topology(
        [Host(tail(h.iri), h.iri, h.cores, h.memory, h.slots, h.provider) for h in found],
        {
            row_iri: Link(
                row_iri, _text(row, "source"), _text(row, "sink"),
                None if (b := _number(row, "bandwidth")) is None else b * GIGABIT, (_number(row, "latency") or 0.0) / 1000,
            )
            for row in links if (row_iri := _text(row, "link"))
        }.values(),
    )  # fmt: skip


def deployed_of(rows: Iterable[Row]) -> list[Deployed]:
    """Rows of the view `deploy-status`, one deployment each."""
    found: dict[str, Deployed] = {}
    for row in rows:
        iri = _text(row, "deployment")
        found.setdefault(
            iri,
            Deployed(
                iri, _text(row, "unit"), _text(row, "application"), _text(row, "host"), int(_number(row, "generation") or 1),
                tail(_text(row, "desired")), _text(row, "plan"), _text(row, "package"), _text(row, "entryPoint"),
                _text(row, "digest"), tail(_text(row, "state")), _text(row, "since"), _text(row, "endpoint"),
                tail(_text(row, "box")),
            ),
        )  # fmt: skip
    return [found[iri] for iri in sorted(found)]


# -- deciding, pure --------------------------------------------------------------------------------------------------
def assign(
    placements: Sequence[Placement], hosts: Sequence[HostRow], current: Mapping[str, str], occupied: Mapping[str, int],
    avoid: frozenset[str] = frozenset(),
) -> tuple[dict[str, str], list[Problem]]:  # fmt: skip
    """unit -> host (IRIs), and what cannot be placed.

    A unit stays on its host (`current`) when that was obtained through its offer; the others go, in order, to the emptiest
    fitting host. `occupied`: slots that other applications take; hosts in `avoid` only when there is no other.
    """
    used = dict(occupied)
    chosen: dict[str, str] = {}
    problems: list[Problem] = []
    fitting = {p.unit: [h for h in hosts if p.offer in h.offers and h.reached] for p in placements}
    order = sorted(placements, key=lambda p: (current.get(p.unit) not in [h.iri for h in fitting[p.unit]], p.unit))
    for placement in order:
        free = [h for h in fitting[placement.unit] if used.get(h.iri, 0) < h.slots]
        if not free:
            problems.append(_problem(placement, hosts, fitting[placement.unit]))
            continue
        best = min(
            free,
            key=lambda h: (
                h.iri in avoid, h.iri != current.get(placement.unit), used.get(h.iri, 0) / h.slots, h.iri
            ),
        )  # fmt: skip
        used[best.iri] = used.get(best.iri, 0) + 1
        chosen[placement.unit] = best.iri
    return chosen, problems


def _problem(placement: Placement, hosts: Sequence[HostRow], fitting: Sequence[HostRow]) -> Problem:
    provider, offer = tail(placement.provider) or "its provider", tail(placement.offer)
    if fitting:
        return Problem(
            placement.unit, f"every host obtained through {offer} is full", "obtain another host, or plan anew"
        )
    if any(placement.offer in h.offers for h in hosts):
        return Problem(
            placement.unit, f"not available: no driver reaches {provider} from here",
            "describe a driver that reaches it, or require reachable providers and plan anew",
        )  # fmt: skip
    return Problem(
        placement.unit, f"not available: no driver reaches {provider} from here, and no host was obtained through {offer}",
        "require reachable providers (`reachableOnly: true`) and plan anew",
    )  # fmt: skip


def arrange(
    graph: str, application: str, plan: str, chosen: Mapping[str, str], packages: Mapping[str, tuple[str, str, str]],
    current: Sequence[Deployed], planned: frozenset[str],
) -> Arranged:  # fmt: skip
    """Deployments of an application for a plan. `packages`: unit -> (package, entry point, digest).

    What stays as it is keeps its generation; what moves, changes its program, or does not run, gets the next one. A unit
    that is `planned` and could not be assigned stays as it is; one that is not planned any more is stopped.
    """
    before = {d.unit: d for d in current if d.application == application}
    out, changes = [], {}
    for unit, host in sorted(chosen.items()):
        package, entry, digest = packages[unit]
        old = before.get(unit)
        iri = f"{graph}/deployment/{tail(unit)}"
        if old is None:
            change, generation = "new", 1
        else:
            ran_out = old.desired != "Running" or old.state in ("Failed", "Stopped", "Lost")
            moved, updated = old.host != host, (old.package, old.digest) != (package, digest)
            change = "moved" if moved else "updated" if updated else "restarted" if ran_out else "kept"
            generation = old.generation + (change != "kept")
        out.append(Deployed(iri, unit, application, host, generation, "Running", plan, package, entry, digest))
        changes[unit] = change
    for unit, old in sorted(before.items()):
        if unit not in planned and old.desired != "Stopped":
            out.append(stopped(old))
            changes[unit] = "stopped"
    return Arranged(tuple(out), changes)


def stopped(old: Deployed) -> Deployed:
    """The same deployment, not to run."""
    return Deployed(
        old.iri,
        old.unit,
        old.application,
        old.host,
        old.generation,
        "Stopped",
        old.plan,
        old.package,
        old.entry,
        old.digest,
    )


def triples(deployed: Deployed) -> list[ox.Triple]:
    """The desired state as triples."""
    me = ox.NamedNode(deployed.iri)
    out = [
        ox.Triple(me, RDF.type, DAPP.Deployment),
        ox.Triple(me, RDFS.label, ox.Literal(deployed.name)),
        ox.Triple(me, DAPP.ofUnit, ox.NamedNode(deployed.unit)),
        ox.Triple(me, DAPP.onResource, ox.NamedNode(deployed.host)),
        ox.Triple(me, DAPP.desiredState, DAPPI(deployed.desired)),
        ox.Triple(me, DAPP.generation, ox.Literal(deployed.generation)),
    ]
    if deployed.plan:
        out.append(ox.Triple(me, DAPP.realisesPlan, ox.NamedNode(deployed.plan)))
    if deployed.package:
        out.append(ox.Triple(me, DAPP.usesPackage, ox.NamedNode(deployed.package)))
    return out


DESIRED = (DAPP.ofUnit, DAPP.onResource, DAPP.desiredState, DAPP.generation, DAPP.realisesPlan, DAPP.usesPackage)


# -- the public face -------------------------------------------------------------------------------------------------
def programs_folder() -> Path:
    """Where the entry points of shipped packages are."""
    return resources.data_root() / "examples"


def deploy(
    kb: KnowledgeBase, application: str, *, programs: Path | None = None, plan: str | None = None, dry_run: bool = False
) -> Json:
    """Make the deployments of an application (IRI) follow its newest plan, or `plan`; returns what changes and what cannot be.

    {"application", "plan", "deployments": [{"deployment", "unit", "host", "generation", "change"}], "problems"}. InputError
    when it was never planned or a program is missing; Refused when a shape does not allow it.
    """
    answer: Json = kb.call(
        "deploy", application=application, author=kb.author, programs=str(programs or programs_folder()), plan=plan,
        dry_run=dry_run,
    )  # fmt: skip
    return answer


def undeploy(kb: KnowledgeBase, application: str | None = None) -> Json:
    """Deployments of an application (None: all) are not to run any more."""
    answer: Json = kb.call("undeploy", application=application, author=kb.author)
    return answer


def restart(kb: KnowledgeBase, deployment: str) -> Json:
    """Start a deployment (IRI) anew where it is: its generation grows by one."""
    answer: Json = kb.call("restart", deployment=deployment, author=kb.author)
    return answer


def migrate(kb: KnowledgeBase, deployment: str, host: str) -> Json:
    """Move a deployment to another host (IRIs); its generation grows by one. Its private files stay where they are."""
    answer: Json = kb.call("migrate", deployment=deployment, host=host, author=kb.author)
    return answer
