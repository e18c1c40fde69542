"""Why a triple holds: the rule that concluded it, with which values, from which premises, down to what was asserted.

Rows of a rule's WHERE clause are asked of the store, with the triple's own terms bound; a row is then told part by part:
patterns become premises (property paths the edges of one way), NOT EXISTS and MINUS what was absent, aggregates what was
counted. A derivation never rests on its own conclusion. Everything is bounded: depth, size, rows told.

Sources: Green, Karvounarakis, Tannen, "Provenance semirings" (PODS 2007); https://www.w3.org/TR/sparql11-query/#propertypaths
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import pyoxigraph as ox

from reasoners.derive.analysis import analyse
from reasoners.derive.derivation import Derivation
from reasoners.derive.deriver import Deriver
from reasoners.derive.replay import replay
from reasoners.derive.rule import Rule
from reasoners.derive.text import bind_now, uses_now
from reasoners.derive.witness import Binding, matches
from reasoners.graph import Term, View
from reasoners.sparql import algebra
from reasoners.sparql.functions import answers, expanded
from reasoners.sparql.groups import Group, Part, exposed, renamed, where_of
from reasoners.vocab import PREFIXES

ROWS = 5  # of what was counted, told as premises
TRIED = 40  # rows of one rule looked at before another is tried


@dataclass(frozen=True)
class Applied(Derivation):
    """A conclusion of a rule of the policy. `rule` is its IRI; texts are SPARQL with the values filled in.

    `cut`: there is a derivation, but it was not followed (depth or size).
    """

    bindings: tuple[tuple[str, Term], ...] = ()
    absent: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Nearly:
    """A rule that could conclude a triple, and the first part of it that has no match; `held` counts the parts before."""

    rule: Rule
    missing: str
    held: int
    parts: int
    found: tuple[ox.Triple, ...] = ()  # what must not be, and is


@dataclass(slots=True)
class Told:
    """What one row of a WHERE clause rests on."""

    premises: dict[ox.Triple, None] = field(default_factory=dict)
    looked: dict[ox.Triple, None] = field(default_factory=dict)  # what a condition found, whatever it made of it
    absent: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Explainer:
    """Explains triples of one closure. `asserted` tells what stands in an asserted graph, `derived_by` which rules hold a
    triple; `now` is the time rules last saw. Not to be used after the closure has changed."""

    view: View
    rules: Sequence[Rule]
    asserted: Callable[[ox.Triple], bool]
    derived_by: Callable[[ox.Triple], Iterable[ox.NamedNode]]
    now: ox.Literal | None = None
    depth: int = 40
    size: int = 2_000
    _made: dict[ox.Triple, Derivation] = field(default_factory=dict)
    _steps: int = 0

    def explain(self, triple: ox.Triple, alternatives: int = 1) -> list[Derivation]:
        """Up to `alternatives` derivations of a triple of the closure, the asserted one first; none for other triples."""
        found: list[Derivation] = [Derivation(triple)] if self.asserted(triple) else []
        if len(found) < alternatives:
            for one in self._derivations(triple, (), self.depth):
                if one not in found:
                    found.append(one)
                if len(found) >= alternatives:
                    break
        if not found and any(r.iri in set(self.derived_by(triple)) for r in self.rules):
            return [self._replayed(triple)]
        return found[:alternatives]

    def _replayed(self, triple: ox.Triple) -> Derivation:
        """A derivation from the order in which a derivation from scratch finds things."""
        cut = Applied(triple, min(self.derived_by(triple), key=str).value, cut=True)
        past = replay(Deriver(self.rules), self.view, self.asserted, self.now)
        if past is None or triple not in past.rounds:
            return cut
        earlier = replace(self, view=past.view, derived_by=lambda t: [r.iri for r in self.rules])
        proofs: dict[ox.Triple, tuple[str, Binding, Told]] = {}
        needed = {triple}
        for number in range(past.rounds[triple], -1, -1):
            past.back_to(number)
            for goal in sorted((t for t in needed if past.rounds.get(t) == number), key=str):
                for rule in self.rules:
                    row, told = next(earlier._told(rule, goal), (None, None))
                    if row is not None and told is not None:
                        proofs[goal] = rule.iri.value, row, told
                        needed.update(p for p in (*told.premises, *told.looked) if not self.asserted(p))
                        break
        return self._tree(triple, proofs, self.depth) or cut

    def _tree(
        self, triple: ox.Triple, proofs: Mapping[ox.Triple, tuple[str, Binding, Told]], depth: int
    ) -> Derivation | None:
        if self.asserted(triple):
            return Derivation(triple)
        if triple not in proofs:
            return None
        self._steps += 1
        rule, row, told = proofs[triple]
        if depth <= 0 or self._steps > self.size:
            return Applied(triple, rule, cut=True)
        below = (self._tree(p, proofs, depth - 1) for p in dict.fromkeys((*told.premises, *told.looked)))
        return _applied(triple, rule, tuple(p for p in below if p is not None), row, told)

    def nearly(self, triple: ox.Triple, limit: int = 5) -> list[Nearly]:
        """Rules that could conclude a triple and do not, those that came nearest first."""
        found = [near for rule in self.rules for near in self._nearly(rule, triple)]
        return sorted(found, key=lambda n: (-n.held / max(n.parts, 1), n.rule.iri.value))[:limit]

    # -- derivations ------------------------------------------------------------------------------------------------
    def _derivations(self, triple: ox.Triple, above: tuple[ox.Triple, ...], depth: int) -> Iterator[Derivation]:
        holders = set(self.derived_by(triple))
        for rule in self.rules:
            if rule.iri not in holders:
                continue
            if depth <= 0 or self._steps > self.size:
                yield Applied(triple, rule.iri.value, cut=True)
                return
            for row, told in self._told(rule, triple):
                if any(p in above or p == triple for p in told.premises):
                    continue
                premises = self._premises(told, (*above, triple), depth - 1)
                if premises is not None:
                    yield _applied(triple, rule.iri.value, premises, row, told)

    def _premises(self, told: Told, above: tuple[ox.Triple, ...], depth: int) -> tuple[Derivation, ...] | None:
        out = []
        for premise in told.premises:
            found = self._premise(premise, above, depth)
            if found is None:
                return None
            out.append(found)
        for seen in told.looked:
            if seen not in told.premises and seen not in above:
                found = self._premise(seen, above, depth)
                if found is not None:
                    out.append(found)
        return tuple(out)

    def _premise(self, triple: ox.Triple, above: tuple[ox.Triple, ...], depth: int) -> Derivation | None:
        """One derivation of a premise that does not rest on what is `above` it; None when there is none."""
        known = self._made.get(triple)
        if known is not None:
            return known
        self._steps += 1
        if self.asserted(triple):
            made = Derivation(triple)
        else:
            first = next(self._derivations(triple, above, depth), None)
            if first is None:
                return None
            made = first
        if not _is_cut(made):
            self._made[triple] = made  # a whole derivation holds wherever it is used
        return made

    # -- one rule ---------------------------------------------------------------------------------------------------
    def _told(self, rule: Rule, triple: ox.Triple) -> Iterator[tuple[Binding, Told]]:
        """Rows of a rule that conclude a triple, and what each rests on; those with more asserted premises first."""
        group = self._where(rule)
        rows = []
        for given in _heads(rule, triple):
            for row in self._rows(rule, group, given, TRIED):
                told = Told()
                self._walk(rule, group, {**row, **given}, told)
                rows.append(({**row, **given}, told))
        rows.sort(key=lambda r: (sum(not self.asserted(p) for p in r[1].premises), str(sorted(r[0].items(), key=str))))
        yield from rows

    def _where(self, rule: Rule) -> Group:
        text = bind_now(rule.text, str(self.now)) if self.now is not None and uses_now(rule.text) else rule.text
        return _exposed(text, rule.iri.value)

    def _rows(self, rule: Rule, group: Group, given: Binding, limit: int) -> list[Binding]:
        """Rows of a group with these values, a few of them, in a fixed order."""
        return self._select(rule, group.text, {n: t for n, t in given.items() if n in group.variables}, limit)

    def _select(self, rule: Rule, body: str, given: Binding, limit: int) -> list[Binding]:
        named = {n: t for n, t in given.items() if not isinstance(t, ox.BlankNode)}
        blank = {ox.Variable(n): t for n, t in given.items() if isinstance(t, ox.BlankNode)}
        values = ""
        if named:
            values = f" VALUES ({' '.join('?' + n for n in named)}) {{ ({' '.join(map(str, named.values()))}) }}"
        functions = answers(rule.functions, self.view) if rule.functions else None
        try:
            solutions = self.view.store.query(
                f"SELECT * WHERE {{ {body} }}{values}", default_graph=list(self.view.graphs),
                substitutions=blank or None, custom_functions=functions,  # type: ignore[arg-type]
            )  # fmt: skip
        except (SyntaxError, ValueError):
            return []  # a part that cannot stand alone is not told
        assert isinstance(solutions, ox.QuerySolutions)
        columns = [v.value for v in solutions.variables]
        out: list[Binding] = []
        for n, solution in enumerate(solutions):
            if n >= 10 * limit:
                break
            out.append({c: v for c, v in zip(columns, solution, strict=True) if isinstance(v, Term)})
        return sorted(out, key=lambda row: str(sorted(row.items(), key=str)))[:limit]

    def _walk(self, rule: Rule, group: Group, row: Binding, told: Told) -> None:
        for part in group.parts:
            match part.kind:
                case "triples":
                    found = matches(self.view, _triples(part.text), row)
                    told.premises.update(dict.fromkeys(found or ()))
                case "optional":
                    if not self._inside(rule, part.groups[0], row, told):
                        told.absent.append(_filled(part.groups[0].text, row))
                case "minus" | "not exists":
                    told.absent.append(_filled(part.groups[0].text, row))
                case "union":
                    any(self._inside(rule, branch, row, told) for branch in part.groups)
                case "group" | "exists":
                    self._inside(rule, part.groups[0], row, told)
                case "select":
                    self._selected(rule, part, row, told)
                case "filter" | "bind":
                    told.conditions.append(_filled(part.text, row))
                    for inner in part.groups:
                        self._look(inner, row, told)
                case _:
                    pass

    def _inside(self, rule: Rule, group: Group, row: Binding, told: Told) -> bool:
        """Tell the first row of an inner group that agrees with the outer one; whether there is any."""
        inner = exposed(group)
        for found in self._rows(rule, inner, row, 1):
            self._walk(rule, inner, {**row, **found}, told)
            return True
        return False

    def _look(self, group: Group, row: Binding, told: Told) -> None:
        """What the triples of a group inside a condition match."""
        patterns = [t for p in group.parts if p.kind == "triples" for t in _triples(p.text)]
        told.looked.update(dict.fromkeys(matches(self.view, patterns, row) or ()))

    def _selected(self, rule: Rule, part: Part, row: Binding, told: Told) -> None:
        shared = {n: t for n, t in row.items() if n in (part.keys if part.aggregated else part.selected)}
        inner = part.groups[0] if part.aggregated else exposed(part.groups[0])
        if not part.aggregated:
            for found in self._rows(rule, inner, shared, 1):
                self._walk(rule, inner, {**shared, **found}, told)
            return
        rows = self._rows(rule, inner, shared, 10_000)
        results = ", ".join(f"?{n} = {_short(row[n])}" for n in sorted(part.selected - part.keys) if n in row)
        size = f"{len(rows)} row{'s' if len(rows) != 1 else ''}"
        told.counted.append(f"{results or 'a group'} over {size} of {{ {_filled(inner.text, shared)} }}")
        for found in rows[:ROWS]:
            self._walk(rule, inner, {**shared, **found}, told)
        if len(rows) > ROWS:
            told.counted.append(f"and {len(rows) - ROWS} rows more")

    # -- what is not there --------------------------------------------------------------------------------------------
    def _nearly(self, rule: Rule, triple: ox.Triple) -> Iterator[Nearly]:
        if rule.purpose != "derive":
            return
        group = self._where(rule)
        for given in _heads(rule, triple):
            held: list[Part] = []
            for part in sorted(group.parts, key=lambda p: p.kind in ("filter", "not exists", "minus")):
                body = " ".join(p.text for p in (*held, part))
                known = {n: t for n, t in given.items() if f"?{n}" in body}
                if self._select(rule, body, known, 1):
                    held.append(part)
                    continue
                found: tuple[ox.Triple, ...] = ()
                if part.kind in ("not exists", "minus"):
                    told = Told()
                    for row in self._select(rule, " ".join(p.text for p in held), known, 1):
                        self._inside(rule, part.groups[0], {**row, **given}, told)
                    found = tuple(told.premises)[:ROWS]
                yield Nearly(rule, _filled(part.text, given), len(held), len(group.parts), found)
                break


def _applied(triple: ox.Triple, rule: str, premises: tuple[Derivation, ...], row: Binding, told: Told) -> Applied:
    return Applied(
        triple, rule, premises, tuple(sorted(row.items())), tuple(told.absent), tuple(told.counted),
        tuple(told.conditions),
    )  # fmt: skip


def _is_cut(one: Derivation) -> bool:
    return (isinstance(one, Applied) and one.cut) or any(_is_cut(p) for p in one.premises)


@lru_cache(maxsize=512)
def _exposed(text: str, place: str) -> Group:
    return exposed(where_of(expanded(text, PREFIXES, place=place)))


@lru_cache(maxsize=1024)
def _triples(text: str) -> tuple[tuple[object, object, object], ...]:
    """Patterns of a block of triples, as rdflib reads them."""
    n = algebra.parse(f"SELECT * WHERE {{ {text} }}").p.p
    found: list[tuple[object, object, object]] = []
    todo = [n]
    while todo:
        one = todo.pop()
        if one.name == "BGP":
            found += one.triples
        else:
            todo += [one[k] for k in ("p", "p1", "p2") if one.get(k) is not None]
    return tuple(found)


def _heads(rule: Rule, triple: ox.Triple) -> list[dict[str, Term]]:
    """Values under which a head of the rule is the triple; empty when none can be."""
    out: list[dict[str, Term]] = []
    for head in analyse(rule.text, rule.functions).heads:
        given: dict[str, Term] = {}
        for wanted, term in zip(
            (head.subject, head.predicate, head.object), (triple.subject, triple.predicate, triple.object), strict=True
        ):
            assert isinstance(term, Term)
            if isinstance(wanted, str):
                if given.setdefault(wanted, term) != term:
                    break
            elif wanted != term and not _same_value(wanted, term):
                break
        else:
            out.append(given)
    return out


def _same_value(written: Term, stored: Term) -> bool:
    """Whether a literal of a template is the one the store keeps (`01` is kept as `1`)."""
    if not (isinstance(written, ox.Literal) and isinstance(stored, ox.Literal)) or written.datatype != stored.datatype:
        return False
    return bool(ox.Store().query(f"ASK {{ FILTER({written} = {stored}) }}"))


def _filled(text: str, row: Mapping[str, Term]) -> str:
    return renamed(text, {n: _short(t) for n, t in row.items()}).removesuffix(" .")


def _short(term: Term) -> str:
    return str(term)
