"""One query put on trial: its rows proven and checked, rows that are no answers claimed by a lying issuer, proofs tampered with."""

from __future__ import annotations

import copy
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyoxigraph as ox
import rdflib
from answers_queries import Ask
from answers_world import World

from engine.graph.service import run_query
from engine.ledger.answers.prove import proof_of
from engine.ledger.proofs import head_part
from verifier import Malformed, check_set, parse
from verifier.answers import FAILED, PROVEN, Verdicts, check
from verifier.reading import SetProof

Json = dict[str, Any]
Row = tuple[str | None, ...]
NO_SET = {"head": 0, "proof": {"format": "dappops-proof-1", "graph": "x:g", "pattern": [None] * 3, "lines": [], "salts": [],
          "siblings": [], "witness": None}}  # fmt: skip
MOST_ROWS = 4_000  # of a query: more, and it is put aside
SECONDS = 60.0


@dataclass
class Tally:
    """What came out, by form."""

    queries: Counter[str] = field(default_factory=Counter)
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    lies: Counter[str] = field(default_factory=Counter)  # rows claimed that are no answers: unproven or conditional
    tampered: Counter[str] = field(default_factory=Counter)  # by kind: proofs that failed
    redundant: int = 0  # parts dropped that the row, which is true, does not need
    aside: Counter[str] = field(default_factory=Counter)
    opinions: Counter[str] = field(default_factory=Counter)  # rdflib: same, other
    differ: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what must not happen


class Court:
    """Proves and checks. Set proofs of whole graphs are checked once each (a root stands for one set)."""

    def __init__(self, world: World, rng: random.Random, tally: Tally) -> None:
        self.world, self.rng, self.tally = world, rng, tally
        self._good: dict[tuple[bytes, int], bool] = {}
        self._parsed: dict[int, SetProof] = {}
        self._kept: list[Json] = []  # so that no other object gets the same id
        assert world.kb.kernel is not None
        self.kernel = world.kb.kernel
        self._head = head_part(self.kernel, world.kb.graph_iri("policy"))

    # -- making -----------------------------------------------------------------------------------------------------
    def rows_of(self, text: str) -> tuple[list[str], list[Row], bool | None] | None:
        """All rows as the store answers; None when there are too many."""
        result = run_query(self.kernel, text)
        if isinstance(result, ox.QueryBoolean):
            return [], [()], bool(result)
        rows = [tuple(None if t is None else str(t) for t in row) for row in islice(result, MOST_ROWS + 1)]
        return None if len(rows) > MOST_ROWS else ([v.value for v in result.variables], rows, None)

    def proof(self, text: str, variables: Sequence[str], rows: Sequence[Row], truth: bool | None) -> Json:
        """A proof file for rows, whether they are answers or not."""
        with self.kernel.lock.held():
            deadline = time.monotonic() + SECONDS
            return proof_of(self.kernel, text, "hierarchy", variables, rows, truth, deadline=deadline)

    # -- checking ---------------------------------------------------------------------------------------------------
    def check(self, proof: Json) -> Verdicts:
        """The verdicts on a proof file's answer; heads are checked elsewhere."""
        large = {i: s for i, s in enumerate(proof["sets"]) if len(s["proof"]["lines"]) > 1000}
        file = parse({**proof, "sets": [NO_SET if i in large else s for i, s in enumerate(proof["sets"])]})
        for i, one in large.items():
            file.sets[i] = self._large(one)

        def good(number: int) -> bool:
            one = file.sets[number]
            root = file.heads[one.head].set_root
            if number not in large:
                return check_set(one, file.heads[one.head]) is None
            key = (root, id(large[number]["proof"]))
            if key not in self._good:
                self._good[key] = check_set(one, file.heads[one.head]) is None
            return self._good[key]

        return check(file.answer, file.heads, file.sets, good)

    def _large(self, part: Json) -> SetProof:
        """A large set, parsed once: nobody changes it."""
        key = id(part["proof"])
        if key not in self._parsed:
            self._kept.append(part)
            fake = {"format": "dappops-proof-2", "heads": [self._head], "sets": [{**part, "head": 0}], "extends": [], "anchors": [],
                    "checkpoints": [], "answer": None}  # fmt: skip
            self._parsed[key] = parse(fake).sets[0]
        return replace(self._parsed[key], head=part["head"])

    # -- the trial --------------------------------------------------------------------------------------------------
    def rows(self, ask: Ask, most: int = 12) -> tuple[Json, Verdicts] | None:
        """Prove some rows of a query and check them; the proof and its verdicts, None when it was put aside."""
        tally = self.tally
        found = self.rows_of(ask.unlimited)
        shown = self.rows_of(ask.text)
        if found is None or shown is None:
            tally.aside[ask.form] += 1
            return None
        variables, all_rows, truth = found
        rows = shown[1] if len(shown[1]) <= most else self.rng.sample(shown[1], most)
        tally.queries[ask.form] += 1
        proof = self.proof(ask.text, variables, rows, truth)
        verdicts = self.check(proof)
        count = tally.rows.setdefault(ask.form, Counter())
        count.update(v.status for v in verdicts.rows)
        if verdicts.problems or any(v.status == FAILED for v in verdicts.rows):
            tally.wrong.append(f"an honest proof fails: {ask.text}\n{verdicts.problems} {verdicts.rows}")
        self._lie(ask, variables, all_rows, truth)
        return proof, verdicts

    def _lie(self, ask: Ask, variables: list[str], rows: list[Row], truth: bool | None) -> None:
        """Rows that are no answers, from an issuer that tries to prove them."""
        if truth is not None:
            fake: list[Row] = [()]
            claim: bool | None = not truth
        else:
            true, claim = set(rows), None
            pool: list[str | None] = [*self.world.words.nodes, *self.world.words.literals, None]
            pool += [t for row in rows[:20] for t in row]
            fake = []
            for _ in range(6):
                row = list(self.rng.choice(rows)) if rows else [self.rng.choice(pool) for _ in variables]
                if row:
                    row[self.rng.randrange(len(row))] = self.rng.choice(pool)
                if tuple(row) not in true and tuple(row) not in fake:
                    fake.append(tuple(row))
        if not fake:
            return
        verdicts = self.check(self.proof(ask.unlimited, variables, fake, claim))
        for row, verdict in zip(fake, verdicts.rows, strict=True):
            self.tally.lies[verdict.status] += 1
            if verdict.status == PROVEN:
                self.tally.wrong.append(f"not an answer, but proven: {row} {claim} {ask.unlimited}")

    def ask_rdflib(self, ask: Ask, dataset: rdflib.Dataset) -> None:
        """Compare the answer itself with rdflib's."""
        found = self.rows_of(ask.unlimited)
        if found is None:
            return
        variables, rows, truth = found
        try:
            result = dataset.query(ask.unlimited)
            if truth is not None:
                same = bool(result.askAnswer) == truth
            else:
                order = {str(v): i for i, v in enumerate(result.vars or ())}
                theirs = {tuple(text_of(row[order[v]]) if v in order else None for v in variables) for row in result}
                same = theirs - {(None,) * len(variables)} == set(rows) - {
                    (None,) * len(variables)
                }  # it drops empty rows
        except Exception as error:
            self.tally.opinions[f"error {type(error).__name__}"] += 1
            return
        self.tally.opinions["same" if same else "other"] += 1
        if not same:
            self.tally.differ.append(ask.unlimited)

    # -- tampering --------------------------------------------------------------------------------------------------
    def tamper(self, ask: Ask, proof: Json, verdicts: Verdicts, times: int = 1) -> None:
        """Change a proof with a proven row somewhere; it must fail."""
        candidates = [i for i, v in enumerate(verdicts.rows) if v.status == PROVEN]
        for _ in range(times if candidates else 0):
            number = self.rng.choice(candidates)
            kind, changed = self._changed(ask, proof, number)
            if changed is None:
                continue
            try:
                after = self.check(changed)
                status = FAILED if after.problems else after.rows[number].status
            except Malformed:
                status = FAILED
            if status == FAILED:
                self.tally.tampered[kind] += 1
            elif kind.startswith("drop") or kind == "change a pattern":
                self.tally.redundant += (
                    1  # a smaller proof of a true row, or one with another truth that it does not need
                )
            else:
                self.tally.wrong.append(f"tampered ({kind}) and still {status}: {ask.text} {verdicts.rows[number]}")

    def _changed(self, ask: Ask, proof: Json, number: int) -> tuple[str, Json | None]:
        rng = self.rng
        answer = {**proof["answer"], "rows": list(proof["answer"]["rows"])}
        changed = {**proof, "answer": answer, "sets": list(proof["sets"]), "heads": list(proof["heads"])}
        row = answer["rows"][number] = copy.deepcopy(answer["rows"][number])
        kinds: list[tuple[str, Callable[[], bool]]] = []

        def small(number: int) -> bool:
            return len(proof["sets"][number]["proof"]["lines"]) < 1000

        def drop_part() -> bool:
            names = [k for k in ("sets", "derivations") if row[k]]
            if not names:
                return False
            name = rng.choice(names)
            row[name].pop(rng.randrange(len(row[name])))
            return True

        def drop_all() -> bool:
            some = bool(row["sets"] or row["derivations"])
            row["sets"], row["derivations"] = [], []
            return some

        def change_line() -> bool:
            at = rng.choice([n for n in row["sets"] if small(n)] or [-1])
            if at < 0:
                return False
            one = changed["sets"][at] = copy.deepcopy(proof["sets"][at])
            lines = one["proof"]["lines"]
            other = self._other_term(None)
            if lines:
                i = rng.randrange(len(lines))
                lines[i] = rng.choice((lines[i].rsplit(" ", 2)[0] + f" {other} .", lines[i][:-3] + "x" + lines[i][-3:]))
                return lines != proof["sets"][at]["proof"]["lines"]
            s, p, _ = one["proof"]["pattern"]
            lines.append(f"{s} {p or '<http://example.org/p0>'} {other} .")
            return True

        def drop_line() -> bool:
            at = rng.choice([n for n in row["sets"] if small(n) and proof["sets"][n]["proof"]["lines"]] or [-1])
            if at < 0:
                return False
            one = changed["sets"][at] = copy.deepcopy(proof["sets"][at])
            one["proof"]["lines"].pop()
            return True

        def change_pattern() -> bool:
            at = rng.choice(row["sets"] or [-1])
            if at < 0 or not small(at):
                return False
            one = changed["sets"][at] = copy.deepcopy(proof["sets"][at])
            one["proof"]["pattern"] = [rng.choice(self.world.words.nodes), None, None]
            return one != proof["sets"][at]

        def swap_head() -> bool:
            at = rng.choice(row["sets"] or [-1])
            if at < 0:
                return False
            head = proof["sets"][at]["head"]
            other = rng.choice([h["setRoot"] for h in proof["heads"]] + [f"{rng.getrandbits(256):064x}"])
            changed["heads"][head] = {**proof["heads"][head], "setRoot": other}
            return bool(other != proof["heads"][head]["setRoot"])

        def change_value() -> bool:
            if not row["values"]:
                answer["truth"] = not answer["truth"]
                return True
            at = rng.randrange(len(row["values"]))
            row["values"][at] = self._other_term(row["values"][at])
            return not self._answers(ask.unlimited, answer["variables"], tuple(row["values"]), answer["truth"])

        def change_query() -> bool:
            answer["query"] = self._other_query(ask.text)
            return not self._answers(answer["query"], answer["variables"], tuple(row["values"]), answer["truth"])

        def change_derivation() -> bool:
            if not row["derivations"]:
                return False
            at = rng.choice(row["derivations"])
            answer["derivations"] = copy.deepcopy(answer["derivations"])
            one = answer["derivations"][at]
            if rng.random() < 0.4:
                one["rule"] = rng.choice(
                    ("https://w3id.org/dappops/rules#derive-offer-place", "http://example.org/no-rule")
                )
            elif rng.random() < 0.5:
                one["statement"] = one["statement"].rsplit(" ", 2)[0] + f" {self._other_term(None)} ."
            else:
                one["sets"], one["derivations"] = [], []
            return bool(one != proof["answer"]["derivations"][at])

        def another_node() -> bool:
            answer["node"] = "0x" + f"{rng.getrandbits(160):040x}"
            return True

        kinds = [
            ("drop a part", drop_part), ("drop all parts", drop_all), ("change a statement", change_line),
            ("drop a statement of a set", drop_line), ("change a pattern", change_pattern), ("swap a head", swap_head),
            ("change a value", change_value), ("change a value", change_value), ("change the query", change_query),
            ("change a derivation", change_derivation), ("change a derivation", change_derivation), ("name another node", another_node),
        ]  # fmt: skip
        kind, change = rng.choice(kinds)
        return kind, changed if change() else None

    def _other_term(self, term: str | None) -> str:
        return self.rng.choice([t for t in (*self.world.words.nodes, *self.world.words.literals) if t != term])

    def _other_query(self, text: str) -> str:
        words = self.world.words
        pool = [p for group in (words.predicates, words.nodes, words.classes) for p in group if p in text]
        if not pool:
            return text.replace("?a", "?b", 1)
        old = self.rng.choice(pool)
        group = next(g for g in (words.predicates, words.nodes, words.classes) if old in g)
        return text.replace(old, self.rng.choice([x for x in group if x != old]))

    def _answers(self, text: str, variables: list[str], row: Row, truth: bool | None) -> bool:
        """Whether the store gives a row (or when that is too much to tell)."""
        try:
            found = self.rows_of(text)
        except Exception:
            return False
        if found is None:
            return True
        if truth is not None:
            return found[2] == truth
        return sorted(found[0]) == sorted(variables) and row in {
            tuple(r[found[0].index(v)] for v in variables) for r in found[1]
        }


def comparable(ask: Ask) -> bool:
    """Whether rdflib 7.6 is a judge of a query.

    It is not where it departs from the specification: STR and comparisons of blank nodes, MIN and MAX of what is no number,
    `SELECT *` that shows variables of EXISTS, paths of length zero at terms that the graph does not have, COALESCE (in which
    any two terms compare), GROUP BY over nothing (one row). FROM it takes for something to load; and the shipped policy is
    not in the copy it is given.
    """
    text = ask.unlimited
    if ask.form in ("aggregate", "from", "path-negated", "path-star", "path-optional-step", "mixed"):
        return False
    return not any(part in text for part in ("STR(", "COALESCE", "COUNT(", "SELECT *", "?p ", "a ?c", "?none"))


def text_of(term: object) -> str | None:
    """N-Triples text of an rdflib term, literals as the store writes them."""
    if term is None:
        return None
    if isinstance(term, rdflib.URIRef):
        return f"<{term}>"
    if isinstance(term, rdflib.BNode):
        return f"_:{term}"
    assert isinstance(term, rdflib.Literal)
    if term.language:
        return str(ox.Literal(str(term), language=term.language))
    if term.datatype is None:
        return str(ox.Literal(str(term)))
    store = ox.Store()
    store.add(
        ox.Quad(
            ox.NamedNode("x:s"), ox.NamedNode("x:p"), ox.Literal(str(term), datatype=ox.NamedNode(str(term.datatype)))
        )
    )
    return str(next(iter(store)).object)


def forms(names: Sequence[str]) -> Iterator[str]:
    """The forms in turn, for ever."""
    while True:
        yield from names
