"""Names that certify themselves: a graph IRI carries its owner's address, so authority needs no registry.

`<base>/g/<0x + 40 lower hex>/<name>` is a graph; `<graph>/<local>` is a thing in it. Whoever holds the key behind
the address has authority over both. `urn:dappops:` names the store's own views and is nobody's.
"""

from __future__ import annotations

import re

import pyoxigraph as ox

from engine.errors import InputError
from reasoners.vocab import BASE, DAPP, DAPPI, DAPPR, DAPPSH

_AUTHORITY = re.compile(r"^[a-z][a-z0-9+.-]*://[^?#]*?/g/(0x[0-9a-f]{40})(?:/|$)")
_GRAPH = re.compile(r"^[a-z][a-z0-9+.-]*://[^?#]*?/g/(0x[0-9a-f]{40})/([a-z0-9][a-z0-9._-]{0,63})$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,63}$")
_FIXED = re.compile(r"^sla-.+-v[0-9]+$")

SHIPPED_PREFIX = f"{BASE}/policy/shipped/"
SHIPPED = "shipped"  # the authority of the product's own vocabulary, rules and shapes

INERT = ox.NamedNode("urn:dappops:inert")  # asserted, but feeds no decision unless a rule opts in
META = ox.NamedNode("urn:dappops:meta")  # the store's own position
DERIVED_PREFIX = "urn:dappops:derived:"
FINDINGS = ox.NamedNode(DERIVED_PREFIX + "findings")

_SHIPPED_NAMESPACES = (DAPP.iri, DAPPI.iri, DAPPSH.iri, DAPPR.iri, SHIPPED_PREFIX)


def graph_iri(address: str, name: str, base: str = BASE) -> str:
    """The IRI of the graph `name` owned by `address`; InputError for a name that does not fit a path segment."""
    if not _NAME.match(name):
        raise InputError(
            f"{name!r} is not a graph name",
            rule="names start with a-z or 0-9, then a-z 0-9 . _ - (64 at most)",
            remedy=f"try {re.sub('[^a-z0-9._-]+', '-', name.lower()).strip('-._') or 'main'!r}",
        )
    return f"{base}/g/{address.lower()}/{name}"


def kind_of(graph: str) -> str:
    """What a graph is by its name, bound into its genesis: `policy`, `fixed` (one commit for ever: an agreement version), `data`."""
    name = graph.rsplit("/", 1)[-1]
    if name == "policy" or graph.startswith(SHIPPED_PREFIX):
        return "policy"
    return "fixed" if _FIXED.match(name) else "data"


def owner_of(graph: str) -> str:
    """The address in a graph IRI, or 'shipped'; InputError when the IRI certifies nobody."""
    if graph.startswith(SHIPPED_PREFIX):
        return SHIPPED
    match = _GRAPH.match(graph)
    if not match:
        raise InputError(
            f"<{graph}> is not a graph IRI",
            rule="a graph IRI certifies its owner: <base>/g/<address>/<name>",
            remedy="use `dappops init` to see yours, or a short name such as `main`",
        )
    return match.group(1)


def authority_over(node: ox.NamedNode) -> str | None:
    """Whose facts a subject is: an address, 'shipped' for the product's vocabulary, None for nobody."""
    value = node.value
    if "/g/0x" in value:
        match = _AUTHORITY.match(value)
        if match:
            return match.group(1)
    return SHIPPED if value.startswith(_SHIPPED_NAMESPACES) else None


def derived_graph(rule: ox.NamedNode) -> ox.NamedNode:
    """The graph that holds what one rule derived."""
    return ox.NamedNode(DERIVED_PREFIX + rule.value)


def is_internal(graph: str) -> bool:
    """Whether a graph name is one of the store's own views, hidden from queries."""
    return graph.startswith("urn:dappops:")
