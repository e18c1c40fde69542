"""Programming together: what several roles demand of one design, tried as one plan before anything of it is committed.

Each role writes a file of requirements (DAppOps-ML) on the units of an application that is described already. They are put
over it in memory, checked by the shipped shapes, and a plan is tried. If none exists, `reasoners.plan.agree` finds minimal
sets of demands that are at odds; here they are told by role, file and line, and kept as a decision of purpose `program`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyoxigraph as ox

from engine.catalogue import ml
from engine.catalogue.ml.positions import MlError, Position
from engine.catalogue.ml.quantities import symbol_of
from engine.describe import Described, DescriptionError
from engine.errors import InputError
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.planning import decisions, options_of, plan_json, plan_rules, record, used_state, views
from reasoners.decision import Conflict, Decided
from reasoners.graph import Term, View, memory_view
from reasoners.plan import Agreement, Dispute, Way
from reasoners.plan import agree as try_together
from reasoners.vocab import DAPP, DAPPI, RDF, RDFS, XSD

ALLOWED = (DAPP.Requirement, DAPP.UnitPath)
AXIOMS = (RDFS.subClassOf, RDFS.subPropertyOf)
OPERATORS = {
    DAPPI.AtLeast: "at least", DAPPI.AtMost: "at most", DAPPI.Equal: "equal to", DAPPI.OneOf: "one of", DAPPI.NoneOf: "none of",
}  # fmt: skip


@dataclass
class Round:
    """One round of proposals: the documents in order, what each subject is finally said to be, and by which document."""

    application: ox.NamedNode
    graph: str
    base: Described
    proposals: list[Described]
    owner: dict[Any, Described] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for document in (self.base, *self.proposals):
            self.owner |= {t.subject: document for t in document.triples}

    def effective(self, document: Described) -> list[ox.Triple]:
        """What a document says that no later one says anew."""
        return [t for t in document.triples if self.owner[t.subject] is document]

    def triples(self) -> list[ox.Triple]:
        """The design with everything that is proposed."""
        return [t for d in (self.base, *self.proposals) for t in self.effective(d)]

    def place(self, subject: ox.NamedNode) -> tuple[str, Position | None]:
        """File and position of what is said last about a subject."""
        document = self.owner.get(subject)
        if document is None:
            return "", None
        position = document.document.position_of(subject) if document.document is not None else None
        return document.name, position


@method
def consider_proposals(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Try the proposals of several roles together; see docs/planning.md.

    `proposals`: a list of {"name", "text"} (DAppOps-ML), later ones replace what earlier ones say of the same thing; `base`
    (the same form): the application as described there instead of as it is committed; `application`: its IRI, when there is
    no `base`. `record` (default true) keeps the finding as a decision; `commit` commits the proposals when they can all be
    met, with `message`. Options of `plan` are taken as well. InputError with every mistake in the files.
    """
    author = (params.get("author") or kernel.node).lower()
    started = datetime.now(UTC)
    with kernel.lock.held():
        view = kernel.memory_view()
        rules = plan_rules(kernel.gate.rules)
        state = used_state(kernel, author)
    together = read_round(kernel, view, params, author)
    merged = with_design(kernel, view, together)
    demands = demands_of(merged, together)
    made = try_together(
        merged, together.application, rules, options_of(params), among=demands, views=views(), now=started
    )
    teller = _Teller(merged, together)
    seconds = (datetime.now(UTC) - started).total_seconds()
    result: Json = {
        "application": teller.named(together.application),
        "graph": together.graph,
        "possible": bool(made.plan.placements),
        "files": [
            {
                "file": d.name,
                "roles": [teller.named(r) for r in teller.roles_in(d)],
                "demands": [teller.member(n) for n in demands if together.owner.get(n) is d],
            }
            for d in together.proposals
        ],
        "conflicts": [teller.dispute(d) for d in made.disputes],
        "innocent": [
            teller.member(n)
            for n in demands
            if together.owner.get(n) in together.proposals and not any(n in d.members for d in made.disputes)
        ],
        "plan": {**plan_json(made.plan, merged), "decision": None, "seconds": seconds},
        "decision": None, "receipt": None, "committed": None, "seconds": seconds,
    }  # fmt: skip
    with kernel.lock.held():
        if params.get("commit") and result["possible"]:
            result["committed"] = _commit(kernel, caller, author, together, teller, params)
        if params.get("record", True):
            decided = _decided(made, together, teller)
            iri, receipt, _ = record(
                kernel, caller, author, decided, state,
                name="program", message=_summary(result), extra=lambda iri: teller.remembered(made.disputes),
            )  # fmt: skip
            result |= {"decision": iri, "receipt": receipt.as_json()}
    return result


# -- reading ---------------------------------------------------------------------------------------------------------
def read_round(kernel: Kernel, view: View, params: Json, author: str) -> Round:
    """The application and the proposals on it. InputError for every mistake in the files, all at once."""
    files = params.get("proposals") or []
    if not files:
        raise InputError("there are no proposals", remedy="name at least one file of requirements")
    if params.get("base"):
        base, application = _base_of(view, params["base"], kernel.resolve(params.get("graph") or "main", author))
    else:
        application = ox.NamedNode(params.get("application") or "")
        base = _committed(kernel, view, application)
    known = {
        t.subject.value.removeprefix(f"{base.graph}/") for t in base.triples if isinstance(t.subject, ox.NamedNode)
    }
    proposals, mistakes = [], []
    for file in files:
        document = ml.load(_text(file), graph=base.graph, name=file["name"], known=known)
        proposals.append(Described(file["name"], base.graph, document.triples, document))
        mistakes += document.errors or list(_strange(proposals[-1]))
        known |= {i.local for top in document.items for i in top.walk()}
    if mistakes:
        raise DescriptionError(mistakes)
    together = Round(application, base.graph, base, proposals)
    violations = _violations(kernel, together)
    if violations:
        raise DescriptionError(violations)
    return together


def _text(file: Mapping[str, str]) -> str:
    return file["text"] if file["text"].endswith("\n") else file["text"] + "\n"


def _base_of(view: View, file: Mapping[str, str], fallback: str) -> tuple[Described, ox.NamedNode]:
    """The application of a file, in the graph where it is committed already, if it is."""
    document = ml.load(_text(file), graph=fallback, name=file["name"])
    if document.errors:
        raise DescriptionError(document.errors)
    if document.application is None:
        raise InputError("the file describes no application", place=file["name"], remedy="add 'application:' to it")
    local = document.application.value.rsplit("/", 1)[-1]
    owner = fallback.rsplit("/", 1)[0] + "/"
    homes = sorted(
        n.value
        for n in view.subjects(RDF.type, DAPP.QualityCriticalApplication)
        if isinstance(n, ox.NamedNode) and n.value.endswith(f"/{local}") and n.value.startswith(owner)
    )
    if homes and document.application.value not in homes:
        document = ml.load(_text(file), graph=homes[0].rsplit("/", 1)[0], name=file["name"])
    assert document.application is not None
    return Described(file["name"], document.graph, document.triples, document), document.application


def _committed(kernel: Kernel, view: View, application: ox.NamedNode) -> Described:
    if ox.Triple(application, RDF.type, DAPP.QualityCriticalApplication) not in view:
        raise InputError(
            "there is no such application",
            place=application.value,
            remedy="commit its description first, or give a base file",
        )
    graph = application.value.rsplit("/", 1)[0]
    with kernel.lock.held():
        quads = kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(graph))
        return Described(graph.rsplit("/", 1)[-1], graph, [q.triple for q in quads])


def _strange(document: Described) -> Iterable[MlError]:
    """Whatever in a proposal is no requirement, and requirements that nobody states."""
    types: dict[Any, set[str]] = {}
    stated = {t.subject for t in document.triples if t.predicate == DAPP.statedBy}
    for triple in document.triples:
        found = types.setdefault(triple.subject, set())
        if triple.predicate == RDF.type and isinstance(triple.object, ox.NamedNode):
            found.add(triple.object.value)
    parents = document.document.vocabulary.parents
    for subject, own in types.items():
        above = {up for each in own for up in parents.get(each, (each,))}
        place = document.document.position_of(subject) or Position(1, 1)
        if not any(kind.value in above for kind in ALLOWED):
            name = subject.value.rsplit("/", 1)[-1] if isinstance(subject, ox.NamedNode) else str(subject)
            yield MlError(
                f"{name!r} is no requirement: a proposal would replace all that is said about it", document.name, place,
                "proposal", "write requirements under 'catalogue:', with 'onSubject:' and 'statedBy:'",
            )  # fmt: skip
        elif DAPP.Requirement.value in above and subject not in stated:
            yield MlError(
                "nobody states this requirement", document.name, place, "proposal", "add 'statedBy:' with a role"
            )


def _violations(kernel: Kernel, together: Round) -> list[MlError]:
    """What the integrity shapes in force say of the design, each at its place."""
    with kernel.lock.held():
        policy = kernel.store.view(*kernel.policy_graphs())
        said = together.triples()
        view = memory_view([*policy.triples(), *said])
    subjects = {t.subject for t in said}
    out = []
    for result in kernel.gate.integrity.full(view, lambda node: node in subjects):
        document = together.owner.get(result.focus, together.base)
        where = (
            document.document.locate(result.focus, result.path, result.value) if document.document else Position(1, 1)
        )
        message, _, remedy = result.message.partition(": ")
        rule = result.shape.value if isinstance(result.shape, ox.NamedNode) else str(result.shape)
        out.append(MlError(message, document.name, where, rule, remedy))
    return sorted(out, key=lambda e: (e.file, e.position, e.rule))


# -- the design in memory --------------------------------------------------------------------------------------------
def with_design(kernel: Kernel, view: View, together: Round) -> View:
    """A copy of the state in which the application is as the round says; nothing is committed.

    What follows from classes and properties of the new statements is derived from them and the axioms alone.
    """
    said = together.triples()
    subjects = {t.subject for t in said}
    axioms = [t for p in AXIOMS for t in view.triples(None, p, None)]
    now = ox.Literal(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), datatype=XSD.dateTime)
    derived = kernel.gate.deriver.full(memory_view([*said, *axioms]), now=now)
    follows = [t for triples in derived.values() for t in triples if t.subject in subjects]
    return memory_view([*(t for t in view.triples() if t.subject not in subjects), *said, *follows])


def demands_of(view: View, together: Round) -> list[ox.NamedNode]:
    """Requirements of the round: those of the application first, so that a dispute rather names proposals."""
    order = [together.base, *together.proposals]
    found = {
        t.subject: None
        for d in order
        for t in together.effective(d)
        if isinstance(t.subject, ox.NamedNode) and ox.Triple(t.subject, RDF.type, DAPP.Requirement) in view
    }
    return [n for n in found if isinstance(n, ox.NamedNode)]


# -- telling ---------------------------------------------------------------------------------------------------------
class _Teller:
    """Puts demands into words: who wants what, where it is written, and what giving way would allow."""

    def __init__(self, view: View, together: Round) -> None:
        self.view, self.together = view, together

    def named(self, node: Term | None) -> Json:
        return {"iri": getattr(node, "value", ""), "label": self.label(node)}

    def label(self, node: Term | None) -> str:
        """A thing's name; of a country its code, since names come in many languages."""
        if not isinstance(node, ox.NamedNode):
            return "" if node is None else node.value if isinstance(node, ox.Literal) else str(node)
        labels = [x for x in self.view.objects(node, RDFS.label) if isinstance(x, ox.Literal)]
        labels.sort(key=lambda x: (x.language not in ("en", None), x.value))
        return labels[0].value if labels else node.value.replace("#", "/").rsplit("/", 1)[-1]

    def labels(self, nodes: Iterable[Term | None]) -> str:
        return ", ".join(sorted(self.label(n) for n in nodes))

    def roles(self, demand: ox.NamedNode) -> list[ox.NamedNode]:
        found = (n for n in self.view.objects(demand, DAPP.statedBy) if isinstance(n, ox.NamedNode))
        return sorted(found, key=lambda n: n.value)

    def roles_in(self, document: Described) -> list[ox.NamedNode]:
        subjects = {t.subject for t in document.triples}
        found = {r for s in subjects if isinstance(s, ox.NamedNode) for r in self.roles(s)}
        return sorted(found, key=lambda n: n.value)

    def location(self, demand: ox.NamedNode) -> str:
        """`file:line` of a demand; the graph's name when it was read from there."""
        file, position = self.together.place(demand)
        return f"{file}:{position.line}" if position is not None else file

    def wants(self, demand: ox.NamedNode) -> str:
        """What a requirement asks, in words."""
        view = self.view
        subjects = [*view.objects(demand, DAPP.onSubject), *view.subjects(DAPP.hasRequirement, demand)]
        whom = self.labels(set(subjects))
        parts = []
        for prop, words in ((DAPP.allowedPlace, "only in"), (DAPP.forbiddenPlace, "not in")):
            places = list(view.objects(demand, prop))
            if places:
                parts.append(f"{words} {self.labels(places)}")
        if ox.Triple(demand, DAPP.reachableOnly, ox.Literal(True)) in view:
            parts.append("only with providers that a driver reaches")
        bounds = list(view.objects(demand, DAPP.bound))
        metric, path = view.value(demand, DAPP.constrains), view.value(demand, DAPP.onPath)
        if bounds and metric is not None:
            operator = view.value(demand, DAPP.operator)
            words = OPERATORS.get(operator, "") if isinstance(operator, ox.NamedNode) else ""
            parts.append(f"{self.label(metric)} {words} {self.labels(bounds)} {self.symbol(demand)}".strip())
        if path is not None:
            ends = [self.label(view.value(path, p)) for p in (DAPP.pathStart, DAPP.pathEnd)]
            whom = " to ".join(ends)
        return f"{whom}: {' and '.join(parts) or self.label(demand)}"

    def symbol(self, demand: ox.NamedNode) -> str:
        """Unit of measure of a requirement's bound."""
        metric = self.view.value(demand, DAPP.constrains)
        unit = self.view.value(metric, DAPP.unit) if metric is not None else None
        return symbol_of(unit.value) or "" if isinstance(unit, ox.NamedNode) else ""

    def member(self, demand: ox.NamedNode) -> Json:
        """A demand as data."""
        file, position = self.together.place(demand)
        return {
            "requirement": self.named(demand), "roles": [self.named(r) for r in self.roles(demand)],
            "role": ", ".join(r.value.rsplit("/", 1)[-1] for r in self.roles(demand)),
            "wants": self.wants(demand), "place": self.location(demand), "file": file,
            "line": position.line if position else None, "column": position.column if position else None,
            "proposed": self.together.owner.get(demand) in self.together.proposals,
        }  # fmt: skip

    def way(self, way: Way) -> Json:
        """What leaving out one member allows, as data and in words."""
        who = self.member(way.without)
        places: list[Json] = [
            {
                "unit": self.named(p.unit), "offer": p.offer.value,
                "type": self.label(self.view.value(p.offer, DAPP.offersType)),
                "provider": self.label(self.view.value(p.offer, DAPP.offeredBy)),
                "region": self.label(self.view.value(p.offer, DAPP.inRegion)),
            }
            for p in way.placements
        ]  # fmt: skip
        symbol = self.symbol(way.without)
        found = [f"{self.label(t)} {symbol if isinstance(t, ox.Literal) else ''}".strip() for t in way.found]
        text = f"{who['role'] or 'the application'} gives way on {who['requirement']['label']!r} ({who['place']})"
        if not way.possible:
            text += ": that alone is not enough"
        elif len(places) == 1:
            text += f": {places[0]['unit']['label']} on {places[0]['type']} of {places[0]['provider']}"
        if found:
            text += f"; nearest to be had: {' or '.join(found)}"
        return {
            "without": who,
            "possible": way.possible,
            "offers": way.offers,
            "nearest": found,
            "placements": places,
            "text": text,
        }

    def dispute(self, dispute: Dispute) -> Json:
        """A dispute as data and in words."""
        members = [self.member(m) for m in dispute.members]
        return {
            "units": [self.named(u) for u in dispute.units], "members": members,
            "roles": sorted({m["role"] for m in members}),
            "ways": [self.way(w) for w in dispute.ways],
            "text": "; ".join(f"{m['role'] or 'the application'} ({m['place']}) wants {m['wants']}" for m in members),
        }  # fmt: skip

    def remembered(self, disputes: Sequence[Dispute]) -> Iterable[ox.Triple]:
        """What the graph must know to tell a dispute later: demands that are only proposed are described nowhere else."""
        for demand in sorted({m for d in disputes for m in d.members}, key=lambda n: n.value):
            yield ox.Triple(demand, DAPP.sourceLocation, ox.Literal(self.location(demand)))
            if self.together.owner.get(demand) in self.together.proposals:
                yield ox.Triple(demand, RDFS.label, ox.Literal(self.label(demand), language="en"))
                for role in self.roles(demand):
                    yield ox.Triple(demand, DAPP.statedBy, role)


def _decided(made: Agreement, together: Round, teller: _Teller) -> Decided:
    plan = made.plan
    conflicts = [
        Conflict(
            d.units[0] if len(d.units) == 1 else None, d.members, tuple(teller.way(w)["text"] for w in d.ways if w.possible)
        )
        for d in made.disputes
    ]  # fmt: skip
    return Decided(
        purpose="program", application=together.application, conflicts=tuple(conflicts) or plan.conflicts,
        rules=plan.rules, solver=plan.solver, solver_version=plan.solver_version, seed=plan.seed, objective=plan.objective,
        gap=plan.gap,
    )  # fmt: skip


def _summary(result: Json) -> str:
    name = result["application"]["iri"].rsplit("/", 1)[-1]
    if result["possible"]:
        return f"program {name}: everything demanded can be met"
    if not result["conflicts"]:
        return f"program {name}: no plan, with or without what is demanded"
    sets = "; ".join(
        " against ".join(c["roles"]) if len(c["roles"]) > 1 else c["roles"][0] for c in result["conflicts"]
    )
    return f"program {name}: at odds: {sets}"


def _commit(kernel: Kernel, caller: Caller, author: str, together: Round, teller: _Teller, params: Json) -> Json:
    """Commit what is proposed to the application's graph; the message says what it resolves."""
    added = [t for d in together.proposals for t in together.effective(d)]
    subjects = {t.subject for t in added}
    held = kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(together.graph))
    removed = [t for q in held if (t := q.triple).subject in subjects and t not in set(added)]
    receipt = kernel.commit(
        {together.graph: (removed, added)},
        author=author,
        sign=lambda digest: caller.sign(author, digest),
        message=params.get("message") or _message(kernel, author, together, teller),
    )
    return receipt.as_json()


def _message(kernel: Kernel, author: str, together: Round, teller: _Teller) -> str:
    roles = sorted({r.value.rsplit("/", 1)[-1] for d in together.proposals for r in teller.roles_in(d)})
    text = f"program {together.application.value.rsplit('/', 1)[-1]}: {', '.join(roles)} agree"
    own = kernel.resolve("decisions", author)
    view = kernel.store.view()
    for row in decisions(kernel, {}, Caller(lambda a, d: b"")):
        node = ox.NamedNode(row["decision"])
        if row["purpose"] != "program" or row["application"] != together.application.value:
            continue
        if not row["decision"].startswith(own):
            continue
        sets = list(view.objects(node, DAPP.hasConflict))
        if not sets:
            break
        members = {m for s in sets for m in view.objects(s, DAPP.member) if isinstance(m, ox.NamedNode)}
        names = ", ".join(sorted(teller.label(m) for m in members))
        return f"{text}; resolves {row['decision'].rsplit('/', 1)[-1]} ({names})"
    return text
