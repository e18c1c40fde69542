"""Imports as service methods, so that they run in the process that owns the store, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine.catalogue.importer import ImportReport, run_import
from engine.graph.commit import Receipt
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method

PROVIDERS = {"ec2": ("aws",), "aws": ("aws",), "azure": ("azure",), "cloud": ("aws", "azure")}


class KernelTarget:
    """The importer's target: one author's commits to a kernel."""

    def __init__(self, kernel: Kernel, author: str, caller: Caller) -> None:
        self._kernel, self._author, self._caller = kernel, author, caller

    def commit(
        self,
        graph: str,
        added: Sequence[ox.Triple],
        removed: Sequence[ox.Triple] = (),
        *,
        author: str | None = None,
        message: str = "",
    ) -> Receipt:
        """Commit one graph's changes."""
        who = author or self._author
        return self._kernel.commit(
            {graph: (removed, added)}, author=who, sign=lambda digest: self._caller.sign(who, digest), message=message
        )


@method
def import_cloud(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Import the offers of `providers` (`ec2`, `azure`, `cloud`), in `regions` or everywhere, into `graph`."""
    from engine.catalogue.cloud import CloudCatalogue

    author = (params.get("author") or kernel.node).lower()
    graph = kernel.resolve(params.get("graph") or "cloud", author)
    catalogue = CloudCatalogue(graph, providers=PROVIDERS[params["source"]], regions=params.get("regions"))
    report = _run(
        kernel, params, caller, author, graph, catalogue.records(), total=len(catalogue),
        skipped=catalogue.left_out, prune=catalogue.scope() if params.get("prune") else (),
        message=f"import {params['source']}",
    )  # fmt: skip
    return {**report.as_json(), "counts": catalogue.counts()}


@method
def import_files(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Import RDF files (`paths`) into `graph`, record by record."""
    from itertools import chain

    from engine.catalogue.rdf_files import read_file

    author = (params.get("author") or kernel.node).lower()
    graph = kernel.resolve(params.get("graph") or "main", author)
    paths = [Path(p) for p in params["paths"]]
    streams = [
        read_file(p, graph=graph, format=params.get("format")) for p in paths
    ]  # every file is read before any commit
    names = ", ".join(p.name for p in paths)
    report = _run(kernel, params, caller, author, graph, chain(*streams), total=None, message=f"import {names}")
    return report.as_json()


def _run(
    kernel: Kernel,
    params: Json,
    caller: Caller,
    author: str,
    graph: str,
    records: Any,
    *,
    total: int | None,
    **options: Any,
) -> ImportReport:
    def tell(report: ImportReport) -> None:
        caller.progress(
            {
                "done": report.records,
                "total": total,
                "note": f"{report.triples_per_second:,.0f} triples/s, {len(report.refused)} refused",
            }
        )

    return run_import(
        KernelTarget(kernel, author, caller), records, graph=graph, author=author,
        all_or_nothing=bool(params.get("all_or_nothing")), current=kernel.store.view(ox.NamedNode(graph)), progress=tell, **options,
    )  # fmt: skip
