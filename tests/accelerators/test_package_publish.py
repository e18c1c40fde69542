"""Packages in the graph: stated once, replaced when they change, read back as what a broker starts from."""

from __future__ import annotations

from pathlib import Path

import engine
from engine.accelerators import packages
from reasoners.vocab import DAPP, DAPPI

STATED = """SELECT DISTINCT ?package ?level ?digest ?variant WHERE {
  ?package a ?kind ; dapp:startsIn ?level ; dapp:digest ?digest ; dapp:packages ?variant .
  ?kind rdfs:subClassOf* dapp:Package . ?function dapp:hasVariant ?variant } ORDER BY ?package"""


def test_packages_are_published_once_and_replaced_when_they_change(tmp_path: Path) -> None:
    store = packages.Store(tmp_path / "packages")
    built = packages.build(store)
    with engine.open(tmp_path / "kb") as kb:
        kb.call("publish_functions")
        first = packages.publish(kb, built)
        assert first["packages"] == len(built)
        assert first["receipt"] is not None
        assert packages.publish(kb, built) == {**first, "added": 0, "removed": 0, "receipt": None}
        assert {p.id: p for p in packages.published(kb)} == {p.id: p for p in built}

        rows = kb.select(STATED).bindings()
        assert len(rows) == len(built)
        assert {r["level"] for r in rows} == {DAPPI(p.level) for p in built}
        assert {r["digest"].value for r in rows} == {p.digest for p in built}

        path = "engine/accelerators/library/sha256_batch/native.py"
        changed = packages.build(store, replaced={path: b"def call(inputs, parameters):\n    return inputs\n"})
        again = packages.publish(kb, changed)
        assert (again["added"], again["removed"]) in {(6, 6), (3, 3)}, "digests, and sizes where they differ"
        fewer = packages.publish(kb, changed[:-1])
        assert fewer["added"] == 0
        assert changed[-1].id not in {p.id for p in packages.published(kb)}
        # what the library says of functions and variants is not touched
        assert kb.call("publish_functions")["added"] == 0
        assert DAPP.OciImagePackage in {q.object for q in kb.quads(graph=kb.graph_iri("functions"))}
