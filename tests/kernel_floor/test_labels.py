"""Blank-node labels: input names never matter, meaning is kept, an edit leaves other descriptions alone."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.graph.labels import Existing, relabel_delta, skolem, stable_labels, unskolem

PREDICATES = [ox.NamedNode(f"urn:p{i}") for i in range(2)]
IRIS = [ox.NamedNode(f"urn:i{i}") for i in range(2)]
VALUES = [*IRIS, ox.Literal("v"), ox.Literal("a\nb")]
FIRST = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#first")
REST = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#rest")
NIL = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#nil")


def blank(name: object) -> ox.BlankNode:
    return ox.BlankNode(f"x{name}")


def triples_over(blanks: Sequence[ox.BlankNode]) -> st.SearchStrategy[list[ox.Triple]]:
    node = st.sampled_from(list(blanks))
    one = st.one_of(
        st.builds(ox.Triple, node, st.sampled_from(PREDICATES), node),
        st.builds(ox.Triple, node, st.sampled_from(PREDICATES), st.sampled_from(VALUES)),
        st.builds(ox.Triple, st.sampled_from(IRIS), st.sampled_from(PREDICATES), node),
    )
    return st.lists(one, max_size=12)


graphs = triples_over([blank(i) for i in range(6)])


@st.composite
def forests(draw: st.DrawFn) -> list[ox.Triple]:
    """Tree-shaped descriptions with a few values, so that duplicates of every depth occur."""
    triples = []
    size = draw(st.integers(1, 10))
    for i in range(size):
        parent = draw(
            st.one_of(st.sampled_from(IRIS), st.integers(0, i - 1).map(blank) if i else st.sampled_from(IRIS))
        )
        triples.append(ox.Triple(parent, draw(st.sampled_from(PREDICATES)), blank(i)))
        if draw(st.booleans()):
            triples.append(ox.Triple(blank(i), draw(st.sampled_from(PREDICATES)), draw(st.sampled_from(VALUES[:3]))))
    return triples


anything = st.one_of(graphs, forests())


def blanks(triples: Iterable[ox.Triple]) -> set[ox.BlankNode]:
    return {x for t in triples for x in (t.subject, t.object) if isinstance(x, ox.BlankNode)}


def renamed(triples: Iterable[ox.Triple], name: Callable[[ox.BlankNode], object]) -> list[ox.Triple]:
    def term(x: object) -> object:
        return name(x) if isinstance(x, ox.BlankNode) else x

    return [ox.Triple(term(t.subject), t.predicate, term(t.object)) for t in triples]  # type: ignore[arg-type]


def shuffled(triples: Iterable[ox.Triple], seed: int) -> list[ox.Triple]:
    rng = random.Random(seed)
    triples = list(triples)
    names = [ox.BlankNode(f"n{rng.random()}".replace(".", "")) for _ in blanks(triples)]
    mapping = dict(zip(sorted(blanks(triples), key=str), names, strict=True))
    triples = renamed(triples, mapping.__getitem__)
    rng.shuffle(triples)
    return triples


def canonical_form(triples: Iterable[ox.Triple]) -> set[ox.Quad]:
    dataset = ox.Dataset(ox.Quad(t.subject, t.predicate, t.object) for t in triples)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return set(dataset)


def maps_into(source: Iterable[ox.Triple], target: Iterable[ox.Triple]) -> bool:
    """Naive simple entailment: some assignment of the source's blank nodes makes each triple one of the target's."""
    target = list(target)
    todo = sorted(set(source), key=str)

    def search(index: int, chosen: dict[object, object]) -> bool:
        if index == len(todo):
            return True
        triple = todo[index]
        for candidate in target:
            if candidate.predicate != triple.predicate:
                continue
            now = dict(chosen)
            for have, want in ((triple.subject, candidate.subject), (triple.object, candidate.object)):
                if isinstance(have, ox.BlankNode):
                    if now.setdefault(have, want) != want:
                        break
                elif have != want:
                    break
            else:
                if search(index + 1, now):
                    return True
        return False

    return search(0, {})


def of(triples: Iterable[ox.Triple]) -> Existing:
    """A graph as the kernel offers it to `relabel_delta`."""
    store = ox.Store()
    store.extend(ox.Quad(t.subject, t.predicate, t.object) for t in triples)

    def existing(s: object, p: ox.NamedNode | None, o: object) -> Iterator[ox.Triple]:
        return (q.triple for q in store.quads_for_pattern(s, p, o, None))  # type: ignore[arg-type]

    return existing


@given(anything, st.integers())
def test_labels_stay_when_input_is_renamed_and_reordered(triples: list[ox.Triple], seed: int) -> None:
    result = set(stable_labels(triples))
    assert set(stable_labels(shuffled(triples, seed))) == result
    assert all(re.fullmatch("b[0-9a-f]{40}", node.value) for node in blanks(result))


@given(anything)
def test_labels_are_a_fixpoint_when_applied_again(triples: list[ox.Triple]) -> None:
    result = stable_labels(triples)
    assert len(set(result)) == len(result)
    assert set(stable_labels(result)) == set(result)


@given(anything)
def test_meaning_is_kept_when_nodes_are_merged(triples: list[ox.Triple]) -> None:
    """Without merges the result is isomorphic to the input; with merges each simply entails the other."""
    result = stable_labels(triples)
    if len(blanks(result)) == len(blanks(triples)):
        assert canonical_form(result) == canonical_form(triples)
    else:
        assert len(blanks(result)) < len(blanks(triples))
        assert maps_into(result, triples)
        assert maps_into(triples, result)


@given(graphs, triples_over([blank(i) for i in range(10, 14)]))
def test_other_descriptions_keep_labels_when_one_is_added(one: list[ox.Triple], two: list[ox.Triple]) -> None:
    """The labels of a union are the union of the labels: descriptions do not see each other."""
    assert set(stable_labels(one + two)) == set(stable_labels(one)) | set(stable_labels(two))


@given(anything, st.data())
def test_delta_gives_labels_of_new_state_when_relabelled(before: list[ox.Triple], data: st.DataObject) -> None:
    old = set(stable_labels(before))
    known = sorted(blanks(old), key=str)
    pool = triples_over([*known, blank("fresh1"), blank("fresh2")])
    removed = data.draw(st.lists(st.sampled_from(sorted(old, key=str)), max_size=4) if old else st.just([]))
    removed += data.draw(pool)[:2]
    added = data.draw(pool)[:5]
    gone, come = relabel_delta(of(old), removed, added)
    assert set(gone) <= old, "only what is there goes"
    assert not set(come) & old, "only what is not there comes"
    assert (old - set(gone)) | set(come) == set(stable_labels((old - set(removed)) | set(added)))
    assert len(gone) == len(set(gone))
    assert len(come) == len(set(come))


def offer(number: int, price: int) -> list[ox.Triple]:
    offer, price_node, unit = ox.NamedNode(f"urn:offer{number}"), blank(f"p{number}"), blank(f"u{number}")
    return [
        ox.Triple(offer, PREDICATES[0], price_node),
        ox.Triple(price_node, PREDICATES[0], ox.Literal(str(price))),
        ox.Triple(price_node, PREDICATES[1], unit),
        ox.Triple(unit, PREDICATES[0], ox.Literal("hour")),
    ]


def test_neighbours_keep_labels_when_one_description_is_edited() -> None:
    old = stable_labels([t for n in range(20) for t in offer(n, 5)])
    assert len(blanks(old)) == 40
    (price,) = (
        t
        for t in old
        if t.object == ox.Literal("5") and ox.Triple(ox.NamedNode("urn:offer7"), PREDICATES[0], t.subject) in old
    )
    gone, come = relabel_delta(of(old), [price], [ox.Triple(price.subject, PREDICATES[0], ox.Literal("6"))])
    assert len(gone) == len(come) == 4
    assert set(old) - set(gone) | set(come) == set(
        stable_labels([t for n in range(20) for t in offer(n, 6 if n == 7 else 5)])
    )


def test_second_import_changes_nothing_when_it_brings_fresh_labels() -> None:
    data = [t for n in range(5) for t in offer(n, n)]
    old = stable_labels(data)
    assert relabel_delta(of(old), [], shuffled(data, 3)) == ([], [])


def test_nodes_stay_apart_when_only_their_parents_differ() -> None:
    """The counterexample to labels made of own subtree and path: both inner nodes have the same of each."""
    a, b, inner_a, inner_b = (blank(i) for i in range(4))
    p, q = PREDICATES
    triples = [
        ox.Triple(IRIS[0], p, a), ox.Triple(a, p, inner_a), ox.Triple(a, q, ox.Literal("1")),
        ox.Triple(IRIS[0], p, b), ox.Triple(b, p, inner_b), ox.Triple(b, q, ox.Literal("2")),
        ox.Triple(inner_a, q, ox.Literal("v")), ox.Triple(inner_b, q, ox.Literal("v")),
    ]  # fmt: skip
    assert canonical_form(stable_labels(triples)) == canonical_form(triples)


def test_duplicates_become_one_when_they_say_the_same_at_any_depth() -> None:
    p, q = PREDICATES
    one = [ox.Triple(IRIS[0], p, blank(0)), ox.Triple(blank(0), p, blank(1)), ox.Triple(blank(1), q, ox.Literal("v"))]
    two = renamed(one, lambda node: ox.BlankNode(node.value + "copy"))
    assert len(stable_labels(one + two)) == 3
    inner = [*one, *renamed(one[2:], lambda _: blank(2)), ox.Triple(blank(0), p, blank(2))]
    assert set(stable_labels(inner)) == set(stable_labels(one))


def test_nodes_stay_apart_when_their_equal_children_are_known_from_elsewhere() -> None:
    p, q = PREDICATES
    top, left, right, under_left, under_right = (blank(i) for i in range(5))
    triples = [
        ox.Triple(IRIS[0], p, top), ox.Triple(top, p, left), ox.Triple(top, p, right),
        ox.Triple(left, q, under_left), ox.Triple(right, q, under_right),
        ox.Triple(under_left, q, ox.Literal("v")), ox.Triple(under_right, q, ox.Literal("v")),
        ox.Triple(IRIS[0], q, under_left), ox.Triple(IRIS[1], q, under_right),
    ]  # fmt: skip
    assert canonical_form(stable_labels(triples)) == canonical_form(triples)


def chain(size: int, value: Callable[[int], ox.Literal]) -> list[ox.Triple]:
    cells = [blank(i) for i in range(size)]
    triples = [ox.Triple(IRIS[0], PREDICATES[0], cells[0])]
    for here, after, i in zip(cells, [*cells[1:], NIL], range(size), strict=True):
        triples += [ox.Triple(here, FIRST, value(i)), ox.Triple(here, REST, after)]
    return triples


@pytest.mark.parametrize("value", [lambda i: ox.Literal(str(i)), lambda _: ox.Literal("same")])
def test_long_list_is_labelled_when_it_has_thousands_of_cells(value: Callable[[int], ox.Literal]) -> None:
    triples = chain(5000, value)
    result = stable_labels(triples)
    assert len(result) == len(triples)
    assert len(blanks(result)) == 5000
    assert set(stable_labels(shuffled(triples, 1))) == set(result)


def test_doubly_linked_ring_is_labelled_when_nodes_differ() -> None:
    n = 1000
    ring = [ox.Triple(blank(i), PREDICATES[0], blank((i + 1) % n)) for i in range(n)]
    ring += [ox.Triple(blank(i), PREDICATES[1], ox.Literal(str(i))) for i in range(n)]
    result = stable_labels(ring)
    assert len(blanks(result)) == n
    assert set(stable_labels(shuffled(ring, 2))) == set(result)


def clique(size: int) -> list[ox.Triple]:
    return [ox.Triple(blank(i), PREDICATES[0], blank(j)) for i in range(size) for j in range(size) if i != j]


def test_symmetric_nodes_stay_apart_when_rdfc_can_tell() -> None:
    for triples in (clique(2), clique(4), [*clique(3), ox.Triple(IRIS[0], PREDICATES[0], blank(1))]):
        result = stable_labels(triples)
        assert canonical_form(result) == canonical_form(triples)
        assert set(stable_labels(shuffled(triples, 5))) == set(result)


def test_hostile_clique_is_refused_when_rdfc_would_not_end() -> None:
    harmless = offer(1, 1)
    with pytest.raises(InputError, match="too much alike") as caught:
        stable_labels(harmless + clique(24))
    assert "give them IRIs" in caught.value.remedy
    assert "RDFC-1.0" in caught.value.rule
    assert "_:x" in caught.value.place


def test_description_is_refused_when_too_large() -> None:
    triples = chain(12, lambda i: ox.Literal(str(i)))
    with pytest.raises(InputError, match="too many"):
        stable_labels(triples, limit=11)
    old = stable_labels(triples)
    edit = [ox.Triple(next(iter(blanks(old))), PREDICATES[1], ox.Literal("x"))]
    with pytest.raises(InputError, match="too many"):
        relabel_delta(of(old), [], edit, limit=11)
    assert relabel_delta(of(old), [], edit, limit=12)[1]


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_list_edit_touches_its_own_list_only_when_others_are_near(seed: int) -> None:
    rng = random.Random(seed)
    lists = [
        renamed(chain(8, lambda i, n=n: ox.Literal(f"{n}{i}")), lambda x, n=n: ox.BlankNode(f"{x.value}l{n}"))
        for n in range(3)
    ]  # type: ignore[misc]
    old = set(stable_labels([t for one in lists for t in one]))
    kept = set(stable_labels(lists[0])) | set(stable_labels(lists[1]))
    cell = rng.choice(sorted((t for t in old - kept if t.predicate == FIRST), key=str))
    gone, _ = relabel_delta(of(old), [cell], [ox.Triple(cell.subject, FIRST, ox.Literal("new"))])
    assert gone
    assert not set(gone) & kept


def test_genid_names_the_node_when_turned_both_ways() -> None:
    (node,) = blanks(stable_labels([ox.Triple(blank(0), PREDICATES[0], IRIS[0])]))
    iri = skolem(node, "https://example.org/some/base#x")
    assert iri.value == f"https://example.org/.well-known/genid/{node.value}"
    assert unskolem(iri) == node
    for other in (IRIS[0], ox.Literal(iri.value), ox.NamedNode("https://example.org/.well-known/genid/other")):
        assert unskolem(other) == other
    with pytest.raises(InputError, match="authority"):
        skolem(node, "urn:x")
