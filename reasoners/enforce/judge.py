"""From evidence to what an agreement's witnesses should vote, what was breached, and what is owed.

What counts as evidence, as a miss, as a breach and as a reason to pay are rules of purpose `enforce`, run from high to low
priority over a copy of the version's surroundings, so that a lower one reads what higher ones wrote. Here only what they
concluded is put together. Money is settled by the contract; this says what honest votes would make it do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

import pyoxigraph as ox

from reasoners.enforce.model import Breach, Judgement, WitnessFinding
from reasoners.errors import InputError
from reasoners.graph import Subject, Term, View
from reasoners.sparql.given import ConcludingRule, conclude, in_order
from reasoners.vocab import DAPP, RDF

STEPS = 3  # how far a rule can look from the version and from what is said for it
_KINDS = (DAPP.AgreementVersion, DAPP.CounterOffer)


def judge(
    view: View, rules: Sequence[ConcludingRule], version: ox.NamedNode, evidence: Iterable[ox.Triple] = ()
) -> Judgement:
    """Judge one agreement version by the evidence in `view` and the given triples, such as evidence not yet committed.

    Raises InputError when there is no such version or a rule does not run.
    """
    work = surroundings(view, version, evidence)
    if not any(ox.Triple(version, RDF.type, kind) in work for kind in _KINDS):
        raise InputError(
            "there is no such agreement version",
            place=version.value,
            rule="an agreement version is a dapp:AgreementVersion",
            remedy="name one by its IRI, <graph>/terms",
        )
    told: dict[ox.NamedNode, list[ox.Triple]] = {}
    for rule in in_order(rules, "enforce"):
        found = conclude(work, rule, {"version": version})
        if found:
            told[rule.iri] = found
            work.store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in found)
    penalties = _named(work.objects(version, DAPP.owesPenalty))
    return Judgement(
        version,
        tuple(_finding(work, version, w) for w in _named(work.objects(version, DAPP.hasWitness))),
        tuple(_breaches(work, version)),
        penalties,
        max((_amount(work.value(p, DAPP.compensation)) for p in penalties), default=Decimal(0)),
        int(_amount(work.value(version, DAPP.witnessQuorum))),
        tuple(sorted(told, key=lambda r: r.value)),
    )


def surroundings(view: View, version: ox.NamedNode, more: Iterable[ox.Triple] = ()) -> View:
    """A copy of what is said of the version and for it, and of what that leads to in `STEPS` steps."""
    store = ox.Store()
    store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in more)
    given = {q.subject for q in store}
    start: set[Subject] = {version, *(s for s in given if isinstance(s, ox.NamedNode | ox.BlankNode))}
    for link in (DAPP.forAgreement, DAPP.hasAgreementVersion):
        start |= {s for s in view.subjects(link, version) if not isinstance(s, ox.Literal)}
    seen: set[Subject] = set()
    edge = start
    for _ in range(STEPS + 1):
        triples = [t for node in edge for t in view.triples(node)]
        store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
        seen |= edge
        edge = {
            t.object for t in triples if t.predicate != RDF.type and isinstance(t.object, ox.NamedNode | ox.BlankNode)
        } - seen
    return View(store)


def _finding(work: View, version: ox.NamedNode, witness: ox.NamedNode) -> WitnessFinding:
    admitted = {e for e in work.objects(version, DAPP.admitsEvidence) if witness in work.objects(e, DAPP.measuredBy)}
    missed: set[Term] = set()
    showing: set[Term] = set()
    for one in admitted:
        by = {o for o in work.subjects(DAPP.missedIn, one) if o in work.objects(version, DAPP.promises)}
        missed |= by
        if by:
            showing.add(one)
    against = version in work.objects(witness, DAPP.findsAgainst)
    kept = version in work.objects(witness, DAPP.findsFor)
    if against and kept:
        return WitnessFinding(witness, None, "the rules disagree", _named(admitted), _named(missed))
    if against:
        return WitnessFinding(witness, True, "its evidence shows a miss", _named(showing), _named(missed))
    if kept:
        return WitnessFinding(
            witness, False, "its evidence shows every objective kept", _named(admitted), _named(missed)
        )
    why = "its evidence is not enough for a vote" if admitted else "there is no evidence of it that counts"
    return WitnessFinding(witness, None, why, _named(admitted), _named(missed))


def _breaches(work: View, version: ox.NamedNode) -> list[Breach]:
    windows: dict[tuple[ox.NamedNode, ox.Literal, ox.Literal], set[Term]] = {}
    for objective in _named(work.objects(version, DAPP.promises)):
        for one in work.objects(objective, DAPP.breachedIn):
            start, end = work.value(one, DAPP.periodStart), work.value(one, DAPP.periodEnd)
            if isinstance(start, ox.Literal) and isinstance(end, ox.Literal):
                windows.setdefault((objective, start, end), set()).add(one)
    return [
        Breach(
            objective,
            start,
            end,
            _named(evidence),
            _named({w for e in evidence for w in work.objects(e, DAPP.measuredBy)}),
        )
        for (objective, start, end), evidence in sorted(
            windows.items(), key=lambda item: (item[0][1].value, item[0][2].value, item[0][0].value)
        )
    ]


def _named(terms: Iterable[Term]) -> tuple[ox.NamedNode, ...]:
    return tuple(sorted((t for t in terms if isinstance(t, ox.NamedNode)), key=lambda t: t.value))


def _amount(term: Term | None) -> Decimal:
    try:
        return Decimal(term.value) if isinstance(term, ox.Literal) else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
