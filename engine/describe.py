"""Descriptions from files of any kind that the product reads: DAppOps-ML, RDF, rules. What they say, and where.

The readers themselves are `engine.catalogue`; whether a description is acceptable is the gate's business, or, before
there is a knowledge base, `check_documents`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from engine import resources
from engine.errors import InputError, did_you_mean
from reasoners.graph import Term, View, memory_view
from reasoners.vocab import DAPP, DAPPR, PREFIXES, RDF, SH

ML_SUFFIXES = (".yaml", ".yml", ".json", ".jsonld")
EXAMPLE = "`dappops rules --example` prints a whole rule file to start from"
POLICY_CLASSES = frozenset({DAPP.Rule, SH.NodeShape, SH.PropertyShape})


@dataclass(frozen=True, slots=True)
class Described:
    """What one file says to one graph; for DAppOps-ML with the document that knows positions."""

    name: str
    graph: str
    triples: list[ox.Triple]
    document: Any = None
    is_rule: bool = False

    @property
    def application(self) -> ox.NamedNode | None:
        """The application it describes, if it is a DAppOps-ML file with one."""
        found: ox.NamedNode | None = self.document.application if self.document is not None else None
        return found

    @property
    def restates(self) -> bool:
        """Whether the file says all there is to say about its subjects, so that another version of it replaces this."""
        return self.document is not None or self.is_rule

    def about(self, held: Iterable[ox.Triple]) -> list[ox.Triple]:
        """Of the triples `held` by the graph, those about subjects that this file restates."""
        subjects = {t.subject for t in self.triples} if self.restates else set()
        return [t for t in held if t.subject in subjects]

    def stale(self, held: Iterable[ox.Triple]) -> list[ox.Triple]:
        """Of the triples `held` by the graph, those about this file's subjects that the file does not say (any more)."""
        said = set(self.triples)
        return [t for t in self.about(held) if t not in said]

    def position(self, focus: Term, path: str | None, value: Term | None = None) -> str | None:
        """`file:line:column` of what a result is about, when this file says it."""
        if self.document is None:
            return self.name if any(t.subject == focus for t in self.triples) else None
        if self.document.position_of(focus) is None:
            return None
        return f"{self.name}:{self.document.locate(focus, path, value)}"


class DescriptionError(InputError):
    """Mistakes in description files, all of them (`mistakes`: `MlError`)."""

    exit_code = 1

    def __init__(self, mistakes: Sequence[Any]) -> None:
        self.mistakes = list(mistakes)
        first = self.mistakes[0]
        count = len(self.mistakes)
        super().__init__(
            f"{count} mistake{'s' if count > 1 else ''}",
            place=first.place, rule=first.rule, remedy="nothing was written; correct them and try again",
        )  # fmt: skip

    def data(self) -> list[dict[str, Any]]:
        """Plain data for `--json`."""
        return [
            {
                "file": m.file,
                "line": m.line,
                "column": m.column,
                "message": m.message,
                "rule": m.rule,
                "remedy": m.remedy,
            }
            for m in self.mistakes
        ]


def read_files(
    paths: Iterable[Path],
    *,
    graph: str | Callable[[Path], str],
    known: Callable[[str], Collection[str]] = lambda graph: (),
) -> list[Described]:
    """What the files say, for a graph (or the graph of each). DescriptionError tells every mistake in all files.

    `known` gives the local ids that a graph holds already: DAppOps-ML may refer to them.
    """
    found: list[Described] = []
    mistakes: list[Any] = []
    for path in paths:
        target = graph if isinstance(graph, str) else graph(path)
        if path.suffix in ML_SUFFIXES:
            from engine.catalogue import ml

            document = ml.load(path, graph=target, known=known(target))
            mistakes += document.errors
            found.append(Described(str(path), target, document.triples, document))
        elif path.suffix == ".rq":
            found.append(Described(str(path), target, local_rule(path, target), is_rule=True))
        else:
            found += _rdf(path, target)
    if mistakes:
        raise DescriptionError(mistakes)
    return found


def _rdf(path: Path, graph: str) -> list[Described]:
    from engine.catalogue.rdf_files import EXTENSIONS, read_file

    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if ending.removeprefix(".").lower() not in EXTENSIONS:
        known = ["rq", *(s.removeprefix(".") for s in ML_SUFFIXES), *EXTENSIONS]
        raise InputError(
            f"the ending {ending or '(none)'!r} tells no kind of file{did_you_mean(ending.removeprefix('.'), known)}", place=str(path),
            rule=f"endings: {' '.join('.' + k for k in dict.fromkeys(known))}", remedy="rename it, or import RDF with --format",
        )  # fmt: skip
    by_graph: dict[str, list[ox.Triple]] = {}
    for record in read_file(path, graph=graph):
        by_graph.setdefault(record.graph or graph, []).extend(record.triples)
    return [Described(str(path), name, triples) for name, triples in by_graph.items()]


def is_policy(path: Path) -> bool:
    """Whether a file brings rules or shapes, which count only in a policy graph."""
    if path.suffix == ".rq":
        return True
    if path.suffix in ML_SUFFIXES:
        return False
    return any(
        t.predicate == SH.construct or (t.predicate == RDF.type and t.object in POLICY_CLASSES)
        for described in _rdf(path, "urn:dappops:peek/any/main")
        for t in described.triples
    )


# -- rules -----------------------------------------------------------------------------------------------------------
def example_rule() -> str:
    """A rule file to start from."""
    return (resources.data_root() / "examples" / "no-burstable-trust.rq").read_text(encoding="utf-8")


def local_rule(path: Path, graph: str) -> list[ox.Triple]:
    """A rule file as a rule of one's own policy graph: `<graph>/<file name>`.

    Header fields that the text itself answers may be left out: the title is the file's name, the heads are the
    predicates of the template, and the purpose is `plan` when these only exclude or discourage offers. InputError
    with the remedy for what is no rule.
    """
    from reasoners.derive import rule_from_file

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("not a text file in UTF-8", place=str(path), remedy=EXAMPLE) from error
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "rule"
    try:
        _check_syntax(text)
        triples = rule_from_file(_completed(text, path.stem), name)
    except InputError as error:
        where = error.place.removeprefix(f"{name}.rq").lstrip(", ")
        raise InputError(
            error.message,
            place=", ".join(filter(None, (str(path), where))),
            rule=error.rule,
            remedy=f"{error.remedy}; {EXAMPLE}",
        ) from error
    shipped, own = DAPPR(name), ox.NamedNode(f"{graph}/{name}")
    return [ox.Triple(own if t.subject == shipped else t.subject, t.predicate, t.object) for t in triples]


def _check_syntax(text: str) -> None:
    """InputError with line and column of the file for what is no SPARQL; the reasoner's own parser only says that."""
    from engine.graph.sparql_text import Prologue, reads_of_query, refuse_service, syntax_error

    service = reads_of_query(text, prefixes=PREFIXES).service
    if service is not None:
        raise refuse_service(text, service)
    try:
        answer = ox.Store().query(text, prefixes=PREFIXES)
    except SyntaxError as error:
        raise syntax_error(text, error, prologue=Prologue(None, dict(PREFIXES))) from error
    if not isinstance(answer, ox.QueryTriples) or re.match(
        r"(?is)(\s|#[^\n]*\n|(prefix|base)\b[^\n]*?>)*describe\b", text
    ):
        raise InputError(
            "a rule is a CONSTRUCT query", remedy="write CONSTRUCT { what follows } WHERE { what must hold }"
        )


def _completed(text: str, title: str) -> str:
    """The rule text with a header that lacks nothing."""
    from reasoners.derive import rule as rules
    from reasoners.derive import text as source
    from reasoners.derive.analysis import analyse
    from reasoners.derive.safety import PLAN_HEADS

    given = source.header(text)
    fields: dict[str, str] = {}
    for field, value in given.items():
        # a line like `# Author: me` is a comment; one like `# Purpos: plan` is a slip
        if field in rules.FIELDS or did_you_mean(field, rules.FIELDS):
            fields[field] = value
    fields.setdefault("Title", title)
    if not fields.get("Heads") or not fields.get("Purpose"):
        found = analyse(source.with_prologue(source.strip_comments(text)))
        heads = sorted({h.predicate.value for h in found.heads if isinstance(h.predicate, ox.NamedNode)})
        if not fields.get("Heads"):
            fields["Heads"] = " ".join(f"<{h}>" for h in heads)
        if not fields.get("Purpose"):
            fields["Purpose"] = "plan" if heads and PLAN_HEADS.issuperset(heads) else "derive"
    header = "".join(f"# {field}: {value}\n" for field, value in fields.items())
    return header + source.strip_comments(text)


def check_rules(document: Described) -> None:
    """Raise InputError, with the file and its line, for the first rule that says what no rule may."""
    from reasoners.derive import check_rule, parse_rules

    view = memory_view(document.triples)
    try:
        for node in sorted({t.subject for t in view.triples(None, SH.construct, None)}, key=str):
            if isinstance(node, ox.Triple):
                continue
            if ox.Triple(node, RDF.type, DAPP.Rule) not in view and not view.subjects(SH.rule, node):
                raise InputError(
                    "this carries sh:construct but is no dapp:Rule and no shape's sh:rule, so nothing would ever run it",
                    place=str(node), rule=DAPP.Rule.value,
                    remedy="add `a dapp:Rule` to it and an IRI of its own, or name it in sh:rule of a shape",
                )  # fmt: skip
        for rule in parse_rules(view):
            check_rule(rule)
    except InputError as error:
        place = error.place
        if document.is_rule:
            # a stored rule begins with its first line of code; a person reads the file
            found = re.search(r"line (\d+)$", place)
            place = f"line {int(found[1]) + _lines_above(Path(document.name))}" if found else ""
        raise InputError(
            error.message,
            place=", ".join(filter(None, (document.name, place))),
            rule=error.rule,
            remedy=f"{error.remedy}; {EXAMPLE}",
        ) from error


def _lines_above(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), 0)


# -- checking without a knowledge base -------------------------------------------------------------------------------
def check_documents(documents: Sequence[Described]) -> list[tuple[str, Any]]:
    """Results of the shipped shapes on the descriptions together, with the place each is about. Writes nothing."""
    from engine.graph.gate import Gate
    from engine.graph.policy import shipped_triples

    store = ox.Store()
    own, policy = ox.NamedNode("urn:check:own"), ox.NamedNode("urn:check:policy")
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object, policy) for t in shipped_triples())
    described = [t for d in documents for t in d.triples]
    store.bulk_extend(ox.Quad(t.subject, t.predicate, t.object, own) for t in described)
    shipped = View(store, (policy,))
    gate = Gate(shipped, trusted=shipped)
    subjects = {t.subject for t in described}
    view = View(store, (own, policy))
    results = gate.integrity.full(view, lambda n: n in subjects)
    # a reference to what other graphs hold cannot be judged here, so of coherence only what this file contradicts itself
    placed = []
    for result in results:
        where = next(
            (p for d in documents if (p := d.position(result.focus, result.path, result.value))), str(result.focus)
        )
        placed.append((where, result))
    return sorted(placed, key=lambda x: (x[0], str(x[1].shape)))
