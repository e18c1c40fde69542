"""A new knowledge base starts from views that were made before: what a fresh one holds is the same for everybody.

The first commit of every knowledge base is the shipped policy. Applying, deriving, validating and hashing it takes a
second; its outcome depends on the version alone, not on the node. It is kept in the user's cache folder, named by the
hash of the policy, of the code that made it and of the store's version, and put in place instead. The log is not
copied: genesis, signature and seal are the new node's own. Losing the cache costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pyoxigraph as ox

from engine import cache as kept
from engine.graph import policy
from engine.graph.accumulator import Accumulator
from engine.graph.hashing import keccak256
from engine.graph.keys import commit_digest
from engine.graph.log import Entry, Transaction, head_hash, seal_digest

if TYPE_CHECKING:
    from engine.graph.kernel import Kernel

MOST = 3  # versions kept


def _folder() -> Path | None:
    with suppress(RuntimeError):  # no home folder
        queries = kept.folder()
        return None if queries is None else queries.with_name("pristine")
    return None


@cache
def _name() -> str:
    """The hash of everything the views of a fresh knowledge base depend on."""
    parts = [policy.shipped_digest().encode(), policy.shipped_graph().encode(), ox.__version__.encode()]
    for package in ("engine.graph", "reasoners"):
        root = Path(str(resources.files(package)))
        parts += (path.relative_to(root).as_posix().encode() + path.read_bytes() for path in sorted(root.rglob("*.py")))
    return keccak256(b"".join(keccak256(p) for p in parts)).hex()[:32]


def _found() -> Path | None:
    folder = _folder()
    place = None if folder is None else folder / _name()
    if place is None or not (place / "told.json").is_file():
        return None
    return place if place.stat().st_uid == os.geteuid() else None


def place(home: Path) -> dict[str, object] | None:
    """Put the views of a fresh knowledge base into `home`, whose log is empty; what `sign` needs, None without any.

    Whatever views stand there belong to a start that was cut short, and go.
    """
    found = _found()
    store, trees = home / "store", home / "views" / "tree.sqlite"
    shutil.rmtree(store, ignore_errors=True)
    for stale in home.glob("views/tree.sqlite*"):
        stale.unlink()
    if found is None:
        return None
    try:
        told: dict[str, object] = json.loads((found / "told.json").read_text(encoding="utf-8"))
        told["body"] = (found / "body").read_bytes()
        shutil.copytree(found / "store", store)
        shutil.copyfile(found / "tree.sqlite", trees)
    except (OSError, ValueError):
        shutil.rmtree(store, ignore_errors=True)
        trees.unlink(missing_ok=True)
        return None
    return told


def sign(kernel: Kernel, told: dict[str, object], time: str) -> None:
    """Append the first commit, whose effect the views already hold, to the empty log."""
    key, log = kernel.node_key, kernel.log
    info = kernel.graph_for(policy.shipped_graph(), key.address, key.sign)
    delta, root = bytes.fromhex(str(told["delta"])), bytes.fromhex(str(told["root"]))
    mark, added, gate = int(str(told["mark"])), int(str(told["added"])), json.loads(str(told["gate"]))
    signature = key.sign(commit_digest(info.genesis, info.iri, 1, info.genesis, delta, 0))
    body = told["body"]
    assert isinstance(body, bytes)
    with log.atomically():
        # intents of a first start that was cut short mean nothing: its store is gone
        log.db.execute("DELETE FROM intent")
        log.db.execute("DELETE FROM sqlite_sequence WHERE name='intent'")
        log.db.execute("INSERT INTO sqlite_sequence(name, seq) VALUES('intent', ?)", (mark,))
        log_root = Accumulator(log.db, info.iri).append(keccak256(delta + signature))
        policy_root = kernel.policy_root({info.iri: root})
        head = head_hash(info.iri, 1, info.genesis, root, log_root, policy_root)
        seal = key.sign(seal_digest(head, time, json.dumps(gate, sort_keys=True)))
        entry = Entry(
            log.next_entry(), 1, info.iri, 1, info.genesis, delta, 0, key.address, signature, root, log_root, policy_root,
            head, seal, added, 0,
        )  # fmt: skip
        log.append(Transaction(1, time, str(told["message"]), mark, gate, (entry,)), [body])
        log.put("flushed", str(mark))
        log.put("shipped", policy.shipped_digest())


def keep(kernel: Kernel) -> None:
    """Keep the views of a knowledge base whose only commit is the shipped policy; no reason to fail."""
    folder, log = _folder(), kernel.log
    tx = log.transaction(1)
    if folder is None or kernel.home is None or log.head_tx() != 1 or tx is None or (folder / _name()).exists():
        return
    (entry,) = tx.entries
    if tx.gate["findings"]["count"] != [0, 0] or entry.removed:
        return
    kernel.save()
    with suppress(OSError, sqlite3.Error):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        older = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
        for gone in older[: -MOST + 1]:
            shutil.rmtree(gone, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(dir=folder))
        kernel.store.store.backup(str(partial / "store"))
        with closing(sqlite3.connect(partial / "tree.sqlite")) as copy:
            kernel.trees_database().backup(copy)
        (partial / "body").write_bytes(log.body(entry.id))
        told = {
            "delta": entry.delta.hex(), "root": entry.set_root.hex(), "mark": kernel.store.mark, "added": entry.added,
            "message": tx.message, "gate": json.dumps(tx.gate, sort_keys=True),
        }  # fmt: skip
        (partial / "told.json").write_text(json.dumps(told), encoding="utf-8")
        try:
            partial.rename(folder / _name())
        except OSError:  # another process was quicker
            shutil.rmtree(partial, ignore_errors=True)
