"""History: the asserted state as of a transaction, differences, reverts, redaction, and a check of the whole log."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine.errors import InputError, IntegrityError
from engine.graph import names
from engine.graph.accumulator import Accumulator
from engine.graph.commit import Receipt, date_time, delta_hash, net
from engine.graph.hashing import keccak256
from engine.graph.keys import commit_digest, recover
from engine.graph.log import GraphInfo, Log, genesis_hash, head_hash, pack, seal_digest
from engine.graph.snapshots import Snapshots
from engine.graph.store import StoreView
from engine.graph.terms import canonical, triple_line
from engine.graph.tree import Leaf, MerkleTree, leaf_of
from reasoners.graph import Delta, Term

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel


def entry_leaves(log: Log, entry: int, salt: bytes | None) -> tuple[list[Leaf], list[Leaf]]:
    """(added, removed) leaves of one commit. Redacted lines carry their leaf (`#+` or `#-`, then hex) instead of text."""
    added: list[Leaf] = []
    removed: list[Leaf] = []
    body = log.body(entry)
    for line in zlib.decompress(body).decode().split("\n"):
        if line.startswith("#"):
            raw = bytes.fromhex(line[2:])
            (added if line[1] == "+" else removed).append(Leaf(raw[:32], raw[32:]))
    delta = log.payload(entry)
    added += (leaf_of(q.triple, salt) for q in delta.added)
    removed += (leaf_of(q.triple, salt) for q in delta.removed)
    return added, removed


def check_tx(kernel: Kernel, tx: int) -> int:
    """The transaction number if the log has it; negative numbers count back from the head (-1: the newest)."""
    head = kernel.log.head_tx()
    number = head + 1 + tx if tx < 0 else tx
    if not 0 <= number <= head:
        raise InputError(f"no transaction {tx}", rule=f"this log has 0 to {head}", remedy="see `dappops log`")
    return number


def diff(kernel: Kernel, old: int, new: int, graph: str | None = None) -> Delta:
    """What changed in the asserted graphs between two transactions, as one effective delta."""
    old, new = check_tx(kernel, old), check_tx(kernel, new)
    if old > new:
        return diff(kernel, new, old, graph).reversed()
    entries = (e for tx in kernel.log.transactions(old, new) for e in tx.entries if graph in (None, e.graph))
    return net([kernel.log.payload(e.id) for e in entries])


def state_at(kernel: Kernel, tx: int, *, derive: bool = True) -> StoreView:
    """The state as of a transaction in a memory store: asserted graphs, closure, and (by default) derived graphs.

    Derivation uses the policy as of that transaction. Redacted text is absent from past states.
    """
    tx = check_tx(kernel, tx)
    past = StoreView(None, kernel.home_of)
    past.apply(Delta((), tuple(_asserted_at(kernel, tx))), 0)
    if derive:
        from engine.graph.gate import Gate
        from engine.graph.kernel import now_utc

        gate = Gate(
            past.view(*kernel.policy_graphs()),
            trusted=past.view(*(g for g in kernel.policy_graphs() if g.value.startswith(names.SHIPPED_PREFIX))),
        )
        derived = tuple(
            ox.Quad(t.subject, t.predicate, t.object, names.derived_graph(rule))
            for rule, triples in gate.deriver.full(past.view(), now=date_time(now_utc())).items()
            for t in triples
        )
        past.apply(Delta((), derived), 0)
    return past


def _asserted_at(kernel: Kernel, tx: int) -> Iterable[ox.Quad]:
    """Asserted quads as of a transaction: from a snapshot where one is nearer than the present."""
    head, known = kernel.log.head_tx(), kernel.log.graphs
    if kernel.home is not None:
        found = Snapshots(kernel.home).quads_at(tx, head, known)
        if found is not None:
            return found
    back = diff(kernel, head, tx)
    gone, store = set(back.removed), kernel.store.store
    now = (q for iri in known for q in store.quads_for_pattern(None, None, None, ox.NamedNode(iri)) if q not in gone)
    return chain(now, back.added)


def revert(kernel: Kernel, tx: int, *, author: str, message: str = "") -> Receipt:
    """Commit the reverse of a transaction, as far as it still has effect."""
    number = check_tx(kernel, tx)
    if number == 0:
        raise InputError("transaction 0 is the empty state", remedy="name one that `dappops log` lists")
    delta = kernel.log.delta_of(number)
    if any(q.graph_name.value.startswith(names.SHIPPED_PREFIX) for q in (*delta.added, *delta.removed)):  # type: ignore[union-attr]
        raise InputError(
            f"transaction {number} is the shipped policy, which comes with the version and is read-only", place=names.SHIPPED_PREFIX,
            rule="authority", remedy="to replace a shipped rule, commit one to your policy graph that names it in dapp:supersedes",
        )  # fmt: skip
    changes: dict[str, tuple[list[ox.Triple], list[ox.Triple]]] = {}
    for quad in delta.added:
        changes.setdefault(quad.graph_name.value, ([], []))[0].append(quad.triple)  # type: ignore[union-attr]
    for quad in delta.removed:
        changes.setdefault(quad.graph_name.value, ([], []))[1].append(quad.triple)  # type: ignore[union-attr]
    return kernel.commit(changes, author=author, message=message or f"revert transaction {number}")


def redact(kernel: Kernel, graph: str, triples: Iterable[ox.Triple], *, author: str, reason: str, time: str) -> int:
    """Remove statements and erase their text from the log, keeping signatures, delta hashes and roots verifiable.

    Whatever is still asserted is removed by an ordinary commit first. Returns the number of commits whose payload was
    rewritten. The order makes a crash harmless: the signed record is durable before any text goes, and running the
    same redaction again completes it. The store is made anew so that no dictionary keeps the text.
    """
    with kernel.lock.held():
        info = kernel.graph_for(graph, author, kernel.key(author).sign)
        targets = {canonical(t) for t in triples}
        if not targets:
            raise InputError("nothing to redact", place=graph, remedy="name the statements, e.g. a subject")
        kernel.commit({graph: (list(targets), [])}, author=author, message=f"redaction: {reason}", time=time)
        hidden = {triple_line(t)[:-2]: leaf_of(t, info.salt) for t in targets}
        suffix = f" <{graph}> ."
        hits = [
            e.id
            for e in kernel.log.entries(graph)
            if any(
                triple_line(q.triple)[:-2] in hidden for d in [kernel.log.payload(e.id)] for q in (*d.added, *d.removed)
            )
        ]
        leaves = b"".join(sorted(leaf.path + leaf.value for leaf in hidden.values()))
        ids = ",".join(map(str, hits))
        digest = keccak256(b"dappops/redaction/1" + keccak256(graph.encode()) + ids.encode() + leaves + reason.encode())
        db = kernel.log.db
        with kernel.log.atomically():
            db.execute(
                "INSERT INTO redaction(graph, entries, leaves, author, signature, reason, time) VALUES(?,?,?,?,?,?,?)",
                (graph, ids, leaves, author, kernel.key(author).sign(digest), reason, time),
            )
            for entry in hits:
                lines = zlib.decompress(kernel.log.body(entry)).decode().split("\n")
                new = []
                for line in lines:
                    leaf = hidden.get(line[1:].removesuffix(suffix)) if line[:1] in "+-" else None
                    new.append(line if leaf is None else f"#{line[0]}{(leaf.path + leaf.value).hex()}")
                db.execute("UPDATE payload SET body=?, redacted=1 WHERE entry=?", (pack(["\n".join(new)]), entry))
        kernel.save()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if kernel.home is not None:
            Snapshots(kernel.home).clear()
        kernel._rebuild_store()
        return len(hits)


def _check_genesis(kernel: Kernel, info: GraphInfo) -> None:
    """A graph's genesis hash and its owner's signature over it (the node's, for the shipped policy)."""
    if genesis_hash(info.iri, info.owner, info.kind, info.audience, info.policy) != info.genesis:
        raise IntegrityError("the genesis hash does not verify", place=info.iri)
    signer = kernel.node if info.owner == names.SHIPPED else info.owner
    if recover(info.genesis, info.signature) != signer or names.owner_of(info.iri) != info.owner:
        raise IntegrityError("the genesis signature does not verify", place=info.iri)


def verify_log(kernel: Kernel) -> dict[str, int]:
    """Recompute everything the log claims: signatures, parents, delta hashes, roots, heads, seals.

    Raises IntegrityError at the first contradiction; returns how many of each were checked.
    """
    import sqlite3

    counts = {"transactions": 0, "commits": 0, "redacted": 0}
    memory = sqlite3.connect(":memory:")
    trees: dict[str, MerkleTree] = {}
    accumulators: dict[str, Accumulator] = {}
    parents: dict[str, bytes] = {}
    for tx in kernel.log.transactions():
        counts["transactions"] += 1
        if tx.id != counts["transactions"]:
            raise IntegrityError("a transaction is missing", place=f"log transaction {counts['transactions']}")
        gate = json.dumps(tx.gate, sort_keys=True)
        for entry in tx.entries:
            place = f"commit {entry.sequence} of <{entry.graph}>"
            info = kernel.log.graphs[entry.graph]
            if entry.graph not in trees:
                _check_genesis(kernel, info)
                trees[entry.graph] = MerkleTree(memory, entry.graph, info.salt)
                accumulators[entry.graph] = Accumulator()
            tree = trees[entry.graph]
            if info.kind == "fixed" and (entry.sequence != 1 or entry.expires):
                raise IntegrityError("a graph that never changes was changed", place=place)
            if entry.author not in (info.owner, kernel.node):
                raise IntegrityError("the author has no authority over the graph", place=place)
            added, removed = entry_leaves(kernel.log, entry.id, info.salt)
            parent = parents.get(entry.graph, info.genesis)
            digest = commit_digest(info.genesis, entry.graph, entry.sequence, parent, entry.delta, entry.expires)
            log_root = accumulators[entry.graph].append(keccak256(entry.delta + entry.signature))
            expected = {
                "parent": (parent, entry.parent),
                "delta hash": (delta_hash(removed, added), entry.delta),
                "set root": (tree.apply(added, removed), entry.set_root),
                "log root": (log_root, entry.log_root),
                "head": (
                    head_hash(entry.graph, entry.sequence, parent, entry.set_root, log_root, entry.policy_root),
                    entry.head,
                ),
            }
            for name, (want, have) in expected.items():
                if want != have:
                    raise IntegrityError(
                        f"the {name} does not verify", place=place, remedy="the log was altered: restore it from a copy"
                    )
            if recover(digest, entry.signature) != entry.author:
                raise IntegrityError("the author's signature does not verify", place=place)
            if recover(seal_digest(entry.head, tx.time, gate), entry.seal) != kernel.node:
                raise IntegrityError("the node's seal does not verify", place=place)
            parents[entry.graph] = entry.head
            counts["commits"] += 1
    counts["redacted"] = int(kernel.log.db.execute("SELECT count(*) FROM payload WHERE redacted=1").fetchone()[0])
    for iri, tree in trees.items():
        live = kernel.tree(kernel.log.graphs[iri])
        if live.root != tree.root:
            raise IntegrityError(
                "the kept hash tree differs from the log's", place=iri, remedy="run `dappops doctor --rebuild`"
            )
    return counts


def ever_said(kernel: Kernel, graph: str, subject: Term) -> list[ox.Triple]:
    """Every statement a graph ever made about a subject, and about the blank nodes below it."""
    seen: set[ox.Triple] = set()
    wanted: set[Term] = {subject}
    everything = [
        q.triple for e in kernel.log.entries(graph) for d in [kernel.log.payload(e.id)] for q in (*d.added, *d.removed)
    ]
    grew = True
    while grew:
        grew = False
        for triple in everything:
            if triple.subject in wanted and triple not in seen:
                seen.add(triple)
                grew = True
                if isinstance(triple.object, ox.BlankNode):
                    wanted.add(triple.object)
    return sorted(seen, key=str)


def expire(kernel: Kernel, now: int) -> Receipt:
    """Commit, as the node, the removal of what expired commits added and is still there.

    The author agreed to it by signing the expiry; the node only says that the time has come.
    """
    from engine.graph.commit import commit
    from engine.graph.kernel import now_utc

    done, seen = (int(x) for x in kernel.log.get("expired", "0 0").split())
    rows = kernel.log.db.execute(
        "SELECT id, graph FROM entry WHERE expires>0 AND expires<=? AND (expires>? OR id>?) ORDER BY id",
        (now, done, seen),
    ).fetchall()
    if not rows:
        return Receipt(None)
    first: dict[str, int] = {}
    for entry, graph in rows:
        first.setdefault(graph, entry)
    changes: dict[str, tuple[list[ox.Triple], list[ox.Triple]]] = {}
    for graph, start in first.items():
        holds_until: dict[ox.Triple, int] = {}  # what was asserted again later counts as that says
        for later in kernel.log.entries(graph):
            if later.id >= start:
                holds_until.update(dict.fromkeys((q.triple for q in kernel.log.payload(later.id).added), later.expires))
        changes[graph] = ([t for t, until in holds_until.items() if 0 < until <= now], [])
    receipt = Receipt(None)
    if changes:
        key = kernel.node_key
        receipt = commit(
            kernel, changes, author=key.address, sign=key.sign, message=f"expired by {now}", expires=0,
            time=now_utc(), expiry=True,
        )  # fmt: skip
    kernel.log.put("expired", f"{now} {kernel.log.next_entry() - 1}")
    return receipt


def prove(kernel: Kernel, info: GraphInfo, terms: list[Term]) -> dict[str, object]:
    """Proof for the statements of a graph that start with these terms (subject, predicate, object)."""
    tree = kernel.tree(info)
    store = kernel.store.store
    subject, predicate, obj = [*terms, None, None, None][:3]
    found = store.quads_for_pattern(subject, predicate, obj, ox.NamedNode(info.iri))  # type: ignore[arg-type]
    texts = [None if t is None else str(t) for t in (subject, predicate, obj)]
    return tree.prove((texts[0], texts[1], texts[2]), [q.triple for q in found]).to_json()
