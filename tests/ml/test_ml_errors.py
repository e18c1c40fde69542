"""Mistakes: each is told with its place and a remedy, all at once, and nothing a file says breaks the reader."""

from __future__ import annotations

import itertools
import random
import re

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_samples import GRAPH, HEAD, UNITS, VALID, example, one, read, told

from engine.catalogue.ml import Document, load
from engine.catalogue.ml.parse import MAX_CHARACTERS, line_widths

MEASURED = "      requirements: {type: QualityRequirement, constrains: "
TEN = [
    ("unknown-class", "FunctionUnit"),
    ("unknown-key", "worklaod"),
    ("cyclic-dependency", "camera]"),
    ("wrong-dimension", '">= 8 GHz"'),
    ("unknown-place", "NOR"),
    ("duplicate-id", "camera"),
    ("number-range", "1.5"),
    ("unknown-reference", "stroe-2"),
    ("unknown-operator", "MoreThan"),
    ("missing-key", "{from"),
]


def in_file(document: Document, text: str) -> bool:
    widths = line_widths(text)
    return all(1 <= e.line <= len(widths) and 1 <= e.column <= widths[e.line - 1] + 1 for e in document.errors)


def test_ten_mistakes_are_all_told_with_place_and_remedy_when_one_file_has_them() -> None:
    text = example("mistakes.yaml")
    document = load(text, graph=GRAPH, name="mistakes.yaml")
    assert [error.rule for error in document.errors] == [rule for rule, _ in TEN]
    lines = text.split("\n")
    for error, (_, start) in zip(document.errors, TEN, strict=True):
        assert lines[error.line - 1][error.column - 1 :].startswith(start), str(error)
        assert error.remedy
        assert str(error).startswith(f"mistakes.yaml:{error.line}:{error.column}: ")
    suggested = [error.rule for error in document.errors if "did you mean" in error.message]
    assert suggested == ["unknown-class", "unknown-key", "unknown-place", "unknown-reference"]


@pytest.mark.parametrize(
    ("line", "rule", "column", "says"),
    [
        ("      workload: lots", "not-a-number", 17, "'lots'"),
        ("      workload: 1e999", "number-range", 17, "range"),
        ("      workload: .inf", "not-a-number", 17, "not a number"),
        ("      workload: -1", "number-range", 17, "more than 0"),
        ("      workload: 5 GiB", "wrong-dimension", 17, "GiB is a unit of data"),
        ("      workload: 5 Gcycle", "unknown-unit", 17, "did you mean 'Gcycles'"),
        ("      workload: {a: b}", "wrong-type", 17, "not a map"),
        ("      workload: [1, 2]", "too-many-values", 21, "at most 1"),
        ("      workload: [[1]]", "wrong-type", 18, "list inside the list"),
        ("      workload:", "empty-value", 16, "no value"),
        ("      workload: ~", "empty-value", 17, "no value"),
        ("      name: Two", "duplicate-key", 7, "line 8"),
        ("      wrokload: 1", "unknown-key", 7, "did you mean 'workload'"),
        ("      vcpus: 4", "misplaced-key", 7, "no 'vcpus'"),
        ("      dependsOn: app", "wrong-class", 18, "wants a ServiceUnit"),
        ("      dependsOn: onne", "unknown-reference", 18, "did you mean 'one'"),
        ("      dependsOn: one", "cyclic-dependency", 18, "one -> one"),
        ("      dependsOn: dapp:Nothing", "unknown-reference", 18, "dapp:Nothing"),
        ("      requires: {vcpu: 4}", "unknown-metric", 18, "did you mean 'vcpus'"),
        ('      requires: {vcpus: "> 4"}', "unknown-operator", 25, "did you mean '>='"),
        ("      requires: {trust: NitroTmp}", "unknown-value", 25, "did you mean 'NitroTpm'"),
        ("      requires: {accelerator: gpu}", "unknown-value", 31, "did you mean 'Gpu'"),
        ("      requires: {bareMetal: no}", "not-a-boolean", 29, "did you mean 'false'"),
        ("      requires: [vcpus]", "wrong-type", 17, "is a map"),
        ("      placement: {allowed: Germany}", "unknown-place", 28, "did you mean 'DE'"),
        ("      placement: {allow: DE}", "unknown-key", 19, "did you mean 'allowed'"),
        ("      placement: {forbidden: [DE, DEE]}", "unknown-place", 35, "did you mean 'DE'"),
        (MEASURED + "Avail, operator: AtLeast, bound: 1}", "unknown-metric", 60, "metric"),
        (MEASURED + "Availability, operator: Atleast, bound: 1}", "unknown-operator", 84, "did you mean 'AtLeast'"),
        (MEASURED + "Availability, operator: AtLeast, bound: 9 ms}", "wrong-dimension", 100, "ratio"),
        (MEASURED + "Availability, bound: 9}", "missing-key", 21, "no 'operator'"),
        ("      requirements: {name: x}", "missing-key", 21, "'type' is missing"),
        ("      <<: {a: b}", "unknown-key", 7, "no key '<<'"),
        ("      name2: !!python/name:os.system x", "tag", 14, "no meaning"),
        ("      name: *gone", "unknown-anchor", 13, "gone"),
    ],
)  # fmt: skip
def test_slip_is_told_where_it_stands_when_a_unit_has_it(line: str, rule: str, column: int, says: str) -> None:
    document = read(UNITS + line + "\n")
    found = next((error for error in document.errors if error.rule == rule), None)
    assert found is not None, [str(error) for error in document.errors]
    assert (found.line, found.column) == (9, column), str(found)
    assert says in found.message
    assert found.remedy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("empty-file", 1, 1)]),
        ("# nothing\n", [("empty-file", 1, 1)]),
        ("- a\n", [("wrong-type", 1, 1)]),
        ("words\n", [("wrong-type", 1, 1)]),
        ("dappops: 3\ncatalogue: []\n", [("version", 1, 10)]),
        ("catalogue: []\n", [("missing-key", 1, 1)]),
        ("dappops: 1\n", [("missing-key", 1, 1)]),
        ("dappops: 1\napplication: x\n", [("wrong-type", 2, 14)]),
        ("dappops: 1\ncatalog: []\n", [("missing-key", 1, 1), ("unknown-key", 2, 1)]),
        (UNITS + "---\ndappops: 1\n", [("several-documents", 9, 1)]),
        (UNITS.replace("id: one", "id: a b!"), [("illegal-id", 6, 11)]),
        (UNITS.replace("id: one", "id: [a]"), [("illegal-id", 6, 11)]),
        (UNITS.replace("FunctionalUnit", "ServiceUnit"), [("unknown-class", 7, 13)]),
        (UNITS.replace("FunctionalUnit", "DataFlow"), [("wrong-class", 7, 13)]),
        (UNITS.replace("FunctionalUnit", "[FunctionalUnit, TrustUnit]"), [("several-kinds", 7, 13)]),
        (UNITS.replace("      type: FunctionalUnit\n", ""), [("missing-key", 6, 7)]),
        (UNITS.replace("App", "A\x01pp"), [("illegal-character", 4, 10)]),
        (HEAD, [("missing-key", 3, 7)]),
    ],
)  # fmt: skip
def test_file_is_told_what_is_wrong_when_its_frame_is_broken(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert told(text) == expected


def test_what_stood_before_is_still_checked_when_the_syntax_breaks() -> None:
    document = read(UNITS + "      wokload: 1\n      dependsOn: [two\n      description: x\n")
    assert [error.rule for error in document.errors] == ["unknown-key", "yaml-syntax"]
    assert "begun at 10:18" in document.errors[1].message
    assert document.errors[1].line >= 10


def test_made_ids_stay_legal_when_what_they_are_made_of_is_not() -> None:
    document = read(
        UNITS + "      requires: {'dappi:MemorySize': 1}\n  deadline: {from: a | b, to: 'http://[', within: 1 s}\n"
    )
    assert [error.rule for error in document.errors] == ["unknown-reference", "unknown-reference"]
    assert f"{GRAPH}/app.deadline.a-b-http-" in {
        t.subject.value for t in document.triples if isinstance(t.subject, ox.NamedNode)
    }


def test_every_tab_is_told_and_the_rest_is_read_when_tabs_indent() -> None:
    text = UNITS.replace("      name: One", "\tname: One") + "\twokload: 1\n"
    errors = read(text).errors
    assert [(error.rule, error.line) for error in errors] == [("tab", 8), ("tab", 9), ("unknown-key", 9)]
    assert [error.column for error in errors] == [1, 1, 2]


def test_tab_is_accepted_when_it_stands_in_a_text() -> None:
    assert read(UNITS + '      description: "a\tb"\n').errors == []
    assert read(UNITS + "      description: |\n        a\tb\n").errors == []


def test_json_is_read_when_it_is_indented_with_tabs() -> None:
    text = '{"dappops": 1,\n\t"application": {"id": "a", "name": "A",\n\t\t"units": [{"id": "u", "x": 1}]}}'
    assert [(error.rule, error.line, error.column) for error in read(text).errors] == [
        ("missing-key", 3, 13),
        ("unknown-key", 3, 25),
    ]


def test_comma_is_explained_when_a_flow_map_breaks_at_it() -> None:
    error = one(
        UNITS.replace("      name: One\n", "").replace(
            "    - id: one\n      type: FunctionalUnit\n", "    - {id: one, type: FunctionalUnit, name: One, two}\n"
        )
    )
    assert error.rule == "unknown-key"
    assert "quotes" in error.remedy


def test_bytes_are_told_when_they_are_not_utf_8(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "latin.yaml"  # type: ignore[operator]
    path.write_bytes(UNITS.replace("One", "Café").encode("latin-1"))
    errors = load(path, graph=GRAPH).errors
    assert [(error.rule, error.line, error.column) for error in errors] == [("encoding", 8, 16)]


def test_alias_repeats_a_value_when_it_stays_small_and_is_refused_when_it_explodes() -> None:
    assert read(UNITS + "      workload: &w 0.1\n      parallelFraction: *w\n").errors == []
    names = "abcdefghijk"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{this}: &{this} [{','.join([f'*{last}'] * 10)}]\n" for last, this in itertools.pairwise(names)
    )
    rules = {error.rule for error in read(bomb).errors}
    assert "alias-expansion" in rules
    assert "unknown-anchor" in {error.rule for error in read("a: &a [*a]\n").errors}


def test_hostile_sizes_are_refused_when_they_exceed_a_limit() -> None:
    assert told("x" * (MAX_CHARACTERS + 1)) == [("file-too-large", 1, 1)]
    assert "too-deep" in {rule for rule, _, _ in told("dappops: 1\ncatalogue: " + "[" * 500 + "]" * 500)}
    assert "file-too-large" in {rule for rule, _, _ in told("dappops: 1\ncatalogue: [" + "x," * 200_001 + "x]")}


@pytest.mark.timeout(60)  # a search that grows with the square of the file takes minutes
def test_work_stays_bounded_when_every_line_is_wrong() -> None:
    text = (
        HEAD
        + "  units:\n"
        + "".join(f"    - {{id: u{i}, type: FunctionalUnit, name: U, dependsOn: v{i}, k{i}: 1}}\n" for i in range(8000))
    )
    assert len(read(text).errors) == 1000


_RNG_PIECES = [
    "\t", "  ", ":", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!x ", "'", '"', "#", "|", ">", "\n", "NO", "1e999",
    "~", "null", "é", "\x00", "\u2028", "---", "%", "@", "`", "?", "id", "type",
]  # fmt: skip


def mutate(text: str, rng: random.Random) -> str:
    """One random edit: of a character, a word, a line, or a piece of syntax."""
    lines = text.split("\n")
    where = rng.randrange(len(text))
    match rng.randrange(8):
        case 0:
            return text[:where] + text[where + 1 :]
        case 1:
            return text[:where] + rng.choice(_RNG_PIECES) + text[where:]
        case 2:
            del lines[rng.randrange(len(lines))]
        case 3:
            at = rng.randrange(len(lines))
            lines.insert(rng.randrange(len(lines)), lines[at])
        case 4:
            at = rng.randrange(len(lines))
            lines[at] = (
                rng.choice([" ", "  ", "\t", ""]) + lines[at].lstrip() if rng.random() < 0.5 else " " + lines[at]
            )
        case 5:
            words = list(re.finditer(r"[A-Za-z-]+|[0-9.]+", text))
            if not words:
                return text
            one, other = rng.choice(words), rng.choice(words)
            return text[: one.start()] + other[0] + text[one.end() :]
        case 6:
            words = list(re.finditer(r"\w{3,}", text))
            if not words:
                return text
            word = rng.choice(words)
            at = rng.randrange(word.start(), word.end() - 1)
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        case _:
            return text[:where]
    return "\n".join(lines)


@given(st.sampled_from((*VALID, "mistakes.yaml")), st.integers(0, 2**32))
def test_mutation_never_breaks_the_reader_when_a_valid_example_is_changed_at_random(name: str, seed: int) -> None:
    rng = random.Random(seed)
    text = example(name)
    for _ in range(4):
        text = mutate(text, rng)
        if not text:
            return
        document = read(text + "\n")
        assert in_file(document, text + "\n"), [str(error) for error in document.errors]
        assert all(error.rule and error.message and error.remedy for error in document.errors)


@given(st.text(max_size=200))
def test_any_text_gives_a_document_when_it_is_read(text: str) -> None:
    document = read(text + "\n")
    assert in_file(document, text + "\n")
    assert document.errors
