"""What owlrl concludes and we do not, or the other way round, each difference with the reason it has.

owlrl 7 (a) states every term's equality to itself (eq-ref) and types datatypes outside OWL 2 RL; (b) reports
contradictions as nodes of its own; (c) compares literals as they are written, not by value (dt-eq); (d) leaves the last
property of a key out of the comparison. For (c) and (d) it is asked again: with equal literals written alike, and with
the last property of each key given twice, which means the same. What differs still is unexplained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import owlrl
import pyoxigraph as ox
import rdflib

from reasoners.derive.owl import Rl
from reasoners.vocab import OWL, RDF

Plain = tuple[str, str, str]
PROFILE_LESS = frozenset({"date", "time", "gYear", "gMonth", "gDay", "gYearMonth", "gMonthDay", "duration", "HTML"})
ERRORS = "http://www.daml.org/2002/03/agents/agent-ont#"


def ours(triples: Iterable[ox.Triple]) -> set[Plain]:
    """Our closure."""
    return {(str(t.subject), str(t.predicate), str(t.object)) for t in Rl(triples).triples()}


def theirs(triples: Iterable[ox.Triple]) -> set[Plain]:
    """owlrl's closure, less what RDF cannot hold."""
    lines = ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b""
    graph = rdflib.Graph().parse(data=lines.decode(), format="nt")
    owlrl.DeductiveClosure(owlrl.OWLRL_Semantics, axiomatic_triples=False, datatype_axioms=False).expand(graph)
    out = set()
    for s, p, o in graph:
        if isinstance(s, rdflib.Literal) or not isinstance(p, rdflib.URIRef):
            continue
        if isinstance(o, rdflib.Literal):
            datatype = ox.NamedNode(str(o.datatype)) if o.datatype and not o.language else None
            text = str(ox.Literal(str(o), datatype=datatype, language=o.language))
        else:
            text = o.n3()
        out.add((s.n3(), p.n3(), text))
    return out


def alike(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """The same triples with one literal for each value."""
    rl = Rl.blank()
    out = []
    for s, p, o in rl.rows(triples):
        out.append(rl.state.terms.triple(s, p, rl.state.terms.canonical.get(o, o)))
    return list(dict.fromkeys(out))


def last_key_twice(triples: Iterable[ox.Triple]) -> tuple[list[ox.Triple], set[str]]:
    """The same keys for a reader that forgets the last property of each; and the cells that were added."""
    triples = list(triples)
    heads = {t.object for t in triples if t.predicate == OWL.hasKey}
    after = {t.subject: t.object for t in triples if t.predicate == RDF.rest}
    cells = set()
    for head in heads:
        cell = head
        while cell in after:
            cells.add(cell)
            cell = after[cell]
    out, added = [], set()
    first = {t.subject: t.object for t in triples if t.predicate == RDF.first}
    for triple in triples:
        if triple.predicate == RDF.rest and triple.subject in cells and triple.object == RDF.nil:
            extra = ox.NamedNode(f"urn:again:{len(added)}")
            added.add(str(extra))
            out += [
                ox.Triple(triple.subject, RDF.rest, extra),
                ox.Triple(extra, RDF.first, first[triple.subject]),
                ox.Triple(extra, RDF.rest, RDF.nil),
            ]
        else:
            out.append(triple)
    return out, added


def differences(triples: Iterable[ox.Triple]) -> tuple[Counter[str], list[Plain]]:
    """(how many differences of which kind, those without a known reason)."""
    triples = list(triples)
    kinds: Counter[str] = Counter()
    mine, other = ours(triples), theirs(triples)
    rest = {t for t in mine ^ other if not _plainly(t, mine, kinds)}
    if not rest:
        return kinds, []
    written = alike(triples)
    mine, other = ours(written), theirs(written)
    still = {t for t in mine ^ other if not _plainly(t, mine, Counter())}
    kinds["dt-eq: literals compared as written"] += max(0, len(rest) - len(still))
    if not still:
        return kinds, []
    again, added = last_key_twice(written)
    mine, other = ours(again), theirs(again)
    left = [t for t in mine ^ other if not _plainly(t, mine, Counter()) and not added & set(t)]
    kinds["prp-key: the last property is not compared"] += max(0, len(still) - len(left))
    return kinds, left


def _plainly(t: Plain, mine: set[Plain], kinds: Counter[str]) -> bool:
    if t in mine:
        return False
    s, p, o = t
    if p == str(OWL.sameAs) and s == o:
        kinds["eq-ref: a term equals itself"] += 1
    elif ERRORS in p or ERRORS in o:
        kinds["contradictions reported as nodes"] += 1
    elif p == str(RDF.type) and o.endswith("#Datatype>") and s.rsplit("#", 1)[-1].rstrip(">") in PROFILE_LESS:
        kinds["dt-type1: datatypes outside OWL 2 RL"] += 1
    else:
        return False
    return True
