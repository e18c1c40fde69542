"""Importing: good records go in, bad ones are named, and running again changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalogue.cloud import CloudCatalogue
from engine.catalogue.importer import ImportReport, run_import
from engine.catalogue.rdf_files import read_file
from engine.catalogue.records import Record, integer
from engine.errors import BusyError, InputError

TYPE = ox.NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
THING, SIZE, NEXT = (ox.NamedNode(f"urn:e:{n}") for n in ("Thing", "size", "next"))
MESSAGE = "A thing needs one whole size: add e:size."


def thing(graph: str, number: int, *sizes: int) -> Record:
    node = ox.NamedNode(f"{graph}/thing/{number}")
    sized = (ox.Triple(node, SIZE, integer(size)) for size in sizes)
    return Record(f"thing {number}", (ox.Triple(node, TYPE, THING), *sized), complete=True)


def test_bad_records_are_named_and_good_ones_go_in(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    records = [thing(graph, n, *(() if n in {3, 40} else (n, n + 1) if n == 7 else (n,))) for n in range(50)]
    report = run_import(kb, records, graph=graph)
    assert [(r.name, r.message) for r in report.refused] == [(f"thing {n}", MESSAGE) for n in (3, 7, 40)]
    assert all(r.shape == "urn:e:ThingShape-size" for r in report.refused)
    assert (report.records, report.accepted) == (50, 47)
    good = {t for n, r in enumerate(records) for t in r.triples if n not in {3, 7, 40}}
    assert kb.triples() == good
    assert report.added == len(good)


@given(bad=st.sets(st.integers(0, 11), max_size=4), anonymous=st.booleans())
def test_exactly_the_bad_records_stay_out(
    target: Callable[..., Any], graph: str, bad: set[int], anonymous: bool
) -> None:
    kb = target(anonymous=anonymous)  # anonymous: the gate does not say which node; the importer has to search
    report = run_import(kb, [thing(graph, n, *([] if n in bad else [n])) for n in range(12)], graph=graph)
    assert sorted(int(r.name.split()[1]) for r in report.refused) == sorted(bad)
    assert report.accepted == 12 - len(bad)
    assert {t.subject for t in kb.triples()} == {ox.NamedNode(f"{graph}/thing/{n}") for n in set(range(12)) - bad}


def test_nothing_is_written_and_all_bad_are_listed_when_all_or_nothing(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    records = [thing(graph, n, *([] if n in {3, 40} else [n])) for n in range(50)]
    report = run_import(kb, records, graph=graph, all_or_nothing=True)
    assert [r.name for r in report.refused] == ["thing 3", "thing 40"]
    assert (report.accepted, report.added, len(kb.store)) == (0, 0, 0)
    report = run_import(
        kb, [r for r in records if r.name not in {"thing 3", "thing 40"}], graph=graph, all_or_nothing=True
    )
    assert (report.refused, report.accepted, report.chunks) == ([], 48, 1)


def test_error_without_results_is_told_when_all_or_nothing(target: Callable[..., Any], graph: str) -> None:
    report = run_import(target(anonymous=True), [thing(graph, 1)], graph=graph, all_or_nothing=True)
    assert [r.message for r in report.refused] == ["something is wrong"]


@pytest.mark.parametrize("with_view", [True, False])
def test_second_run_commits_nothing(target: Callable[..., Any], graph: str, with_view: bool) -> None:
    kb = target(shapes="")
    catalogue = CloudCatalogue(graph, regions=["eu-west-1", "westeurope"])
    view = kb.view if with_view else None
    first = run_import(kb, catalogue.records(), graph=graph, current=view, skipped=catalogue.left_out)
    before = kb.triples()
    assert first.added == len(before) == sum(len(r.triples) for r in catalogue.records())
    second = run_import(kb, catalogue.records(), graph=graph, current=view)
    assert (second.chunks, second.added, second.removed, second.refused) == (0, 0, 0, [])
    assert second.accepted == first.accepted == len(catalogue)
    assert kb.triples() == before
    assert first.skipped == catalogue.left_out


@given(st.integers(0, 8))
def test_killed_import_is_completed_by_the_next_run(target: Callable[..., Any], graph: str, dies_at: int) -> None:
    records = [thing(graph, n, n) for n in range(300)]
    kb = target(shapes="", dies_at=dies_at)
    try:
        run_import(kb, records, graph=graph)
    except KeyboardInterrupt:
        assert len(kb.triples()) < 600
    kb.dies_at = None
    report = run_import(kb, records, graph=graph)
    assert report.accepted == 300
    assert kb.triples() == {t for r in records for t in r.triples}


def test_changed_value_replaces_the_old_one_when_the_state_is_known(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    run_import(kb, [thing(graph, 1, 5), thing(graph, 2, 5)], graph=graph, current=kb.view)
    report = run_import(kb, [thing(graph, 1, 6), thing(graph, 2, 5)], graph=graph, current=kb.view)
    assert (report.added, report.removed, report.refused) == (1, 1, [])
    assert kb.triples() == {*thing(graph, 1, 6).triples, *thing(graph, 2, 5).triples}
    adding = run_import(kb, [thing(graph, 1, 7)], graph=graph)
    assert [r.message for r in adding.refused] == [MESSAGE]  # without the state it would be a second size


def test_incomplete_record_only_adds(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    run_import(kb, [thing(graph, 1, 5)], graph=graph, current=kb.view)
    more = ox.Triple(ox.NamedNode(f"{graph}/thing/1"), NEXT, ox.NamedNode("urn:e:end"))
    report = run_import(kb, [Record("more", (more,))], graph=graph, current=kb.view)
    assert (report.added, report.removed) == (1, 0)
    assert kb.triples() == {*thing(graph, 1, 5).triples, more}


def test_old_value_stays_when_the_new_one_is_refused(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    run_import(kb, [thing(graph, 1, 5)], graph=graph, current=kb.view)
    report = run_import(kb, [thing(graph, 1)], graph=graph, current=kb.view)
    assert [r.name for r in report.refused] == ["thing 1"]
    assert kb.triples() == set(thing(graph, 1, 5).triples)


def test_vanished_records_are_removed_only_within_the_pruned_scope(target: Callable[..., Any], graph: str) -> None:
    kb = target(shapes="")
    outside = Record("outside", (ox.Triple(ox.NamedNode(f"{graph}/kept"), SIZE, integer(1)),))
    run_import(kb, [*(thing(graph, n, n) for n in range(40)), outside], graph=graph, current=kb.view)
    left = [thing(graph, n, n) for n in range(0, 40, 2)]
    kept = run_import(kb, left, graph=graph, current=kb.view)
    assert (kept.removed, kept.pruned) == (0, 0)
    pruned = run_import(kb, left, graph=graph, current=kb.view, prune=[f"{graph}/thing/"])
    assert (pruned.pruned, pruned.removed) == (20, 40)
    assert kb.triples() == {t for r in [*left, outside] for t in r.triples}
    with pytest.raises(InputError, match="current state"):
        run_import(kb, left, graph=graph, prune=[f"{graph}/thing/"])


def test_nothing_is_pruned_when_all_or_nothing_is_refused(target: Callable[..., Any], graph: str) -> None:
    kb = target()
    run_import(kb, [thing(graph, 1, 1), thing(graph, 2, 2)], graph=graph, current=kb.view)
    run_import(kb, [thing(graph, 3)], graph=graph, current=kb.view, prune=[f"{graph}/"], all_or_nothing=True)
    assert len(kb.triples()) == 4


def test_chunks_grow_and_shrink_with_the_time_that_commits_take(
    target: Callable[..., Any], graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("engine.catalogue.importer.time.perf_counter", lambda: clock[0])
    kb = target(shapes="")
    cost = [0.0001]
    commit = kb.commit

    def slow(graph: str, added: Any, removed: Any = (), **rest: Any) -> Any:
        clock[0] += cost[0] * len(added)
        return commit(graph, added, removed, **rest)

    monkeypatch.setattr(kb, "commit", slow)
    fast = run_import(kb, [thing(graph, n, n) for n in range(5000)], graph=graph, chunk_seconds=0.1)
    assert max(kb.commits) == 1000  # 2 triples a record at 0.1 ms each: 500 records in 0.1 s
    assert fast.longest_chunk <= 0.1 + 1e-9
    kb.commits.clear()
    cost[0] = 0.01
    run_import(kb, [thing(graph, n, n) for n in range(5000, 5200)], graph=graph, chunk_seconds=0.1)
    assert kb.commits[-2] == 10


def test_records_of_several_graphs_go_to_their_graphs(target: Callable[..., Any], graph: str) -> None:
    kb = target(shapes="")
    other = graph.rpartition("/")[0] + "/other"
    records = [Record(r.name, r.triples, other if n % 2 else "") for n in range(6) for r in [thing(graph, n, n)]]
    run_import(kb, records, graph=graph)
    assert {str(q.graph_name) for q in kb.store} == {f"<{graph}>", f"<{other}>"}
    with pytest.raises(InputError, match="several graphs"):
        run_import(kb, records, graph=graph, all_or_nothing=True)


def test_error_that_is_not_the_inputs_fault_ends_the_import(
    target: Callable[..., Any], graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb = target()

    def busy(*args: Any, **rest: Any) -> None:
        raise BusyError("locked")

    monkeypatch.setattr(kb, "commit", busy)
    with pytest.raises(BusyError):
        run_import(kb, [thing(graph, 1, 1)], graph=graph)


def test_progress_is_told_after_each_commit_and_the_report_is_plain_data(
    target: Callable[..., Any], graph: str
) -> None:
    seen: list[int] = []
    report = run_import(
        target(shapes=""),
        (thing(graph, n, n) for n in range(100)),
        graph=graph,
        progress=lambda r: seen.append(r.accepted),
    )
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert isinstance(report, ImportReport)
    plain = report.as_json()
    assert (plain["records"], plain["added"], plain["refused"]) == (100, 200, [])
    assert report.triples_per_second > 0


def test_violation_of_a_node_outside_is_the_record_that_states_the_value(
    target: Callable[..., Any], graph: str
) -> None:
    shapes = """
    @prefix sh: <http://www.w3.org/ns/shacl#> . @prefix e: <urn:e:> .
    e:S a sh:NodeShape ; sh:targetObjectsOf e:next ; sh:property [ sh:path [ sh:inversePath e:next ] ; sh:maxCount 1 ;
      sh:message "one predecessor" ] .
    """
    kb = target(shapes=shapes)
    nodes = [ox.NamedNode(f"{graph}/{n}") for n in range(4)]
    records = [Record(f"link {n}", (ox.Triple(nodes[n], NEXT, ox.NamedNode("urn:e:end")),)) for n in range(2)]
    report = run_import(kb, records, graph=graph)
    assert {r.message for r in report.refused} == {"one predecessor"}
    assert report.accepted + len(report.refused) == 2
    assert len(kb.triples()) == report.accepted


def test_file_with_one_bad_thing_imports_the_rest(target: Callable[..., Any], graph: str, tmp_path: Path) -> None:
    path = tmp_path / "things.ttl"
    path.write_text(
        "@prefix e: <urn:e:> . <a> a e:Thing ; e:size 1 .<b> a e:Thing ; e:of [ e:size 2 ] . <c> a e:Thing ; e:size 3 ."
    )
    kb = target()
    report = run_import(kb, read_file(path, graph=graph), graph=graph)
    assert [(r.name, r.message) for r in report.refused] == [(f"{graph}/b", MESSAGE)]
    assert {t.subject for t in kb.triples()} == {ox.NamedNode(f"{graph}/{n}") for n in "ac"}


def test_catalogue_satisfies_the_shipped_shapes(
    target: Callable[..., Any], graph: str, records: list[Record], shipped_shapes: tuple[str, str]
) -> None:
    shapes, background = shipped_shapes
    kinds: dict[str, list[Record]] = {}
    for record in records:
        kinds.setdefault(record.name.split()[0], []).append(record)
    assert set(kinds) == {"method", "provider", "region", "accelerator", "type", "offer", "link"}
    sample = [r for rows in kinds.values() for r in rows[:: max(1, len(rows) // 8)]]
    kb = target(shapes=shapes, background=background)
    report = run_import(kb, sample, graph=graph, all_or_nothing=True)
    assert report.refused == []
    assert report.accepted == len(sample)
    bad = Record(
        "bad",
        (
            *sample[0].triples,
            ox.Triple(ox.NamedNode(f"{graph}/x"), TYPE, ox.NamedNode("https://w3id.org/dappops#ServiceOffer")),
        ),
    )
    assert run_import(kb, [bad], graph=graph).refused  # the shapes are alive
