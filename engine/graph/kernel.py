"""The kernel of one knowledge base: opens log and views, recovers them, and serves commits and reads under one lock.

The commit path itself is `engine.graph.commit`; history is `engine.graph.history`; other processes reach a kernel
through `engine.graph.owner`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pyoxigraph as ox

from engine import cache
from engine.errors import InputError, IntegrityError
from engine.graph import names, policy, pristine
from engine.graph.authority import home_of
from engine.graph.commit import Attempt, Changes, KernelWorkspace, Part, Receipt, checkpoint, commit, date_time, net
from engine.graph.feed import Feed
from engine.graph.full import FullRegime
from engine.graph.gate import Gate, finding_triples, touches_shapes
from engine.graph.hashing import keccak256
from engine.graph.keys import Key, KeyRing, Signer, recover
from engine.graph.log import MAINTENANCE, GraphInfo, Log, genesis_hash, unpack_delta
from engine.graph.store import FairLock, StoreView
from engine.graph.tree import Leaf, MerkleTree
from reasoners.derive import Rule
from reasoners.graph import Delta, View
from reasoners.vocab import BASE, DAPP, SH

FORMAT = "1"
FLUSH_EVERY = 200  # commits between two flushes of the store and saves of the trees
SAVE_LEAVES = 20_000  # or this many changed quads


def now_utc() -> str:
    """The time as canonical xsd:dateTime with milliseconds trimmed of zeros."""
    text = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z") if text.endswith(".000Z") else text.rstrip("Z").rstrip("0") + "Z"


class Kernel:
    """One open knowledge base. `home=None` keeps everything in memory (nothing survives)."""

    def __init__(self, home: Path | None, *, base: str = BASE, safe: bool = False) -> None:
        cache.use()
        self.home, self.safe = home, safe
        self.lock = FairLock()
        self.keys = KeyRing((home or Path(".dappops-memory")) / "keys")
        self._memory_key: Key | None = None
        if home is not None:
            home.mkdir(parents=True, exist_ok=True)
            (home / "views").mkdir(exist_ok=True)
        self.log = Log(home / "log.sqlite" if home else None)
        found = self.log.get("format")
        if found and found != FORMAT:
            remedy = f"open it with a version for format {FORMAT}"
            raise InputError(f"this knowledge base has format {found}", place=str(home), remedy=remedy)
        self.base = self.log.get("base") or base
        fresh = pristine.place(home) if home is not None and not self.log.head_tx() else None
        self.home_of = home_of(lambda: self.log.graphs, self.in_force)
        self.store = StoreView(home / "store" if home else None, self.home_of)
        self._trees: dict[str, MerkleTree] = {}
        self._tree_db: sqlite3.Connection | None = None
        self._gate: Gate | None = None
        self._since_save = [0, 0]
        self._flusher: threading.Thread | None = None
        self._flush_mark = 0
        self.full = FullRegime(home / "views" / "full" if home else None)
        self.feed = Feed(self)
        if not found:
            self._initialise(base)
        if fresh is not None:
            pristine.sign(self, fresh, now_utc())
        self.recovered = self._recover()
        self._ship_policy()
        self._settle_rules()

    # -- opening and closing ----------------------------------------------------------------------------------------
    def _initialise(self, base: str) -> None:
        if self.home is None:
            import coincurve

            from engine.graph.keys import address_of

            secret = coincurve.PrivateKey(secrets.token_bytes(32))
            self._memory_key = Key(address_of(secret.public_key), secret, dev=True)
            address = self._memory_key.address
        else:
            stored = self.keys.addresses()
            address = stored[0] if stored else self.keys.create().address
        self.log.put("base", base)
        self.log.put("node", address)
        self.log.put("format", FORMAT)

    @cached_property
    def node(self) -> str:
        """Address of this node: it seals commits and owns the node's own graphs."""
        return self.log.get("node")

    @property
    def node_key(self) -> Key:
        """The node's key (unlocked on first use)."""
        return self.key(self.node)

    def key(self, address: str) -> Key:
        """A stored key by address."""
        if self._memory_key is not None and address == self._memory_key.address:
            return self._memory_key
        return self.keys.unlock(address)

    @property
    def node_base(self) -> str:
        """IRI under which the node names its own things."""
        return f"{self.base}/g/{self.node}"

    def _recover(self) -> list[str]:
        """Bring the store to the log: redo what it missed, undo what the log never accepted."""
        done: list[str] = []
        mark = self.store.mark
        flushed = int(self.log.get("flushed", "0"))
        if self.log.head_tx() and mark < flushed:
            self._rebuild_store()
            return ["rebuilt"]
        for intent, _attempt, _undo, body in self.log.intents_after(mark):
            self.store.apply(unpack_delta(body), intent)
            done.append("redo")
            checkpoint("after redo")
        attempt, _last, settled = self.log.last_attempt()
        if not settled:
            bodies = [unpack_delta(b) for b in reversed(self.log.intents_of(attempt))]
            reverse = net(bodies).reversed()
            undo = self.log.intend(attempt, reverse, undo=True)
            checkpoint("recovery: after undo intent")
            self.store.apply(reverse, undo)
            done.append("undo")
        return done

    def _rebuild_store(self) -> None:
        """Make the store anew from the log (it was lost, or is older than the intents kept)."""
        self._finish_flush()
        folder = self.store.folder
        self._gate = None
        if folder is not None:
            self.store.close()
            shutil.rmtree(folder, ignore_errors=True)
        self.store = StoreView(folder, self.home_of)
        for tx in self.log.transactions():
            self.store.apply(self.log.delta_of(tx.id), 0)
        self._gate = None
        if self.log.head_tx():
            attempt = Attempt(self, [], self.gate, "", number=MAINTENANCE)
            self.rederive(self.gate, KernelWorkspace(attempt))
            self._restore_findings(attempt)
        self.store.set_mark(max(self.store.mark, int(self.log.get("flushed", "0")), self.log.last_attempt()[1]))
        self.feed.reset()
        self.save()

    def _settle_rules(self) -> None:
        """Derive anew when the rules in force are not those the derived graphs were made with (e.g. `safe`)."""
        if self.home is None:
            return
        wanted = repr((self.safe, self.log.get("shipped")))
        if self.log.get("rules", wanted) != wanted:
            self.rederive(self.gate, KernelWorkspace(Attempt(self, [], self.gate, "", number=MAINTENANCE)))
        self.log.put("rules", wanted)

    def _restore_findings(self, attempt: Attempt) -> None:
        first_seen: dict[str, str] = {}
        for tx in self.log.transactions():
            for node in tx.gate.get("findings", {}).get("opened", ()):
                first_seen[node] = tx.time
        quads = []
        for result in self.gate.coherence.full(self.store.view()):
            triples = finding_triples(result, base=f"{self.node_base}/findings", at=now_utc())
            node = triples[0].subject
            assert isinstance(node, ox.NamedNode)
            triples = finding_triples(
                result, base=f"{self.node_base}/findings", at=first_seen.get(node.value, now_utc())
            )
            quads += [ox.Quad(t.subject, t.predicate, t.object, names.FINDINGS) for t in triples]
        attempt.apply(Delta((), tuple(dict.fromkeys(quads))))

    def rebuild(self) -> None:
        """Drop every view and make it anew from the log."""
        with self.lock.held():
            self._rebuild_store()
            db = self.trees_database()
            for info in self.log.graphs.values():
                MerkleTree(db, info.iri, info.salt).clear()
            self._trees.clear()

    def save(self) -> None:
        """Make the views durable up to here and forget the intents they no longer need."""
        self._finish_flush()
        mark = self.store.mark
        self.store.flush()
        self._flushed(mark)
        self._save_trees()

    def _save_trees(self) -> None:
        position = self.log.head_tx()
        for tree in self._trees.values():
            tree.save(position)
        self._since_save = [0, 0]

    def _flushed(self, mark: int) -> None:
        self.log.put("flushed", str(mark))
        self.log.prune_intents(mark)

    def _save_meanwhile(self) -> None:
        """Like `save`, but the store flushes in a thread while others go on: commits wait only for the trees."""
        if self._flusher is not None and self._flusher.is_alive():
            return
        self._finish_flush()
        mark = self.store.mark
        self._flusher = threading.Thread(target=self.store.flush, name="dappops-flush")
        self._flush_mark = mark
        self._flusher.start()
        self._save_trees()

    def _finish_flush(self) -> None:
        """Wait for a flush under way and note how far it got."""
        if self._flusher is not None:
            self._flusher.join()
            self._flusher = None
            self._flushed(self._flush_mark)

    def close(self) -> None:
        """Save the views and let go of files and locks."""
        with self.lock.held():
            self.save()
            self._gate = None
            self._trees.clear()
            self.full.close()
            self.store.close()
            if self._tree_db is not None:
                self._tree_db.close()
            self.log.close()

    # -- policy -----------------------------------------------------------------------------------------------------
    def _ship_policy(self) -> None:
        """Commit this version's ontology, shapes and rules when the stored ones differ."""
        digest = policy.shipped_digest()
        if self.log.get("shipped") == digest:
            return
        graph = policy.shipped_graph()
        triples = policy.shipped_triples()
        from engine.graph.labels import stable_labels
        from engine.graph.terms import canonical

        wanted = set(stable_labels([canonical(t) for t in triples]))
        changes: dict[str, tuple[list[ox.Triple], list[ox.Triple]]] = {}
        for iri in [*(g for g in self.log.graphs if g.startswith(names.SHIPPED_PREFIX)), graph]:
            held = {q.triple for q in self.store.store.quads_for_pattern(None, None, None, ox.NamedNode(iri))}
            target = wanted if iri == graph else set()
            gone, come = held - target, target - held
            if gone or come:
                changes[iri] = (sorted(gone, key=str), sorted(come, key=str))
        if changes:
            self._commit_as_node(changes, f"shipped policy {policy.product_version()}")
            pristine.keep(self)
        self.log.put("shipped", digest)

    def _commit_as_node(self, changes: Changes, message: str) -> Receipt:
        key = self.node_key
        with self.lock.held():
            return commit(self, changes, author=key.address, sign=key.sign, message=message, expires=0, time=now_utc())

    @property
    def gate(self) -> Gate:
        """The compiled policy of the current state."""
        if self._gate is None:
            graphs = self.policy_graphs()
            self._gate = Gate(self.store.view(*graphs) if graphs else None, trusted=self.shipped_view())
        return self._gate

    def shipped_view(self) -> View:
        """The shipped policy graphs: their rules may do what local ones may not."""
        return self.store.view(*(ox.NamedNode(g) for g in self.log.graphs if g.startswith(names.SHIPPED_PREFIX)))

    def policy_graphs(self) -> list[ox.NamedNode]:
        """Policy graphs in force: the shipped one, and the local ones unless opened `--safe`."""
        return [
            ox.NamedNode(i.iri)
            for i in self.log.graphs.values()
            if self.in_force(i) and (i.owner == names.SHIPPED or not self.safe)
        ]

    def in_force(self, info: GraphInfo) -> bool:
        """Whether a graph is policy at this node: the shipped one, and the node's own (another's is mere data)."""
        return info.kind == "policy" and info.owner in (names.SHIPPED, self.node)

    def own_view(self, info: GraphInfo) -> View:
        """What integrity shapes of a graph read: the graph itself and the policy."""
        own = ox.NamedNode(info.iri)
        return self.store.view(own, *(g for g in self.policy_graphs() if g != own))

    def compile_policy(self, parts: list[Part], *, previous: Gate) -> Gate:
        """Gate of the state being tried; rules that a local policy brings are checked and tried first."""
        graphs = self.policy_graphs()
        changed = [t for p in parts if self.in_force(p.info) for t in (*p.removed, *p.added)]
        about_rules = {t.subject for t in changed if t.predicate == SH.construct}
        same = not touches_shapes(t for t in changed if not (t.subject in about_rules and t.predicate == DAPP.regime))
        gate = Gate(self.store.view(*graphs), trusted=self.shipped_view(), same_shapes_as=previous if same else None)
        known = {(r.iri, r.text) for r in previous.rules}
        local: list[Rule] = [r for r in gate.rules if not r.trusted and (r.iri, r.text) not in known]
        gate.check_rules(local)
        if local:
            from engine.graph.trial import try_rules

            try_rules(local, self.store.view())
        _ = gate.integrity, gate.coherence  # malformed shapes are refused here, before anything is accepted
        return gate

    def rules_changed(self, gate: Gate) -> bool:
        """Whether the derive rules of a candidate gate differ from those in force."""
        return _signature(gate) != (_signature(self._gate) if self._gate else ())

    def rederive(self, gate: Gate, work: KernelWorkspace) -> None:
        """Bring all derived graphs to what the gate's rules derive from scratch."""
        wanted = gate.deriver.full(self.asserted_view(), now=date_time(now_utc()))
        held_rules = {
            ox.NamedNode(g.value[len(names.DERIVED_PREFIX) :])
            for g in self.store.store.named_graphs()
            if isinstance(g, ox.NamedNode) and g.value.startswith(names.DERIVED_PREFIX) and g != names.FINDINGS
        }
        changes: dict[ox.NamedNode, tuple[set[ox.Triple], set[ox.Triple]]] = {}
        for rule in held_rules | set(wanted):
            held, target = work.held(rule, None), wanted.get(rule, set())
            if held != target:
                changes[rule] = (held - target, target - held)
        if changes:
            work.write(changes)

    def asserted_view(self) -> View:
        """The closure less what is only derived, as a memory copy."""
        memory = ox.Store()
        store = self.store.store
        derived = [
            g for g in store.named_graphs() if isinstance(g, ox.NamedNode) and g.value.startswith(names.DERIVED_PREFIX)
        ]
        only_derived: set[ox.Triple] = set()
        for graph in derived:
            for quad in store.quads_for_pattern(None, None, None, graph):
                found = (q.graph_name for q in store.quads_for_pattern(quad.subject, quad.predicate, quad.object, None))
                holders = {g.value for g in found if isinstance(g, ox.NamedNode) and not names.is_internal(g.value)}
                if not isinstance(self.home_of(quad.triple, holders), ox.DefaultGraph):
                    only_derived.add(quad.triple)
        memory.bulk_extend(
            q for q in store.quads_for_pattern(None, None, None, ox.DefaultGraph()) if q.triple not in only_derived
        )
        return View(memory)

    def accepted(self, gate: Gate, size: int) -> None:
        """Bookkeeping after the commit point."""
        self._gate = gate
        self._since_save[0] += 1
        self._since_save[1] += size
        self.feed.publish()
        if self._since_save[0] >= FLUSH_EVERY or self._since_save[1] >= SAVE_LEAVES:
            self._save_meanwhile()
            checkpoint("after save")

    # -- graphs -----------------------------------------------------------------------------------------------------
    def resolve(self, graph: str, author: str) -> str:
        """A graph IRI from an IRI or a short name of the author's (`main`, `policy` …)."""
        return graph if "://" in graph else names.graph_iri(author, graph, self.base)

    def graph_for(self, iri: str, author: str, sign: Signer, *, audience: str = "public") -> GraphInfo:
        """The graph to write to, made by its first commit; InputError when the author has no authority over it."""
        info = self.log.graphs.get(iri)
        owner = names.owner_of(iri)
        if owner == names.SHIPPED:
            if author != self.node or (iri.rsplit("/", 1)[-1] != policy.product_version() and info is None):
                remedy = "write to your own `policy` graph"
                raise InputError("the shipped policy is read-only", place=iri, rule="authority", remedy=remedy)
        elif owner != author:
            raise InputError(
                f"{author} has no authority over this graph",
                place=iri,
                rule="authority: a graph is written by the key in its IRI",
                remedy=f"commit as {owner}, or make a dapp:Claim in a graph of yours",
            )
        if info is not None:
            return info
        kind = names.kind_of(iri)
        policy_hash = self.policy_root({})
        genesis = genesis_hash(iri, owner, kind, audience, policy_hash)
        signature = sign(genesis)
        if recover(genesis, signature) != author:
            raise InputError("the genesis signature is not the owner's", place=iri)
        salt = None if audience == "public" else secrets.token_bytes(32)
        info = GraphInfo(iri, owner, kind, audience, genesis, policy_hash, signature, salt, now_utc())
        self.log.add_graph(info)
        return info

    # -- hash views -------------------------------------------------------------------------------------------------
    def trees_database(self) -> sqlite3.Connection:
        """The file of the hash trees."""
        if self._tree_db is None:
            path = str(self.home / "views" / "tree.sqlite") if self.home else ":memory:"
            self._tree_db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._tree_db.execute("PRAGMA journal_mode=WAL")
            self._tree_db.execute("PRAGMA synchronous=NORMAL")  # a view: behind after power loss, never wrong
        return self._tree_db

    def tree(self, info: GraphInfo) -> MerkleTree:
        """The hash tree of a graph, brought up to the log's head."""
        tree = self._trees.get(info.iri)
        if tree is None:
            tree = MerkleTree(self.trees_database(), info.iri, info.salt)
            for entry in self.log.entries(info.iri):
                if entry.tx > tree.position:
                    added, removed = self.leaves(entry.id, info)
                    tree.apply(added, removed)
            head = self.log.head_of(info.iri)
            if head is not None and tree.root != head.set_root:
                raise IntegrityError(
                    "the hash tree does not have the root the log says", place=info.iri,
                    remedy="run `dappops doctor --rebuild`; if it persists, the log was altered",
                )  # fmt: skip
            self._trees[info.iri] = tree
        return tree

    def leaves(self, entry: int, info: GraphInfo) -> tuple[list[Leaf], list[Leaf]]:
        """(added, removed) leaves of a commit, redacted ones included."""
        from engine.graph.history import entry_leaves

        return entry_leaves(self.log, entry, info.salt)

    def policy_root(self, pending: Mapping[str, bytes]) -> bytes:
        """One hash over the set roots of the policy graphs in force (`pending` overrides)."""
        roots = {g.value: b"" for g in self.policy_graphs()}
        for iri in roots:
            head = self.log.head_of(iri)
            roots[iri] = head.set_root if head else b""
        roots.update(pending)
        return keccak256(b"dappops/policy/1" + b"".join(keccak256(i.encode()) + r for i, r in sorted(roots.items())))

    def put_blob(self, body: bytes) -> str:
        """Store bytes under their keccak-256 (hex), durably; returns it. A knowledge base in memory keeps none."""
        digest = keccak256(body).hex()
        if self.home is not None:
            folder = self.home / "blobs"
            folder.mkdir(exist_ok=True)
            partial = folder / f"{digest}.part"
            with partial.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(folder / digest)
        return digest

    def memory_view(self) -> View:
        """A memory copy of the closure: some times faster for long reasoning, which then needs no lock.

        Later commits do not show in it. Costs about 300 bytes a triple; the first call copies, later ones catch up.
        """
        with self.lock.held():
            return self.store.copy()

    def commit(
        self,
        changes: Changes,
        *,
        author: str,
        sign: Signer | None = None,
        message: str = "",
        expires: int = 0,
        time: str = "",
    ) -> Receipt:
        """Commit changes per graph (IRI or short name -> (removed, added)) as `author`; see `engine.graph.commit`."""
        author = author.lower()
        with self.lock.held():
            resolved = {self.resolve(g, author): c for g, c in changes.items()}
            return commit(
                self, resolved, author=author, sign=sign or self.key(author).sign, message=message,
                expires=expires, time=time or now_utc(),
            )  # fmt: skip


def _signature(gate: Gate | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((r.iri.value, r.text) for r in gate.rules if r.purpose == "derive")) if gate else ()


__all__ = ["FORMAT", "Kernel", "now_utc"]
