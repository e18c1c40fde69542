"""What packages leave in the graph, as service methods: the owner of the store commits and answers, whoever asks.

Everything that the graph of functions says of its packages is replaced by what is stated now, so a second call changes
nothing and a package that is no longer built is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from decimal import Decimal

import pyoxigraph as ox

from engine.accelerators.library.describe import variant_iri
from engine.accelerators.packages import DIGEST, KINDS, NEEDS, Package
from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

GRAPH = "functions"
PLACE = "package"  # of their IRIs below the graph's


def package_triples(graph: str, built: Iterable[Package]) -> Iterator[ox.Triple]:
    """Packages as statements of `graph`; `dapp:imageSize` in megabytes of 10^6 bytes."""
    for package in built:
        node = ox.NamedNode(f"{graph}/{PLACE}/{package.id}")
        size = Decimal(package.size) / 1_000_000
        yield ox.Triple(node, RDF.type, DAPP(package.kind))
        yield ox.Triple(
            node, RDFS.label, ox.Literal(f"{package.function} {package.variant} for {package.box}", language="en")
        )
        yield ox.Triple(node, DAPP.packages, variant_iri(graph, package.function, package.variant))
        yield ox.Triple(node, DAPP.digest, ox.Literal(package.digest))
        yield ox.Triple(node, DAPP.imageSize, ox.Literal(f"{size:f}", datatype=XSD.decimal))
        yield ox.Triple(node, DAPP.mediaType, ox.Literal(package.media_type))
        yield ox.Triple(node, DAPP.startsIn, DAPPI(package.level))
        yield ox.Triple(node, DAPP.entryPoint, ox.Literal(package.entry))


@method
def publish_packages(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State `packages` (as data) in the author's graph `functions`; {"graph", "added", "removed", "receipt"}."""
    author = (params.get("author") or kernel.node).lower()
    built = [_package(found) for found in params["packages"]]
    with kernel.lock.held():
        graph = kernel.resolve(params.get("graph") or GRAPH, author)
        wanted = set(package_triples(graph, built))
        there = {q.triple for q in _stated(kernel, graph)}
        removed, added = sorted(there - wanted, key=str), sorted(wanted - there, key=str)
        receipt = None
        if removed or added:
            receipt = kernel.commit(
                {graph: (removed, added)}, author=author, sign=lambda d: caller.sign(author, d), message="packages"
            )
    return {
        "graph": graph, "packages": len(built), "added": len(added), "removed": len(removed),
        "receipt": receipt.as_json() if receipt else None,
    }  # fmt: skip


@method
def published_packages(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """The packages that the author's graph `functions` states, as data."""
    author = (params.get("author") or kernel.node).lower()
    with kernel.lock.held():
        graph = kernel.resolve(params.get("graph") or GRAPH, author)
        quads = list(_stated(kernel, graph))
    stated: dict[str, dict[str, ox.NamedNode | ox.Literal]] = {}
    for quad in quads:
        if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, ox.NamedNode | ox.Literal):
            stated.setdefault(quad.subject.value, {})[quad.predicate.value] = quad.object
    boxes = {kind: box for box, (kind, _, _) in KINDS.items()}
    found = []
    for _, said in sorted(stated.items()):
        name, variant = said[DAPP.packages.value].value.removeprefix(f"{graph}/").split("/")
        package = Package(
            name, variant, boxes[said[RDF.type.value].value.removeprefix(DAPP.iri)], said[DAPP.digest.value].value,
            int(Decimal(said[DAPP.imageSize.value].value) * 1_000_000), said[DAPP.entryPoint.value].value,
            NEEDS.get(variant, ""),
        )  # fmt: skip
        found.append(asdict(package))
    return found


def _stated(kernel: Kernel, graph: str) -> Iterator[ox.Quad]:
    for quad in kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph)):
        if isinstance(quad.subject, ox.NamedNode) and quad.subject.value.startswith(f"{graph}/{PLACE}/"):
            yield quad


def _package(found: Json) -> Package:
    try:
        package = Package(**found)
    except TypeError as error:
        raise InputError(f"{found!r} is no package", rule="what packages.build returns, as data") from error
    if not DIGEST.fullmatch(package.digest) or package.box not in KINDS:
        raise InputError(f"{package.id} has no digest or box", rule="what packages.build returns, as data")
    return package
