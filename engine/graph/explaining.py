"""Why a triple holds, as data: derivations down to asserted triples, each with its graph, commit, author and time.

Only what a reader may see is consulted: the public closure, or the closure of the audience that the reader belongs to,
and of asserted graphs those that it may read. Whoever asks about anything else hears that it is not there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError, did_you_mean
from engine.graph import names
from engine.graph.audiences import PUBLIC, audience_named, key_of, private_graphs
from engine.graph.authority import why_inert
from engine.graph.kernel import Kernel
from engine.graph.log import Entry
from engine.graph.service import REGIMES, Caller, Json, method
from engine.graph.terms import canonical, triple_line
from engine.graph.wire import decode_term
from reasoners.derive.derivation import Derivation
from reasoners.derive.rule import Rule
from reasoners.derive.why import Applied, Explainer, Nearly
from reasoners.graph import Term, View

DEPTH, SIZE, ALTERNATIVES = 40, 1_000, 20
NEAREST = 5  # triples told of each kind that are like one that is not there
LOOKED = 200  # of them looked at
COMMITS = 2_000  # commits of one graph searched for a leaf


@method
def why_triple(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Derivations of a triple in a regime, or what is near it when it is not there.

    Parameters: `subject`, `predicate`, `object` (N-Triples), `regime`, `alternatives`, `depth`; whose eyes: `audience` (a
    key) or `reader` (an address); `positions` false leaves out numbers of transactions.
    """
    triple = triple_of(params)
    regime = params.get("regime") or "hierarchy"
    if regime not in REGIMES:
        raise InputError(f"no regime {regime!r}{did_you_mean(regime, REGIMES)}", rule=f"one of {', '.join(REGIMES)}")
    depth = max(1, min(int(params.get("depth") or DEPTH), 2 * DEPTH))
    wanted = max(1, min(int(params.get("alternatives") or 1), ALTERNATIVES))
    with _state(kernel, params) as state:
        explainer = state.explainer(kernel, depth)
        told = _Telling(kernel, state, bool(params.get("positions", True)))
        if regime == "full":
            found = _full(kernel, explainer, triple, wanted)
        else:
            found = explainer.explain(triple, wanted) if triple in state.view else []
        out: Json = {
            "triple": triple_line(triple)[:-2], "regime": regime, "holds": bool(found),
            "derivations": told.trees(found),
        }  # fmt: skip
        if not found:
            out |= told.absent(triple, explainer)
        return out


def triple_of(params: Mapping[str, Any]) -> ox.Triple:
    """The triple that `subject`, `predicate`, `object` name, in its canonical form; InputError when they are none."""
    s, p, o = (decode_term(params[k]) for k in ("subject", "predicate", "object"))
    if isinstance(s, ox.Literal) or not isinstance(p, ox.NamedNode):
        raise InputError(
            "a triple has a node as its subject and an IRI as its predicate", place=f"{s} {p} {o}",
            rule="https://www.w3.org/TR/rdf11-concepts/#section-triples", remedy="give them in the order subject, predicate, object",
        )  # fmt: skip
    return canonical(ox.Triple(s, p, o))


class _State:
    """One audience's closure and the asserted graphs it may name."""

    def __init__(self, store: ox.Store, graphs: Iterable[str], rules: list[Rule]) -> None:
        self.store, self.graphs, self.rules = store, frozenset(graphs), rules
        self.view = View(store)

    def holders(self, triple: ox.Triple) -> Iterator[str]:
        found = self.store.quads_for_pattern(triple.subject, triple.predicate, triple.object, None)
        return (q.graph_name.value for q in found if isinstance(q.graph_name, ox.NamedNode))

    def asserted_in(self, triple: ox.Triple) -> list[str]:
        """The readable graphs that assert a triple."""
        return sorted(g for g in self.holders(triple) if g in self.graphs)

    def explainer(self, kernel: Kernel, depth: int) -> Explainer:
        """Explains this state's triples."""
        prefix = names.DERIVED_PREFIX
        row = kernel.log.db.execute("SELECT time FROM tx ORDER BY id DESC LIMIT 1").fetchone()
        now = ox.Literal(row[0], datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#dateTime")) if row else None

        def derived_by(triple: ox.Triple) -> list[ox.NamedNode]:
            return [ox.NamedNode(g[len(prefix) :]) for g in self.holders(triple) if g.startswith(prefix)]

        return Explainer(
            self.view, self.rules, lambda t: bool(self.asserted_in(t)), derived_by, now=now, depth=depth, size=SIZE
        )


@contextmanager
def _state(kernel: Kernel, params: Json) -> Iterator[_State]:
    """The state that the asker may see, held still while it is looked at."""
    with kernel.lock.held():
        reader = str(params.get("reader") or "").lower()
        graphs = (
            private_graphs(kernel, reader) if reader else audience_named(kernel, str(params.get("audience") or PUBLIC))
        )
        if graphs is None:
            raise InputError(f"no audience {params['audience']!r}", remedy="ask for the reader's with `audience`")
        rules = [r for r in kernel.gate.rules if r.purpose == "derive"]
        readable = [i for i, info in kernel.log.graphs.items() if info.audience == "public" or i in graphs]
        if not graphs:
            yield _State(kernel.store.store, readable, rules)
            return
    feed = kernel.feed
    followed = feed.audience_followed(key_of(graphs), graphs)
    with followed.lock:
        while not feed.catch_up(followed):
            followed = feed.audience_followed(key_of(graphs), graphs)
        yield _State(followed.view.store.store, readable, rules)


def _full(kernel: Kernel, explainer: Explainer, triple: ox.Triple, wanted: int) -> list[Derivation]:
    """Derivations in OWL 2 RL over the public closure, whose leaves are followed on through the rules of the policy."""
    found = explainer.explain(triple, wanted)
    if found:
        return found
    entailed = kernel.full.explain(kernel, triple)
    return [] if entailed is None else [_grafted(entailed, explainer)]


def _grafted(one: Derivation, explainer: Explainer) -> Derivation:
    if one.asserted:
        below = explainer.explain(one.triple)
        return below[0] if below else one
    return Derivation(one.triple, one.rule, tuple(_grafted(p, explainer) for p in one.premises))


class _Telling:
    """Derivations as data."""

    def __init__(self, kernel: Kernel, state: _State, positions: bool) -> None:
        self._kernel, self._state, self._positions = kernel, state, positions
        self._labels = {r.iri.value: r.name for r in state.rules}
        self._sources: dict[ox.Triple, list[Json]] = {}

    def trees(self, found: list[Derivation]) -> list[Json]:
        """Each derivation as nested data."""
        leaves = {leaf for one in found for leaf in one.leaves()}
        for graph in sorted(self._state.graphs):
            here = {t for t in leaves if _in(self._state.store, t, graph)}
            if here:
                self._find(graph, here)
        return [self._tree(one) for one in found]

    def _find(self, graph: str, wanted: set[ox.Triple]) -> None:
        """The commits that added these triples to a graph, the latest each."""
        left = {f"\n+{triple_line(t)[:-2]} <{graph}> .\n": t for t in wanted}
        log = self._kernel.log
        for entry in islice(reversed(list(log.entries(graph))), COMMITS):
            if not left:
                break
            text = "\n" + zlib.decompress(log.body(entry.id)).decode() + "\n"
            for line in [line for line in left if line in text]:
                self._sources.setdefault(left.pop(line), []).append(self._source(graph, entry))
        for triple in left.values():
            self._sources.setdefault(triple, []).append({"graph": graph})

    def _source(self, graph: str, entry: Entry) -> Json:
        found = self._kernel.log.db.execute("SELECT time FROM tx WHERE id=?", (entry.tx,)).fetchone()
        told: Json = {"graph": graph, "sequence": entry.sequence, "author": entry.author, "time": found[0]}
        return {**told, "transaction": entry.tx} if self._positions else told

    def _tree(self, one: Derivation) -> Json:
        out: Json = {"triple": triple_line(one.triple)[:-2], "asserted": one.asserted}
        if one.asserted:
            return {**out, "sources": self._sources.get(one.triple, [])}
        out |= {"rule": one.rule, "label": self._labels.get(one.rule, one.rule)}
        if isinstance(one, Applied):
            out |= {
                "bindings": {name: str(term) for name, term in one.bindings if not name.startswith("w")},
                "absent": list(one.absent), "counted": list(one.counted), "conditions": list(one.conditions),
                "cut": one.cut,
            }  # fmt: skip
        return {**out, "premises": [self._tree(p) for p in one.premises]}

    def absent(self, triple: ox.Triple, explainer: Explainer) -> Json:
        """What is near a triple that is not there: stated without effect, like it, or nearly concluded."""
        inert = []
        for graph in self._state.asserted_in(triple):
            info = self._kernel.log.graphs[graph]
            why = why_inert(triple, info, in_force=self._kernel.in_force(info))
            inert.append({"graph": graph, "why": why or "it does not count"})
        s, p, o = triple.subject, triple.predicate, triple.object
        assert isinstance(s, Term) and isinstance(o, Term)  # noqa: PT018
        near: dict[str, None] = {}
        for pattern in ((s, p, None), (None, p, o), (s, None, o)):
            found = sorted(triple_line(t)[:-2] for t in islice(self._state.view.triples(*pattern), LOOKED))
            near.update(dict.fromkeys(found[:NEAREST]))
        return {
            "inert": inert, "nearest": list(near)[: 2 * NEAREST],
            "rules": [self._near(n) for n in _telling(explainer.nearly(triple, ALTERNATIVES))],
        }  # fmt: skip

    @staticmethod
    def _near(one: Nearly) -> Json:
        return {
            "rule": one.rule.iri.value, "label": one.rule.name, "missing": one.missing, "held": one.held, "parts": one.parts,
            "found": [triple_line(t)[:-2] for t in one.found],
        }  # fmt: skip


def _telling(found: list[Nearly]) -> list[Nearly]:
    """Rules of which something holds; without any the first few."""
    return [n for n in found if n.held][:NEAREST] or found[:2]


def _in(store: ox.Store, triple: ox.Triple, graph: str) -> bool:
    return ox.Quad(triple.subject, triple.predicate, triple.object, ox.NamedNode(graph)) in store
