"""Agreement versions in the graph: proposing, answering with another one, reading, and what of them goes to the chain.

A version is committed once to a graph of its own (`sla-<name>-v<n>`, kind `fixed`: the kernel refuses a second commit). Its
root is the terms hash. It is recomputed here from the statements whenever somebody signs or settles, so that a changed store
makes signatures fail and not agreements change.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.names import authority_over
from engine.ledger.agreements import model
from engine.ledger.agreements.model import Version
from engine.ledger.agreements.terms import Place, terms_of, version_of
from engine.ledger.agreements.typed import Terms
from engine.ledger.contracts import Contract
from engine.ledger.home import Connected, connect, ensure, records
from engine.ledger.knowledge import folder_of, keys_of
from reasoners.graph import View, memory_view
from reasoners.vocab import DAPP, RDF

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

CONTRACT = "ServiceAgreement"
GRAPH = "agreements"


def chain_of(kb: KnowledgeBase, version: Version | None = None, *, name: str | None = None) -> Connected:
    """The chain that a version is to be opened on; without one: the chain of this name, or `main`, made when it is missing."""
    home, keys = folder_of(kb), keys_of(kb)
    if version is None:
        return connect(home, name, keys=keys) if name else ensure(home, keys, kb.info()["node"])
    found = [r for r in records(home) if r.chain_id == version.chain_id]
    if not found:
        raise InputError(
            f"no chain {version.chain_id} in this home",
            place=version.iri,
            remedy="take it up with `dappops chain create --rpc`",
        )
    return connect(home, found[0].name, keys=keys)


def contract_of(version: Version, connected: Connected) -> Contract:
    """The contract that a version names; InputError when that chain is another."""
    if connected.record.chain_id != version.chain_id:
        raise InputError(
            f"chain {connected.record.name} is {connected.record.chain_id}, not {version.chain_id}", place=version.iri
        )
    from engine.ledger.chain import lower

    return Contract(connected.chain, lower(version.contract), CONTRACT)


# -- reading ---------------------------------------------------------------------------------------------------------
def statements(kb: KnowledgeBase, version: str) -> list[ox.Triple]:
    """The triples of a version's graph, and nothing else that is said of it."""
    return [q.triple for q in kb.quads(graph=model.graph_of(version))]


def read(kb: KnowledgeBase, version: str) -> Version:
    """A version from the graph; InputError when there is none."""
    return model.read(memory_view(statements(kb, version)), version)


def terms_in(view: View, version: str) -> Terms:
    """The Terms for the contract, from the triples of a version's graph: `view` holds that graph and nothing else."""
    return terms_for(model.read(view, version), model.root_of(model.graph_of(version), view.triples()))


def contract_terms(kb: KnowledgeBase, version: str) -> tuple[Version, Terms]:
    """A version and its Terms, both from the statements in the store, root recomputed."""
    told = statements(kb, version)
    view = memory_view(told)
    return model.read(view, version), terms_in(view, version)


def terms_for(version: Version, root: bytes) -> Terms:
    """What is signed: the version's numbers and the root of its graph."""
    return Terms(
        version.provider_account, version.consumer_account, root, version.price, version.compensation, version.fee,
        version.start, version.end, version.settle_by, version.quorum, version.witnesses, version.nonce,
    )  # fmt: skip


# -- proposing -------------------------------------------------------------------------------------------------------
def _place(kb: KnowledgeBase, connected: Connected, author: str) -> Place:
    base = kb.graph_iri("main", author).rsplit("/", 1)[0]
    rows = kb.call("view", name="sla-accounts", bindings={})["rows"]
    identifiers = {ox_value(p): ox_value(i) for p, i in rows}
    contract = connected.contract(CONTRACT)
    now = max(time.time(), float(connected.chain.header().time))
    return Place(base, connected.chain.chain_id, contract.address, now, identifiers)


def ox_value(text: str) -> str:
    """The value of a term that a view gave as N-Triples text."""
    from engine.graph.wire import decode_term

    return decode_term(text).value


def propose(
    kb: KnowledgeBase, terms: Mapping[str, Any], *, author: str | None = None, connected: Connected | None = None
) -> str:
    """Commit the first version of an agreement in a graph of the author's; the version's IRI.

    `terms`: see `terms`; `consumer` defaults to the author. The same terms again are no change. InputError names the key.
    """
    chosen = (author or kb.author).lower()
    connected = connected or chain_of(kb)
    where = _place(kb, connected, chosen)
    given = {"consumer": f"{where.base}/self", **terms}
    return _commit(kb, version_of(given, where), chosen)


def counter(
    kb: KnowledgeBase,
    previous: str,
    changes: Mapping[str, Any],
    *,
    author: str | None = None,
    connected: Connected | None = None,
) -> str:
    """Answer a version with another one in which some terms are different, as one of its two sides; the new IRI."""
    chosen = (author or kb.author).lower()
    before = read(kb, previous)
    if chosen not in (before.provider_account, before.consumer_account) and chosen != _owner(before):
        raise InputError(
            "only a side of the agreement answers it",
            place=before.iri,
            rule="provider or consumer",
            remedy="--author ADDRESS",
        )
    connected = connected or chain_of(kb, before)
    where = _place(kb, connected, chosen)
    made = version_of({**terms_of(before), **changes}, where, number=before.number + 1, previous=before.iri)
    if replace(made, graph=before.graph, previous=before.previous) == before:
        raise InputError("nothing is different", place=before.iri, remedy="accept it, or change a term")
    return _commit(kb, made, chosen)


def _owner(version: Version) -> str:
    return model.parts_of(version.graph)[0].rsplit("/", 1)[-1]


def _commit(kb: KnowledgeBase, version: Version, author: str) -> str:
    kb.commit_all(
        {version.graph: ([], model.triples(version)), kb.graph_iri(GRAPH, author): ([], introduced(version, author))},
        author=author, message=f"agreement {version.name}, version {version.number}",
    )  # fmt: skip
    return version.iri


def introduced(version: Version, author: str) -> list[ox.Triple]:
    """What an author says of itself where a version names it: that it is a participant, with which account."""
    sides = ((version.provider, version.provider_account), (version.consumer, version.consumer_account))
    return [
        ox.Triple(node, predicate, value)
        for node, account in ((ox.NamedNode(iri), account) for iri, account in sides)
        if authority_over(node) == author
        for predicate, value in ((RDF.type, DAPP.Participant), (DAPP.identifier, ox.Literal(account)))
    ]


__all__ = [
    "CONTRACT", "GRAPH", "chain_of",
    "contract_of", "contract_terms", "counter", "introduced", "ox_value", "propose", "read",
    "statements", "terms_for", "terms_in",
]  # fmt: skip
