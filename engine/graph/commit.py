"""The commit path: normalise, apply with an undo at hand, derive, validate, then append to the log or undo.

The order is what makes a crash at any instruction harmless (design §4, Order against crashes): an intent is durable
before the store changes; the store's change carries the intent's id; the log row is the commit point; recovery brings
the store to the last intent and undoes an attempt that never reached the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph import names
from engine.graph.accumulator import Accumulator
from engine.graph.authority import check_subjects, why_inert
from engine.graph.gate import Gate, Refused, check_covering, finding_triples, in_graph, result_from_json, result_json
from engine.graph.hashing import keccak256
from engine.graph.keys import Signer, commit_digest, recover
from engine.graph.labels import relabel_delta, unskolem
from engine.graph.log import Entry, GraphInfo, Transaction, head_hash, pack, seal_digest
from engine.graph.terms import canonical, triple_line
from engine.graph.tree import Leaf, leaf_of
from reasoners.derive import Pending
from reasoners.graph import Delta, Term
from reasoners.validate import Affected, Result
from reasoners.vocab import DAPP, SH, XSD

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

GENID = "/.well-known/genid/"
Changes = Mapping[str, tuple[Sequence[ox.Triple], Sequence[ox.Triple]]]  # graph -> (removed, added)

checkpoint: Callable[[str], None] = lambda name: None  # noqa: E731  # tests put a kill here, between any two writes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a commit did. `sequence` is the transaction's number, None when there was nothing to change."""

    sequence: int | None
    added: int = 0
    removed: int = 0
    heads: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Result, ...] = ()
    findings_opened: tuple[str, ...] = ()
    findings_closed: tuple[str, ...] = ()
    inert: tuple[tuple[str, str], ...] = ()  # (triple, why it feeds no decision), the first few
    inert_count: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json` and the owner's socket."""
        return {
            "sequence": self.sequence, "added": self.added, "removed": self.removed, "heads": dict(self.heads),
            "warnings": [result_json(r) for r in self.warnings],
            "findings": {"opened": list(self.findings_opened), "closed": list(self.findings_closed)},
            "inert": {"count": self.inert_count, "examples": [list(x) for x in self.inert]},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Receipt:
        """The receipt that `as_json` wrote."""
        return cls(
            data["sequence"], data["added"], data["removed"], data["heads"],
            tuple(result_from_json(r) for r in data["warnings"]), tuple(data["findings"]["opened"]),
            tuple(data["findings"]["closed"]), tuple((t, w) for t, w in data["inert"]["examples"]), data["inert"]["count"],
        )  # fmt: skip


@dataclass(slots=True)
class Part:
    """One graph's share of a changeset, normalised to its effective delta."""

    info: GraphInfo
    removed: list[ox.Triple]
    added: list[ox.Triple]
    sequence: int = 0
    parent: bytes = b""
    delta_hash: bytes = b""
    signature: bytes = b""
    leaves: tuple[list[Leaf], list[Leaf]] = field(default_factory=lambda: ([], []))  # removed, added

    @property
    def node(self) -> ox.NamedNode:
        """The graph's name."""
        return ox.NamedNode(self.info.iri)


def delta_hash(removed: Iterable[Leaf], added: Iterable[Leaf]) -> bytes:
    """Hash of an effective delta over its leaves, so that it still verifies when text has been redacted."""
    gone = sorted(b"-" + leaf.path + leaf.value for leaf in removed)
    come = sorted(b"+" + leaf.path + leaf.value for leaf in added)
    return keccak256(b"dappops/delta/1" + b"".join(gone) + b"".join(come))


def prepare(kernel: Kernel, info: GraphInfo, removed: Iterable[ox.Triple], added: Iterable[ox.Triple]) -> Part:
    """Normalise one graph's changes: canonical terms, stable blank-node labels, effective delta, authority."""
    gone = list(dict.fromkeys(canonical(_blank(t)) for t in removed))
    come = list(dict.fromkeys(canonical(_blank(t)) for t in added))
    node = ox.NamedNode(info.iri)
    store = kernel.store.store

    def existing(s: Term | None, p: ox.NamedNode | None, o: Term | None) -> Iterable[ox.Triple]:
        return (q.triple for q in store.quads_for_pattern(s, p, o, node))  # type: ignore[arg-type]

    if any(isinstance(x, ox.BlankNode) for t in (*gone, *come) for x in (t.subject, t.object)):
        gone, come = (list(x) for x in relabel_delta(existing, gone, come))
    both = set(gone) & set(come)  # removed and added again: stays, or comes
    removed_now = [t for t in gone if t not in both and ox.Quad(t.subject, t.predicate, t.object, node) in store]
    added_now = [t for t in come if ox.Quad(t.subject, t.predicate, t.object, node) not in store]
    check_subjects(info, added_now)
    return Part(info, removed_now, added_now)


def check_fixed(kernel: Kernel, info: GraphInfo, expires: int) -> None:
    """Refuse any change of a fixed graph after its first commit, and an expiry, which would be one."""
    if info.kind == "fixed" and (kernel.log.head_of(info.iri) is not None or expires):
        raise InputError(
            "this graph never changes: what both sides sign is its root", place=info.iri, rule="fixed graph: one commit, no expiry",
            remedy="propose another version (`dappops sla counter`)",
        )  # fmt: skip


def _blank(triple: ox.Triple) -> ox.Triple:
    """A triple in which genid IRIs are the blank nodes they stand for (https://www.w3.org/TR/rdf11-concepts/#section-skolemization)."""
    subject, obj = triple.subject, triple.object
    if not any(isinstance(x, ox.NamedNode) and GENID in x.value for x in (subject, obj)):
        return triple
    return ox.Triple(unskolem(subject), triple.predicate, unskolem(obj))  # type: ignore[arg-type]


class KernelWorkspace:
    """What `derive` may do while a commit is being tried: every write is an intent first."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.view = attempt.kernel.store.view()

    def held(self, rule: ox.NamedNode, subject: Term | None) -> set[ox.Triple]:
        """Derived triples of a rule with a subject (None: all of the rule's)."""
        if isinstance(subject, ox.Literal):
            return set()
        return {q.triple for q in self.view.store.quads_for_pattern(subject, None, None, names.derived_graph(rule))}

    def write(
        self, changes: Mapping[ox.NamedNode, tuple[set[ox.Triple], set[ox.Triple]]]
    ) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Write derived triples; returns what left and what entered the closure."""
        removed: list[ox.Quad] = []
        added: list[ox.Quad] = []
        for rule, (gone, come) in changes.items():
            graph = names.derived_graph(rule)
            removed += (ox.Quad(t.subject, t.predicate, t.object, graph) for t in gone)
            added += (ox.Quad(t.subject, t.predicate, t.object, graph) for t in come)
        return self._attempt.apply(Delta(tuple(removed), tuple(added)))


def date_time(text: str) -> ox.Literal:
    """An xsd:dateTime literal."""
    return ox.Literal(text, datatype=XSD.dateTime)


class Attempt:
    """One changeset on its way through the gate. Holds what is needed to undo it."""

    def __init__(self, kernel: Kernel, parts: list[Part], gate: Gate, time: str, *, number: int | None = None) -> None:
        self.kernel, self.parts, self.gate, self.time = kernel, parts, gate, time
        self.number = kernel.log.next_attempt() if number is None else number
        self.closure = kernel.store.view()
        self.coherent: Affected[int] = Affected()
        self.entered: list[ox.Triple] = []
        self.last_intent = 0
        self._applied: list[Delta] = []

    # -- store ------------------------------------------------------------------------------------------------------
    def apply(self, delta: Delta) -> tuple[list[ox.Triple], list[ox.Triple]]:
        """Record the intent, tell the coherence shapes what goes, apply, remember what came."""
        if not delta:
            return [], []
        if delta.removed:
            self.gate.coherence.affected(self.closure, [q.triple for q in delta.removed], self.coherent)
        checkpoint("before intent")
        self.last_intent = self.kernel.log.intend(self.number, delta)
        checkpoint("after intent")
        left, entered = self.kernel.store.apply(delta, self.last_intent)
        checkpoint("after apply")
        self._applied.append(delta)
        self.entered += entered
        return left, entered

    def undo(self) -> None:
        """Take back everything this attempt did to the store, in one update."""
        reverse = net(self._applied).reversed()
        if self._applied:
            mark = self.kernel.log.intend(self.number, reverse, undo=True)
            checkpoint("after undo intent")
            self.kernel.store.apply(reverse, mark)
            checkpoint("after undo")

    # -- phases -----------------------------------------------------------------------------------------------------
    def base_delta(self) -> Delta:
        """The asserted quads of all parts."""
        removed: list[ox.Quad] = []
        added: list[ox.Quad] = []
        for part in self.parts:
            node = part.node
            removed += (ox.Quad(t.subject, t.predicate, t.object, node) for t in part.removed)
            added += (ox.Quad(t.subject, t.predicate, t.object, node) for t in part.added)
        return Delta(tuple(removed), tuple(added))

    def run(self) -> tuple[list[Result], tuple[list[str], list[str]]]:
        """Apply, derive, validate. Returns warnings and (opened, closed) findings; Refused after undoing."""
        kernel, gate = self.kernel, self.gate
        policy_changed = any(kernel.in_force(p.info) for p in self.parts)
        integrity: dict[str, Affected[int]] = {p.info.iri: Affected() for p in self.parts}
        for part in self.parts:
            if part.removed:
                gate.integrity.affected(kernel.own_view(part.info), part.removed, integrity[part.info.iri])
        consistency_before = gate.consistency
        base = self.base_delta()
        pending = Pending()
        if base.removed:
            gate.deriver.affected(self.closure, [q.triple for q in base.removed], pending)
        _, entered = self.apply(base)
        shapes_changed = False
        if policy_changed:
            before, gate = gate, kernel.compile_policy(self.parts, previous=gate)
            self.gate = gate
            shapes_changed = gate.coherence is not before.coherence
        work = KernelWorkspace(self)
        if policy_changed and kernel.rules_changed(gate):
            kernel.rederive(gate, work)
        else:
            gate.deriver.run(work, pending, entered, now=date_time(self.time))
        checkpoint("after derive")
        results: list[Result] = []
        for part in self.parts:
            view = kernel.own_view(part.info)
            affected = integrity[part.info.iri]
            focus = in_graph(view, part.node)
            if shapes_changed and kernel.in_force(part.info):
                found = gate.integrity.full(view, focus)
            else:
                if part.added:
                    gate.integrity.affected(view, part.added, affected)
                found = gate.integrity.check(view, affected, focus)
            blocking = [r for r in found if r.severity == SH.Violation]
            if not blocking:
                if not kernel.in_force(part.info):
                    blocking = gate.consistency.refused(view, part.added, part.removed)
                elif policy_changed:
                    blocking = gate.consistency.brought(consistency_before)
            if blocking:
                raise Refused(part.info.iri, sorted(blocking, key=lambda r: (str(r.focus), str(r.path), str(r.shape))))
            results += found
        if not shapes_changed:
            gate.coherence.affected(self.closure, self.entered, self.coherent)
        return results, self._findings(full=shapes_changed)

    def _findings(self, *, full: bool) -> tuple[list[str], list[str]]:
        """Bring the findings graph up to date at the affected nodes."""
        kernel, validator = self.kernel, self.gate.coherence
        base = f"{kernel.node_base}/findings"
        store = kernel.store.store
        old: set[ox.Quad] = set()
        if full:
            found = validator.full(self.closure)
            old = set(store.quads_for_pattern(None, None, None, names.FINDINGS))
        else:
            found, covered = check_covering(validator, self.closure, self.coherent)
            for node in self._findings_about(covered):
                old |= set(store.quads_for_pattern(node, None, None, names.FINDINGS))
        new = {
            ox.Quad(t.subject, t.predicate, t.object, names.FINDINGS)
            for r in found
            for t in finding_triples(r, base=base, at=self.time)
        }
        had = {q.subject for q in old}
        has = {q.subject for q in new}
        # a finding that stays keeps the time it was first detected
        removed = tuple(q for q in old if q.subject not in has)
        added = tuple(q for q in new if q.subject not in had)
        self.apply(Delta(removed, added))
        opened, closed = sorted(has - had, key=str), sorted(had - has, key=str)
        return [n.value for n in opened], [n.value for n in closed]  # type: ignore[union-attr]

    def _findings_about(self, covered: Mapping[Term, set[Term] | None]) -> set[ox.NamedNode]:
        """Finding nodes of (root shape, focus) pairs that were judged again; None means every focus of the shape."""
        store = self.kernel.store.store
        hits: set[ox.NamedNode] = set()
        for root, foci in covered.items():
            if foci is None:
                quads = store.quads_for_pattern(None, DAPP.ofShape, root, names.FINDINGS)
                hits |= {q.subject for q in quads if isinstance(q.subject, ox.NamedNode)}
                continue
            for focus in foci:
                for quad in store.quads_for_pattern(None, DAPP.about, focus, names.FINDINGS):
                    if (
                        isinstance(quad.subject, ox.NamedNode)
                        and ox.Quad(quad.subject, DAPP.ofShape, root, names.FINDINGS) in store
                    ):
                        hits.add(quad.subject)
        return hits


def net(deltas: Sequence[Delta]) -> Delta:
    """The one delta equal to applying several effective deltas in order."""
    state: dict[ox.Quad, bool] = {}
    for delta in deltas:
        for flag, quads in ((False, delta.removed), (True, delta.added)):
            for quad in quads:
                if state.get(quad) == (not flag):
                    del state[quad]
                else:
                    state[quad] = flag
    return Delta(tuple(q for q, f in state.items() if not f), tuple(q for q, f in state.items() if f))


def commit(
    kernel: Kernel,
    changes: Changes,
    *,
    author: str,
    sign: Signer,
    message: str,
    expires: int,
    time: str,
    expiry: bool = False,
) -> Receipt:
    """Try a changeset: a receipt, or an error with nothing written. The caller holds the kernel's lock.

    With `expiry` the node removes what expired commits of other owners added: they signed that it should.
    """
    parts = []
    for iri in sorted(changes):
        removed, added = changes[iri]
        info = kernel.log.graphs[iri] if expiry else kernel.graph_for(iri, author, sign)
        part = prepare(kernel, info, removed, added)
        if part.removed or part.added:
            check_fixed(kernel, info, expires)
            parts.append(part)
    if not parts:
        return Receipt(None)
    for part in parts:
        salt = part.info.salt
        part.leaves = ([leaf_of(t, salt) for t in part.removed], [leaf_of(t, salt) for t in part.added])
        head = kernel.log.head_of(part.info.iri)
        part.sequence = head.sequence + 1 if head else 1
        part.parent = head.head if head else part.info.genesis
        part.delta_hash = delta_hash(*part.leaves)
        digest = commit_digest(part.info.genesis, part.info.iri, part.sequence, part.parent, part.delta_hash, expires)
        part.signature = sign(digest)
        if recover(digest, part.signature) != author:
            raise InputError("the signature is not the author's", place=part.info.iri, remedy="unlock the author's key")
    attempt = Attempt(kernel, parts, kernel.gate, time)
    try:
        warnings, (opened, closed) = attempt.run()
    except BaseException:
        attempt.undo()
        raise
    gate_result = {
        "warnings": len(warnings),
        "findings": {"opened": opened[:1000], "closed": closed[:1000], "count": [len(opened), len(closed)]},
    }
    hashed: list[Part] = []
    try:
        roots = []
        for part in parts:
            roots.append(kernel.tree(part.info).apply(part.leaves[1], part.leaves[0]))
            hashed.append(part)
        checkpoint("before log")
        with kernel.log.atomically():
            heads = _append(
                kernel, attempt, parts, roots, message=message, expires=expires, author=author, gate=gate_result
            )
            checkpoint("in log")
    except BaseException:
        for part in hashed:
            kernel.tree(part.info).apply(part.leaves[0], part.leaves[1])
        attempt.undo()
        raise
    checkpoint("after log")
    kernel.accepted(attempt.gate, sum(len(p.added) + len(p.removed) for p in parts))
    inert = [
        (t, why) for p in parts for t in p.added if (why := why_inert(t, p.info, in_force=kernel.in_force(p.info)))
    ]
    return Receipt(
        sequence=kernel.log.head_tx(),
        added=sum(len(p.added) for p in parts),
        removed=sum(len(p.removed) for p in parts),
        heads=heads,
        warnings=tuple(warnings),
        findings_opened=tuple(opened),
        findings_closed=tuple(closed),
        inert=tuple((triple_line(t), why) for t, why in inert[:5]),
        inert_count=len(inert),
    )


def _append(
    kernel: Kernel,
    attempt: Attempt,
    parts: list[Part],
    roots: list[bytes],
    *,
    message: str,
    expires: int,
    author: str,
    gate: dict[str, Any],
) -> dict[str, str]:
    """Write the log row: header, seal, payload of every part."""
    log = kernel.log
    tx, entry_id = log.head_tx() + 1, log.next_entry()
    policy_root = kernel.policy_root(
        {p.info.iri: r for p, r in zip(parts, roots, strict=True) if kernel.in_force(p.info)}
    )
    gate_text = json.dumps(gate, sort_keys=True)
    entries: list[Entry] = []
    bodies: list[bytes] = []
    heads: dict[str, str] = {}
    for part, root in zip(parts, roots, strict=True):
        log_root = Accumulator(log.db, part.info.iri).append(keccak256(part.delta_hash + part.signature))
        head = head_hash(part.info.iri, part.sequence, part.parent, root, log_root, policy_root)
        seal = kernel.node_key.sign(seal_digest(head, attempt.time, gate_text))
        entries.append(
            Entry(
                id=entry_id + len(entries),
                tx=tx,
                graph=part.info.iri,
                sequence=part.sequence,
                parent=part.parent,
                delta=part.delta_hash,
                expires=expires,
                author=author,
                signature=part.signature,
                set_root=root,
                log_root=log_root,
                policy_root=policy_root,
                head=head,
                seal=seal,
                added=len(part.added),
                removed=len(part.removed),
            )
        )
        graph = f" <{part.info.iri}> .\n"
        bodies.append(
            pack(
                [
                    *("-" + triple_line(t)[:-2] + graph for t in part.removed),
                    *("+" + triple_line(t)[:-2] + graph for t in part.added),
                ]
            )
        )
        heads[part.info.iri] = head.hex()
    checkpoint("accumulated")
    log.append(Transaction(tx, attempt.time, message, attempt.last_intent, gate, tuple(entries)), bodies)
    return heads


__all__ = ["Attempt", "Changes", "Part", "Receipt", "commit", "delta_hash", "net", "prepare"]
