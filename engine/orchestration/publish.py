"""What the loop saw, as commits to the graph `operation`: states and events, only when they change, and not too often.

Readings are not committed, only what they mean: the state of each deployment and host, since when, where it answers, and
how long a start took. Events are bounded: the oldest go when there are too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import BusyError, InputError
from engine.orchestration.deployments import GRAPH, tail
from engine.orchestration.reconcile import Happened, Seen
from reasoners.vocab import DAPP, DAPPI, RDF, XSD

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

PAUSE = 0.5  # seconds between two commits at least
MOST_EVENTS, SWEEP = 500, 100  # kept; removed at once when there are more
MOST_TEXT = 600  # characters of an event's message
STATE = (DAPP.state, DAPP.since, DAPP.endpoint, DAPP.inBox)
BOXES = {"process": DAPPI.ProcessIsolation, "sandbox": DAPPI.SandboxIsolation}


def moment(seconds: float) -> ox.Literal:
    """Unix seconds as xsd:dateTime with milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = text.replace(".000Z", "Z") if text.endswith(".000Z") else text.rstrip("Z").rstrip("0") + "Z"
    return ox.Literal(text, datatype=XSD.dateTime)


def seconds_of(text: str) -> float:
    """The moment of an xsd:dateTime, as Unix seconds; 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def state_triples(iri: str, seen: Seen) -> set[ox.Triple]:
    """What is said of a deployment or host."""
    me = ox.NamedNode(iri)
    out = {ox.Triple(me, DAPP.state, DAPPI(seen.state)), ox.Triple(me, DAPP.since, moment(seen.since))}
    if seen.endpoint:
        out.add(ox.Triple(me, DAPP.endpoint, ox.Literal(seen.endpoint)))
    if seen.box in BOXES:
        out.add(ox.Triple(me, DAPP.inBox, BOXES[seen.box]))
    return out


def event_triples(graph: str, happened: Happened, seen: Seen | None) -> list[ox.Triple]:
    """An event, and the observation of how long a start took."""
    me = ox.NamedNode(f"{graph}/event/{int(happened.at * 1000)}-{tail(happened.about)}-{happened.kind}")
    about = ox.NamedNode(happened.about)
    text = happened.message if len(happened.message) <= MOST_TEXT else happened.message[: MOST_TEXT - 1] + "…"
    out = [
        ox.Triple(me, RDF.type, DAPP.OperationEvent),
        ox.Triple(me, DAPP.eventKind, ox.Literal(happened.kind)),
        ox.Triple(me, DAPP.eventAbout, about),
        ox.Triple(me, DAPP.atTime, moment(happened.at)),
        ox.Triple(me, DAPP.message, ox.Literal(text)),
    ]
    if happened.took is not None and seen is not None:
        number = f"{seen.generation}-{int(happened.at * 1000)}"
        it = ox.NamedNode(f"{graph}/observation/provisioning-{tail(happened.about)}-{number}")
        took = Decimal(happened.took).quantize(Decimal("0.001"))
        out += [
            ox.Triple(it, RDF.type, DAPP.Observation),
            ox.Triple(it, DAPP.ofFeature, about),
            ox.Triple(it, DAPP.ofMetric, DAPPI.ProvisioningTime),
            ox.Triple(it, DAPP.observedValue, ox.Literal(str(took), datatype=XSD.decimal)),
            ox.Triple(it, DAPP.periodStart, moment(happened.at - happened.took)),
            ox.Triple(it, DAPP.periodEnd, moment(happened.at)),
        ]
    return out


class Publisher:
    """Brings the graph to what was seen. Level-triggered: what could not be committed now is committed next time."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb, self.graph = kb, kb.graph_iri(GRAPH)
        self._said: dict[str, set[ox.Triple]] = {}
        self._waiting: list[tuple[Happened, Seen | None]] = []
        self._last = 0.0
        self._events: list[str] | None = None

    def _before(self, iri: str) -> set[ox.Triple]:
        """What the graph says of something: asked once, remembered then."""
        if iri not in self._said:
            me = ox.NamedNode(iri)
            quads = [q for p in STATE for q in self.kb.quads(me, p, None, self.graph)] if self._exists() else []
            self._said[iri] = {q.triple for q in quads}
        return self._said[iri]

    def _exists(self) -> bool:
        return any(g["iri"] == self.graph for g in self.kb.info()["graphs"])

    def publish(
        self, seen: Mapping[str, Seen], happened: Sequence[Happened], clock: float, *, now: bool = False
    ) -> int:
        """Commit what changed (`now`: even if the last commit was just before); the number of triples that did.

        `clock`: seconds of a clock that never goes back. BusyError leaves everything for the next call.
        """
        self._waiting += [(h, seen.get(h.about)) for h in happened]
        fresh = {iri: state_triples(iri, each) for iri, each in seen.items()}
        removed = {t for iri, new in fresh.items() for t in self._before(iri) - new}
        added = {t for iri, new in fresh.items() for t in new - self._before(iri)}
        if not (removed or added or self._waiting) or (not now and clock - self._last < PAUSE):
            return 0
        events = [t for h, s in self._waiting for t in event_triples(self.graph, h, s)]
        # a start that is told again (the owner went away between commit and answer) is the same start
        words = "; ".join(dict.fromkeys(h.message.split(": ")[0] for h, _ in self._waiting[:3])) or "states"
        more = f" and {len(self._waiting) - 3} more" if len(self._waiting) > 3 else ""
        try:
            self.kb.commit(
                GRAPH, [*sorted(added, key=str), *events], [*sorted(removed, key=str), *self._old()],
                message=f"seen: {words}{more}"[:200],
            )  # fmt: skip
        except BusyError:
            return 0
        except InputError:
            if not self._waiting:
                raise
            self._waiting = []  # a rule here does not take these events: states are worth more than words about them
            return 0
        self._said.update(fresh)
        if self._events is not None:
            self._events += [
                t.subject.value for t in events if t.predicate == DAPP.eventKind and isinstance(t.subject, ox.NamedNode)
            ]
        self._waiting, self._last = [], clock
        return len(removed) + len(added) + len(events)

    def _old(self) -> list[ox.Triple]:
        """Triples of the oldest events, when there are too many."""
        if self._events is None:
            answer = self.kb.call("view", name="deploy-events", bindings={})
            self._events = [
                iri for row in answer["rows"] if (iri := str(row[0]).strip("<>")).startswith(f"{self.graph}/")
            ]
        if len(self._events) <= MOST_EVENTS:
            return []
        going, self._events = self._events[:SWEEP], self._events[SWEEP:]
        return [q.triple for iri in going for q in self.kb.quads(ox.NamedNode(iri), None, None, self.graph)]

    def withdraw(self, message: str) -> None:
        """Take back what is said of states: nothing is watched any more."""
        if not self._exists():
            return
        removed = [q.triple for p in STATE for q in self.kb.quads(None, p, None, self.graph)]
        if removed:
            self.kb.commit(GRAPH, [], removed, message=message)
        self._said = {}
