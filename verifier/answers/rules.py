"""The derive rules in force, read from the statements of the policy graphs in force.

A rule is a node of class `dapp:Rule` with one `sh:construct` text; `dapp:enabled false` switches it off, and an enabled rule may
supersede others. Its text is evaluated like a query, over what rules may read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from verifier.answers import algebra as a
from verifier.answers.authority import DAPP
from verifier.answers.parser import parse
from verifier.answers.terms import TYPE, Unsupported, decode, is_variable

Statement = tuple[str, str, str]
Objects = Callable[[str, str], Iterable[str]]
"""Objects of a subject and a predicate in the policy graphs."""

_SH = "http://www.w3.org/ns/shacl#"
RULE, ENABLED, SUPERSEDES, PURPOSE = (f"<{DAPP}{x}>" for x in ("Rule", "enabled", "supersedes", "purpose"))
CONSTRUCT, PREFIXED, DECLARE, PREFIX, NAMESPACE = (
    f"<{_SH}{x}>" for x in ("construct", "prefixes", "declare", "prefix", "namespace")
)
PREFIXES = {
    "dapp": DAPP, "dappi": "https://w3id.org/dappops/id#", "dappsh": "https://w3id.org/dappops/shapes#",
    "dappr": "https://w3id.org/dappops/rules#", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#", "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#", "sh": _SH, "skos": "http://www.w3.org/2004/02/skos/core#",
    "prov": "http://www.w3.org/ns/prov#", "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "unit": "http://qudt.org/vocab/unit/", "dcterms": "http://purl.org/dc/terms/",
}  # fmt: skip
"""Known without declaration in a rule's text."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One derive rule; `query` is None when it is not read here, and `why` says so."""

    iri: str
    query: a.Query | None
    why: str = ""

    def may_write(self, predicate: str | None) -> bool:
        """Whether it may derive statements with a predicate (None: any)."""
        if predicate is None or self.query is None:
            return True
        return any(is_variable(head.predicate) or head.predicate == predicate for head in self.query.template)

    def givens(self, s: str | None, p: str | None, o: str | None = None) -> Iterator[tuple[a.Triple, dict[str, str]]]:
        """The head triples that may be a statement of this form, and what the body's variables are then."""
        for head in self.query.template if self.query else ():
            given: dict[str, str] = {}
            for position, term in zip((head.subject, head.predicate, head.object), (s, p, o), strict=True):
                if term is None:
                    continue
                if not is_variable(position):
                    if position != term:
                        break
                elif given.setdefault(position, term) != term:
                    break
            else:
                yield head, given


def instance(head: a.Triple, bindings: dict[str, str]) -> Statement | None:
    """The statement that a head becomes; None when a variable is open or RDF has no such statement."""
    terms = [bindings.get(x) if is_variable(x) else x for x in (head.subject, head.predicate, head.object)]
    s, p, o = terms
    if s is None or p is None or o is None or s.startswith('"') or not p.startswith("<"):
        return None
    return s, p, o


def compiled(iri: str, objects: Objects) -> Rule | None:
    """The derive rule that a node describes; None when it is none or switched off."""
    if RULE not in objects(iri, TYPE) or any(decode(x).value in ("false", "0") for x in objects(iri, ENABLED)):
        return None
    purposes = {decode(x).value.rsplit("#", 1)[-1].lower() for x in objects(iri, PURPOSE)} or {"derive"}
    if "derive" not in purposes:
        return None
    texts = sorted(objects(iri, CONSTRUCT))
    if len(texts) != 1 or len(purposes) != 1:
        return Rule(iri, None, "it has not one text and one purpose")
    declared = dict(PREFIXES)
    for holder in objects(iri, PREFIXED):
        for item in objects(holder, DECLARE):
            for name in objects(item, PREFIX):
                for namespace in objects(item, NAMESPACE):
                    declared[decode(name).value] = decode(namespace).value
    return _read(iri, "".join(f"PREFIX {n}: <{ns}> " for n, ns in sorted(declared.items())) + decode(texts[0]).value)


@lru_cache(maxsize=1024)
def _read(iri: str, text: str) -> Rule:
    try:
        query = parse(text)
    except (Unsupported, ValueError) as error:
        return Rule(iri, None, str(error))
    positions = {x for head in query.template for x in (head.subject, head.predicate, head.object)}
    if query.form != "CONSTRUCT" or any(x.startswith("?_:") for x in positions):
        return Rule(iri, None, "it is no CONSTRUCT, or makes blank nodes")
    if "?now" in a.mentioned(query.root) | positions:
        return Rule(iri, None, "it reads the time of the commit")
    return Rule(iri, query)


def in_force(nodes: Iterable[str], objects: Objects) -> list[Rule]:
    """The derive rules among the rule nodes of a policy of which every statement is known, ordered by IRI."""
    nodes = sorted(set(nodes))
    enabled = [n for n in nodes if not any(decode(x).value in ("false", "0") for x in objects(n, ENABLED))]
    replaced = {other for n in enabled for other in objects(n, SUPERSEDES) if other != n}
    found = (compiled(n, objects) for n in enabled if n not in replaced)
    return [rule for rule in found if rule is not None]
