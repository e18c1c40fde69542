"""Explanations of derived triples: sound, complete, bounded."""

from __future__ import annotations

import random

import pyoxigraph as ox
import pytest

from reasoners.derive import Deriver, MemoryWorkspace, Pending, Rule
from reasoners.derive.derivation import Derivation
from reasoners.derive.why import Applied, Explainer
from reasoners.derive.workspace import ASSERTED, derived_graph, quad
from reasoners.errors import InputError
from reasoners.sparql.functions import functions_of, inlined

EX = "http://ex.org/"
PROLOGUE = f"PREFIX : <{EX}> PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> "


def iri(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def fact(text: str) -> ox.Triple:
    """`a p b`, `a p 3` as a triple."""
    s, p, o = text.split()
    return ox.Triple(iri(s), iri(p), ox.Literal(int(o)) if o.lstrip("-").isdigit() else iri(o))


def rule(name: str, text: str) -> Rule:
    head = text.partition("{")[2].split()[1].removeprefix(":")
    return Rule(iri(name), PROLOGUE + text, frozenset({EX + head}), label=name)


class World:
    """Rules over asserted facts, and what explains them."""

    def __init__(self, rules: list[Rule], facts: list[str] | list[ox.Triple]) -> None:
        self.deriver = Deriver(rules)
        self.work = MemoryWorkspace()
        triples = [fact(f) if isinstance(f, str) else f for f in facts]
        self.deriver.run(self.work, Pending(), self.work.change([], triples)[1])

    def explainer(self, depth: int = 40) -> Explainer:
        store = self.work.store
        return Explainer(
            self.work.view, self.deriver.rules, lambda t: quad(t, ASSERTED) in store,
            lambda t: [r.iri for r in self.deriver.rules if quad(t, derived_graph(r.iri)) in store], depth=depth,
        )  # fmt: skip

    def why(self, text: str) -> Applied:
        (one,) = self.explainer().explain(fact(text))
        assert isinstance(one, Applied)
        return one


def leaves(one: Derivation) -> set[str]:
    return {" ".join(x.value.removeprefix(EX) for x in (t.subject, t.predicate, t.object)) for t in one.leaves()}  # type: ignore[union-attr]


FACTS = ["a p b", "b p c", "c p d", "a q 3", "b q 5", "c q 1", "a r b", "b r b", "d q 4"]
PARTS: dict[str, tuple[str, str, set[str], str]] = {
    "patterns": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x . ?x :q ?o }", "a h 5", {"a p b", "b q 5"}, ""),
    "path": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p+/:q ?o }", "a h 4", {"a p b", "b p c", "c p d", "d q 4"}, ""),
    "shortest path": ("CONSTRUCT { ?s :h ?o } WHERE { ?s (:p|:r)+ ?o }", "a h c", {"a p b", "b p c"}, ""),
    "inverse path": ("CONSTRUCT { ?s :h ?o } WHERE { ?s ^:p/:q ?o }", "b h 3", {"a p b", "a q 3"}, ""),
    "exists": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER EXISTS { ?o :q ?v FILTER(?v > 3) } }", "a h b",
               {"a p b", "b q 5"}, ""),
    "two of the same name": (
        "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER EXISTS { ?s :q ?z } FILTER EXISTS { ?o :q ?z } }", "a h b",
        {"a p b", "a q 3", "b q 5"}, ""),
    "not exists": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o FILTER NOT EXISTS { ?o :r ?z } }", "b h c", {"b p c"},
                   f"<{EX}c> <{EX}r> ?z"),
    "minus": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o MINUS { ?s :r ?o } }", "b h c", {"b p c"}, f"<{EX}b> <{EX}r> <{EX}c>"),
    "optional that is there": ("CONSTRUCT { ?s :h ?v } WHERE { ?s :p ?o OPTIONAL { ?o :q ?w } BIND(COALESCE(?w, 0) AS ?v) }",
                               "a h 5", {"a p b", "b q 5"}, ""),
    "optional that is not": ("CONSTRUCT { ?s :h ?v } WHERE { ?s :r ?o OPTIONAL { ?s :z ?w } BIND(COALESCE(?w, 0) AS ?v) }",
                             "a h 0", {"a r b"}, f"<{EX}a> <{EX}z> ?w"),
    "union": ("CONSTRUCT { ?s :h ?o } WHERE { { ?s :z ?o } UNION { ?s :p ?x . ?x :p ?o } }", "a h c", {"a p b", "b p c"}, ""),
    "count": ("CONSTRUCT { ?s :h ?n } WHERE { { SELECT ?s (COUNT(?x) AS ?n) WHERE { ?s :p|:r ?x } GROUP BY ?s } }", "b h 2",
              {"b p c", "b r b"}, "?n = "),
    "maximum": ("CONSTRUCT { :top :h ?m } WHERE { { SELECT (MAX(?v) AS ?m) WHERE { ?s :q ?v } } }", "top h 5",
                {"a q 3", "b q 5", "c q 1", "d q 4"}, "over 4 rows"),
    "sub-select": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o . { SELECT ?o WHERE { ?o :q ?any FILTER(?any < 2) } } }", "b h c",
                   {"b p c", "c q 1"}, ""),
    "blank nodes": ("CONSTRUCT { ?s :h ?o } WHERE { [] :p ?s . ?s :p [ :q ?o ] }", "b h 1", {"a p b", "b p c", "c q 1"}, ""),
    "values": ("CONSTRUCT { ?s :h ?o } WHERE { VALUES ?s { :a :c } ?s :p ?o }", "c h d", {"c p d"}, ""),
    "any predicate": ("CONSTRUCT { ?s :h ?o } WHERE { ?s ?p :b . ?s :q ?o }", "a h 3", {"a q 3", "a p b"}, ""),
    "condition": ("CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?o . ?s :q ?v FILTER(?v > 2) }", "a h b", {"a p b", "a q 3"}, "> 2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PARTS)
def test_each_part_of_a_rule_is_told(kind: str) -> None:
    text, triple, expected, note = PARTS[kind]
    one = World([rule("r", text)], FACTS).why(triple)
    assert leaves(one) == expected
    assert note in " ".join((*one.absent, *one.counted, *one.conditions))
    assert one.rule == EX + "r"


def test_bindings_say_which_row_it_was() -> None:
    one = World([rule("r", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x . ?x :q ?o }")], FACTS).why("a h 5")
    assert dict(one.bindings) == {"s": iri("a"), "x": iri("b"), "o": ox.Literal(5)}


def test_derivation_goes_down_through_rules_and_never_through_itself() -> None:
    rules = [
        rule("edge", "CONSTRUCT { ?s :t ?o } WHERE { ?s :p ?o }"),
        rule("far", "CONSTRUCT { ?s :t ?o } WHERE { ?s :t ?x . ?x :t ?o }"),
        rule("same", "CONSTRUCT { ?s :t ?o } WHERE { ?o :t ?s }"),
    ]
    world = World(rules, ["a p b", "b p c", "c p a", "c p d"])
    for triple in world.work.view.triples(None, iri("t"), None):
        (one,) = world.explainer().explain(triple)
        check(one, world, ())


def check(one: Derivation, world: World, above: tuple[ox.Triple, ...]) -> None:
    """Each step holds, rests on nothing above it, and ends in what is asserted."""
    assert one.triple not in above
    assert one.triple in world.work.view
    if one.asserted:
        assert quad(one.triple, ASSERTED) in world.work.store
        return
    assert isinstance(one, Applied)
    assert not one.cut
    assert quad(one.triple, derived_graph(ox.NamedNode(one.rule))) in world.work.store
    alone = Deriver([r for r in world.deriver.rules if r.iri.value == one.rule])
    if not one.absent and not one.counted:
        again = alone.full(MemoryWorkspace([p.triple for p in one.premises]).view)
        assert one.triple in set().union(*again.values()), "the premises alone give the conclusion"
    for premise in one.premises:
        check(premise, world, (*above, one.triple))


BODIES = (
    "?s :{a} ?o", "?s :{a} ?x . ?x :{b} ?o", "?o :{a} ?s . ?s :{b} ?z", "?s :{a}/:{b}* ?o", "?s (:{a}|^:{b})+ ?o",
    "?s :{a} ?o FILTER EXISTS {{ ?o :{b} ?z . ?z :{c} ?w }}", "?s :{a} ?o FILTER NOT EXISTS {{ ?o :{b} ?z }}",
    "{{ ?s :{a} ?o }} UNION {{ ?o :{b} ?s . ?o :{c} ?z }}", "?s :{a} ?o MINUS {{ ?s :{b} ?z }}",
    "?s :{a} ?x OPTIONAL {{ ?x :{b} ?y }} BIND(COALESCE(?y, ?x) AS ?o)",
    "{{ SELECT ?s (COUNT(DISTINCT ?x) AS ?o) WHERE {{ ?s :{a} ?x }} GROUP BY ?s }}",
    "?s :{a} ?o . {{ SELECT ?o WHERE {{ ?o :{b} ?z }} }}", "?s :{h} ?x . ?x :{a} ?o", "?o :{h} ?s",
)  # fmt: skip


def test_every_derived_triple_has_a_sound_derivation_when_rules_are_random(effort: int) -> None:
    explained = 0
    for seed in range(12 * effort):
        rng = random.Random(f"why {seed}")
        rules: list[Rule] = []
        for number in range(5):
            names = {k: rng.choice("pqrhij") for k in "abc"} | {"h": rng.choice("hij")}
            text = f"CONSTRUCT {{ ?s :{names['h']} ?o }} WHERE {{ {rng.choice(BODIES).format(**names)} }}"
            try:
                Deriver([*rules, rule(f"r{number}", text)])
            except InputError:
                continue
            rules.append(rule(f"r{number}", text))
        facts = {f"n{rng.randrange(5)} {rng.choice('pqr')} n{rng.randrange(5)}" for _ in range(9)}
        world = World(rules, sorted(facts))
        derived = sorted(set().union(*world.work.derived().values()), key=str)
        for triple in rng.sample(derived, min(len(derived), 8)):
            found = world.explainer().explain(triple, 3)
            assert found, f"seed {seed}: {triple}\n" + "\n".join(r.text for r in rules)
            for one in found:
                check(one, world, ())
            explained += 1
    assert explained > 40 * effort


def test_alternatives_are_different_and_bounded() -> None:
    world = World([rule("r", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x . ?x :p ?o }")],
                  [f"a p m{i}" for i in range(6)] + [f"m{i} p z" for i in range(6)])  # fmt: skip
    found = world.explainer().explain(fact("a h z"), 4)
    assert len({str(sorted(leaves(one))) for one in found}) == 4


def test_depth_cuts_a_long_chain_and_says_so() -> None:
    rules = [
        rule("edge", "CONSTRUCT { ?s :t ?o } WHERE { ?s :p ?o }"),
        rule("far", "CONSTRUCT { ?s :t ?o } WHERE { ?s :p ?x . ?x :t ?o }"),
    ]
    world = World(rules, [f"n{i} p n{i + 1}" for i in range(30)])
    (one,) = world.explainer(depth=5).explain(fact("n0 t n30"))
    deepest, todo = 0, [(one, 1)]
    cuts = 0
    while todo:
        node, level = todo.pop()
        deepest = max(deepest, level)
        cuts += isinstance(node, Applied) and node.cut
        todo += [(p, level + 1) for p in node.premises]
    assert cuts == 1
    assert deepest == 6
    (whole,) = world.explainer(depth=40).explain(fact("n0 t n30"))
    assert len(leaves(whole)) == 30


def test_nothing_is_explained_that_is_not_there_and_the_nearest_rule_says_what_it_lacks() -> None:
    rules = [
        rule("near", "CONSTRUCT { ?s :h ?o } WHERE { ?s :p ?x . ?x :q ?o FILTER NOT EXISTS { ?s :r ?z } }"),
        rule("far", "CONSTRUCT { ?s :h ?o } WHERE { ?s :z ?x . ?x :q ?o }"),
    ]
    explainer = World(rules, FACTS).explainer()
    assert explainer.explain(fact("a h 5")) == []
    near, far = explainer.nearly(fact("a h 5"))
    assert near.rule.name == "near"
    assert near.found == (fact("a r b"),)
    assert (far.rule.name, far.held) == ("far", 0)
    assert explainer.nearly(fact("a k 5")) == []


def test_function_that_is_called_back_is_evaluated_in_an_explanation() -> None:
    text = f"""@prefix sh: <http://www.w3.org/ns/shacl#> . <{EX}n> a sh:SPARQLFunction ; sh:parameter [ sh:path <{EX}x> ] ;
      sh:select "SELECT (COUNT(?o) AS ?result) WHERE {{ $x <{EX}p> ?o }}" ."""
    graph = MemoryWorkspace([q.triple for q in ox.parse(text, format=ox.RdfFormat.TURTLE)])
    functions = functions_of(graph.view)
    body, left = inlined(f"CONSTRUCT {{ ?s <{EX}h> ?n }} WHERE {{ ?s <{EX}q> ?v BIND(<{EX}n>(?s) AS ?n) }}", functions)
    one = Rule(iri("r"), body, frozenset({EX + "h"}), functions=tuple(functions[f] for f in left))
    told = World([one], FACTS).why("a h 1")
    assert leaves(told) == {"a q 3"}
