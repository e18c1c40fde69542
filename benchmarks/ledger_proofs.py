"""Root and proof speed: build, one changed statement, prove, verify (Python and JavaScript), size of a proof file.

Beside two others that also fix a graph by one hash: a static Merkle tree over the sorted lines, and RDFC-1.0 with one hash over
the canonical N-Quads (https://www.w3.org/TR/rdf-canon/). Both must be made anew when a statement changes (the static tree keeps
its leaves' hashes), and the second proves no single statement at all. Statements: twelve a subject, no blank nodes, which is the
kindest case for RDFC-1.0. Proof files have one signed head and one subject's statements; the signatures are real. CPU time,
except for JavaScript: wall clock of one process, its start taken off; it recovers the one head's signers once. Writes
results/ledger_proofs.json.

    python -m benchmarks.ledger_proofs [SIZE ...]
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import coincurve
import pyoxigraph as ox

import verifier
from engine.graph.accumulator import Accumulator
from engine.graph.hashing import keccak256
from engine.graph.keys import address_of, commit_digest
from engine.graph.log import genesis_hash, head_hash, seal_digest
from engine.graph.terms import canonical, triple_line
from engine.graph.tree import MerkleTree, leaf_of
from engine.ledger.proofs import bundle

FOLDER = Path(__file__).parent
BATCH, CHANGES, PROOFS = 12, 200, 200
SECRET = coincurve.PrivateKey(b"\x01" * 32)
OWNER = address_of(SECRET.public_key)
GRAPH = f"https://w3id.org/dappops/g/{OWNER}/bench"


def clock(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def triple(subject: int, number: int) -> ox.Triple:
    """One of a subject's twelve statements."""
    return ox.Triple(
        ox.NamedNode(f"{GRAPH}/offer-{subject}"), ox.NamedNode(f"{GRAPH}/p{number}"), ox.Literal(f"{subject} {number}")
    )


def sign(digest: bytes) -> bytes:
    """The owner's signature."""
    return SECRET.sign_recoverable(digest, hasher=None)


def head_of(root: bytes, policy: bytes = bytes(32)) -> dict[str, Any]:
    """A head with this set root as its owner signs and seals it."""
    genesis = genesis_hash(GRAPH, OWNER, "data", "public", policy)
    delta, gate, at = keccak256(root), "{}", "2026-11-24T00:00:00Z"
    signature = sign(commit_digest(genesis, GRAPH, 1, genesis, delta, 0))
    log_root = Accumulator().append(keccak256(delta + signature))
    head = head_hash(GRAPH, 1, genesis, root, log_root, policy)
    return {
        "graph": GRAPH,
        "genesis": {"owner": OWNER, "kind": "data", "audience": "public", "policy": policy.hex(), "signature": sign(genesis).hex()},
        "sequence": 1, "parent": genesis.hex(), "setRoot": root.hex(), "logRoot": log_root.hex(), "policyRoot": policy.hex(),
        "commit": {"delta": delta.hex(), "expires": 0, "author": OWNER, "signature": signature.hex()}, "logPath": [],
        "seal": {"time": at, "gate": keccak256(gate.encode()).hex(), "signer": OWNER, "signature": sign(seal_digest(head, at, gate)).hex()},
        "step": None, "next": None, "anchor": None,
    }  # fmt: skip


def merkle(leaves: Sequence[bytes]) -> bytes:
    """Root of a static binary tree."""
    level = list(leaves)
    while len(level) > 1:
        pairs = [keccak256(b"\x01" + a + b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def others(triples: Sequence[ox.Triple]) -> dict[str, float]:
    """What the two others take: made first, and after one change."""
    lines = [triple_line(t) for t in triples]
    first, kept = clock(lambda: sorted((line, keccak256(b"\x00" + line.encode())) for line in lines))
    hashed, _ = clock(lambda: merkle([digest for _, digest in kept]))

    def whole() -> bytes:
        dataset = ox.Dataset(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
        dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
        return keccak256("".join(sorted(f"{quad} .\n" for quad in dataset)).encode())

    canonicalised, _ = clock(whole)
    return {"static_build_s": first + hashed, "static_change_s": hashed, "rdfc_s": canonicalised}


def javascript(files: Sequence[str]) -> float | None:
    """Milliseconds a file in one Node process; None where Node or its libraries are missing."""
    script = FOLDER.parent / "contracts" / "verifier" / "verify.mjs"
    if shutil.which("node") is None or not (FOLDER.parent / "contracts/node_modules/@noble/curves").is_dir():
        return None

    def run(some: Sequence[str]) -> float:
        start = time.perf_counter()
        text = "".join(json.dumps([x, {}]) + "\n" for x in some)
        done = subprocess.run(["node", str(script), "--lines"], input=text, capture_output=True, text=True, check=True)
        if not all(json.loads(x)["holds"] for x in done.stdout.splitlines()):
            raise SystemExit("the second verifier refuses a proof")
        return time.perf_counter() - start

    return 1000 * (run(files) - run(files[:1])) / (len(files) - 1)


def one_size(size: int, folder: Path) -> dict[str, Any]:
    """All figures for a graph of about `size` statements."""
    rng = random.Random(size)
    triples = [canonical(triple(s, n)) for s in range(-(-size // BATCH)) for n in range(BATCH)][:size]
    hashing, leaves = clock(lambda: [leaf_of(t) for t in triples])
    db = sqlite3.connect(folder / f"{size}.sqlite", isolation_level=None)
    tree = MerkleTree(db, GRAPH)
    building, root = clock(lambda: tree.apply(leaves, []))
    saving, _ = clock(lambda: tree.save(1))
    changes = [leaf_of(canonical(triple(rng.randrange(size), BATCH + i))) for i in range(CHANGES)]
    changing = [clock(lambda leaf=leaf: tree.apply([leaf], []))[0] for leaf in changes]  # type: ignore[misc]
    tree.apply([], changes)
    assert tree.root == root
    head = head_of(root)
    files, proving, checking, whole = [], 0.0, 0.0, 0.0
    by_subject = {f"<{GRAPH}/offer-{s}>": triples[s * BATCH : (s + 1) * BATCH] for s in range(-(-size // BATCH))}
    for subject in rng.choices(sorted(by_subject), k=PROOFS):
        spent, proof = clock(lambda x=subject: tree.prove((x, None, None), by_subject[x]))  # type: ignore[misc]
        proving += spent
        text = json.dumps(bundle([head], [{"head": 0, "proof": proof.to_json()}]))
        files.append(text)
        file = verifier.parse(text)
        spent, fault = clock(lambda f=file: verifier.check_set(f.sets[0], f.heads[0]))  # type: ignore[misc]
        assert fault is None
        checking += spent
        spent, report = clock(lambda x=text: verifier.verify(x))  # type: ignore[misc]
        assert report.holds
        whole += spent
    found: dict[str, Any] = {
        "statements": len(triples),
        "build_s": hashing + building, "save_s": saving, "change_us": 1e6 * sorted(changing)[CHANGES // 2],
        "prove_us": 1e6 * proving / PROOFS, "verify_set_us": 1e6 * checking / PROOFS, "verify_file_us": 1e6 * whole / PROOFS,
        "verify_file_js_ms": javascript(files), "file_bytes": sum(map(len, files)) // PROOFS,
        "siblings": len(json.loads(files[0])["sets"][0]["proof"]["siblings"]),
        **others(triples),
    }  # fmt: skip
    found["change_vs_static"] = found["static_change_s"] / (found["change_us"] / 1e6)
    found["change_vs_rdfc"] = found["rdfc_s"] / (found["change_us"] / 1e6)
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in found.items()}


def main(sizes: Sequence[int]) -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for size in sizes:
            results.append(one_size(size, Path(folder)))
            print(json.dumps(results[-1]))
    path = FOLDER / "results" / "ledger_proofs.json"
    path.write_text(json.dumps({"benchmark": "ledger_proofs", "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main([int(x) for x in sys.argv[1:]] or [1_000, 100_000, 1_000_000])
