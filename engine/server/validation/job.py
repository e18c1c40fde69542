"""One validation from bytes to bytes: what the forked process does. Knows nothing of HTTP but media types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

import pyoxigraph as ox

from engine.catalogue.inference import inferred, with_shape_rules
from engine.catalogue.rdf_files import Document, read_document
from engine.errors import BusyError, DappopsError, InputError, NotAvailableError
from engine.graph.gate import is_coherence
from reasoners.graph import memory_view
from reasoners.validate import Result, Shapes, Validator
from reasoners.validate.prose import Words, paragraph
from reasoners.validate.reporting import Summary, as_csv, as_text, collect, named, report_of, summary_json
from reasoners.vocab import PREFIXES, SH

RDF = {
    "turtle": ox.RdfFormat.TURTLE, "n-triples": ox.RdfFormat.N_TRIPLES, "json-ld": ox.RdfFormat.JSON_LD,
    "rdf-xml": ox.RdfFormat.RDF_XML, "trig": ox.RdfFormat.TRIG, "n-quads": ox.RdfFormat.N_QUADS,
}  # fmt: skip
FORMATS = (*RDF, "json", "csv", "text", "html")
MAX_RESULTS = 100_000  # results in one answer, whatever the limit per shape: the rest is counted
_FAMILIES = {"BusyError": BusyError, "NotAvailableError": NotAvailableError, "InputError": InputError}


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a request. `format` empty: told by name or content."""

    name: str
    format: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Options:
    """How to validate and what to show (see `reasoners.validate.reporting.collect`)."""

    format: str = "turtle"
    limit: int | None = None
    min_severity: str = "info"
    fail_on: str = "info"
    group: str = "focus"
    inference: str = "none"
    rules: bool = True  # derive what the shapes' rules say before validating
    details: bool = True  # say by sh:detail what is missing in the nearest branch
    base: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """An answer: the report in the format asked for, and what its headers say."""

    conforms: bool
    failed: bool  # there is a result as grave as `fail_on`
    total: int
    shown: int
    body: bytes


@dataclass(slots=True)
class Request:
    """Documents and options, as they travel to the process."""

    data: list[Part] = field(default_factory=list)
    shapes: list[Part] = field(default_factory=list)
    policy: bool = False  # `shapes` are a knowledge base's policy, and are read as its gate reads them
    options: Options = field(default_factory=Options)

    def pack(self) -> bytes:
        """One line of JSON, then the documents."""
        parts = [("data", p) for p in self.data] + [("shapes", p) for p in self.shapes]
        listed = [(kind, p.name, p.format, len(p.body)) for kind, p in parts]
        head = {"options": asdict(self.options), "policy": self.policy, "parts": listed}
        return json.dumps(head).encode() + b"\n" + b"".join(p.body for _, p in parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Request:
        """What `pack` made."""
        line, _, rest = packed.partition(b"\n")
        head = json.loads(line)
        made = cls(policy=head["policy"], options=Options(**head["options"]))
        for kind, name, format_, length in head["parts"]:
            (made.data if kind == "data" else made.shapes).append(Part(name, format_, rest[:length]))
            rest = rest[length:]
        return made


def answer(packed: bytes) -> bytes:
    """A packed request to a packed answer; an error of ours is an answer too."""
    try:
        done = run(Request.unpack(packed))
    except DappopsError as error:
        return _failed(type(error).__name__, error.message, error.place, error.rule, error.remedy)
    except RecursionError:
        return _failed("InputError", "shapes or data are nested too deeply", remedy="make them flatter")
    except (ValueError, RuntimeError, OSError) as error:
        # what the engine refuses late: a predicate that RDF/XML has no name for, a query it cannot plan
        return _failed("InputError", f"cannot be validated: {error}", remedy="ask for Turtle, or correct the documents")
    head = {"conforms": done.conforms, "failed": done.failed, "total": done.total, "shown": done.shown}
    return json.dumps(head).encode() + b"\n" + done.body


def _failed(kind: str, message: str, place: str = "", rule: str = "", remedy: str = "") -> bytes:
    head = {"error": kind, "message": message, "place": place, "rule": rule, "remedy": remedy}
    return json.dumps(head).encode() + b"\n"


def unpacked(packed: bytes) -> Done:
    """The answer, or its error raised."""
    line, _, body = packed.partition(b"\n")
    head = json.loads(line)
    if head.get("error") == "internal":
        raise RuntimeError(head["message"])  # ours: the server answers 500 and its log says what
    if "error" in head:
        family = _FAMILIES.get(head["error"], InputError)
        raise family(head["message"], place=head["place"], rule=head["rule"], remedy=head["remedy"])
    return Done(body=body, **head)


def run(request: Request) -> Done:
    """Read, infer, validate, write."""
    options = request.options
    data = [_read(p, options.base, f"d{i}n") for i, p in enumerate(request.data)]
    # A document that is sent as both is one document: its blank nodes are the same.
    same = {(p.name, p.body): d for p, d in zip(request.data, data, strict=True)}
    shapes = [same.get((p.name, p.body)) or _read(p, options.base, f"s{i}n") for i, p in enumerate(request.shapes)]
    data_triples = _all(data)
    shape_triples = _all(shapes)
    parsed = Shapes.parse(shape_triples, {p: n for d in reversed(shapes) for p, n in d.prefixes.items()})
    # Hierarchies are often part of the shapes' document: they say what the data means.
    triples = data_triples
    if options.inference != "none":
        triples = inferred(
            list(dict.fromkeys((*data_triples, *(t for t in shape_triples if _axiom(t))))), options.inference
        )
    if options.rules and any(t.predicate == SH.rule for t in shape_triples):
        triples = with_shape_rules(triples, shape_triples)
    found = _by_policy(parsed, triples, shape_triples) if request.policy else _whole(parsed, triples)
    summary = collect(found, limit=options.limit, min_severity=options.min_severity, group=options.group)
    prefixes = {p: n for d in (*data, *shapes) for p, n in d.prefixes.items()}
    body = written(summary, options, parsed, Words.of(data_triples, shape_triples, prefixes=prefixes), prefixes)
    shown = min(len(summary.results), MAX_RESULTS)
    return Done(summary.conforms, summary.fails(options.fail_on), summary.total, shown, body)


def _whole(shapes: Shapes, triples: list[ox.Triple]) -> Iterator[Result]:
    return Validator(shapes).results(memory_view(triples))


def _by_policy(shapes: Shapes, triples: list[ox.Triple], policy: list[ox.Triple]) -> Iterator[Result]:
    """As the gate reads: integrity shapes see data and policy as asserted, coherence shapes with their hierarchy; what
    the policy itself says is not judged."""
    nodes = {n for t in triples for n in (t.subject, t.object)}
    whole = list(dict.fromkeys((*triples, *policy)))
    integrity = Validator(shapes.select(lambda root: not is_coherence(root)))
    yield from integrity.results(memory_view(whole), nodes.__contains__)
    coherence = Validator(shapes.select(is_coherence))
    for r in coherence.results(memory_view(inferred(whole, "hierarchy")), nodes.__contains__):
        yield replace(r, unit=r.unit + len(integrity.units))


def _axiom(t: ox.Triple) -> bool:
    return t.predicate.value.startswith(PREFIXES["rdfs"]) or t.predicate.value.startswith(PREFIXES["owl"])


def _read(part: Part, base: str, blank: str) -> Document:
    return read_document(part.body, name=part.name, format=part.format or None, base=base, blank=blank)


def _all(documents: Iterable[Document]) -> list[ox.Triple]:
    return list(dict.fromkeys(t for d in documents for t in d.triples))


def written(summary: Summary, options: Options, shapes: Shapes, words: Words, prefixes: Mapping[str, str]) -> bytes:
    """The report in one of `FORMATS` (`html` is written from its JSON where templates are)."""
    del summary.results[MAX_RESULTS:]
    if options.format in RDF:
        graph = report_of(summary, shapes, details=options.details)
        return ox.serialize(graph, format=RDF[options.format], prefixes=named(prefixes)) or b""
    if options.format == "csv":
        return as_csv(summary, words).encode()
    if options.format == "text":
        return as_text(summary, words).encode()
    told = summary_json(summary, words)
    if options.format == "html":
        told["sentences"] = [paragraph(r, words) for r in summary.results]
        told["names"] = [
            [words.short(r.focus), "" if r.route is None else words.exact(r.route)] for r in summary.results
        ]
    return json.dumps(told, ensure_ascii=False).encode()
