"""Which hosts are to be played, how big they are, and how fast and how far they are from each other. Pure.

Links join hosts and regions; the way between two hosts is the quickest one over regions, as narrow as its narrowest link.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AGENT_MEMORY = 64 << 20  # bytes a host gets beside its slots, for its own agent
LEAST_CORES = 0.05  # less than this and Python does not start within the patience anybody has


@dataclass(frozen=True, slots=True)
class Host:
    """An emulated host: its size in cores of this machine and bytes, and the rate of its own line."""

    id: str
    iri: str
    cores: float | None = None  # None: not bounded
    memory: int | None = None  # bytes
    slots: int = 8  # units it takes
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two ends (IRIs); goes both ways."""

    iri: str
    source: str
    sink: str
    rate: float | None = None  # bytes a second
    latency: float = 0.0  # seconds, one way


@dataclass(frozen=True, slots=True)
class Way:
    """How data gets from one host to another."""

    rate: float | None
    latency: float


@dataclass(frozen=True, slots=True)
class Topology:
    """Hosts by id, in order, and the ways between them."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    def rate(self, host: str) -> float | None:
        """Bytes a second of the fastest link that ends at a host; None when none says."""
        iri = self.hosts[host].iri
        rates = [link.rate for link in self.links if iri in (link.source, link.sink) and link.rate]
        return max(rates, default=None)

    def line(self, iri: str) -> str | None:
        """The host whose own line a link is, or the host itself, by IRI."""
        ids = {host.iri: name for name, host in self.hosts.items()}
        if iri in ids:
            return ids[iri]
        for link in self.links:
            if link.iri == iri:
                return ids.get(link.source) or ids.get(link.sink)
        return None

    def ways(self, host: str) -> dict[str, Way]:
        """The ways from a host to every other that a chain of links leads to."""
        ids = {h.iri: name for name, h in self.hosts.items()}
        ends: dict[str, list[tuple[str, Link]]] = {}
        for link in self.links:
            ends.setdefault(link.source, []).append((link.sink, link))
            ends.setdefault(link.sink, []).append((link.source, link))
        start = self.hosts[host].iri
        # who takes part as a compute node passes nothing on; regions do
        passes = {start} | ({e for link in self.links for e in (link.source, link.sink)} - set(ids))
        best: dict[str, Way] = {}
        queue: list[tuple[float, int, str, float | None]] = [(0.0, 0, start, None)]
        while queue:
            latency, hops, at, rate = heapq.heappop(queue)
            if at in best:
                continue
            best[at] = Way(rate, latency)
            if at not in passes:
                continue
            for to, link in ends.get(at, ()):
                rates = [r for r in (rate, link.rate) if r]
                heapq.heappush(queue, (latency + link.latency, hops + 1, to, min(rates, default=None)))
        return {ids[iri]: way for iri, way in sorted(best.items()) if iri in ids and iri != start}


def cores(share: float | None, vcpus: float | None, slots: int) -> float | None:
    """Cores of this machine that a host stands for: each slot has `vcpus` virtual processors, each a `share` of a core."""
    if share is None:
        return None
    return max(LEAST_CORES, share * (vcpus or 1) * slots)


def memory(gibibytes: float | None, slots: int) -> int | None:
    """Bytes a host has: what its slots were sold with, and room for the agent."""
    return None if gibibytes is None else int(gibibytes * (1 << 30) * slots) + AGENT_MEMORY


def topology(hosts: Iterable[Host], links: Iterable[Link]) -> Topology:
    """A topology; ids must differ."""
    return Topology({h.id: h for h in sorted(hosts, key=lambda h: h.id)}, tuple(sorted(links, key=lambda x: x.iri)))
