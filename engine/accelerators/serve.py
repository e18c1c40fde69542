"""What accelerators leave in the graph, as service methods: the owner of the store commits, whoever asks.

Looking at devices and measuring happens in the process that asks; here are only the commits, which are idempotent: what
is there stays, what is gone is removed, a second call changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from platform import node as host_name

import pyoxigraph as ox

from engine import planning, resources
from engine.accelerators import devices, library, profiles
from engine.accelerators.library import describe
from engine.errors import InputError, did_you_mean
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, author_of, method, replace_mine
from reasoners.compose import Choice, Options, Request, combination_triples, compose, request_triples
from reasoners.decision import labels
from reasoners.graph import View
from reasoners.vocab import DAPP, DAPPI, RDF

DEVICES, FUNCTIONS = "devices", "functions"


@method
def publish_devices(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State what `found` (a `devices.Discovery` as data) says of its host in the author's graph `devices`."""
    found = devices.from_json(params["found"])
    graph = _graph(kernel, params, DEVICES)
    node = devices.node_iri(graph, found.host).value

    made = devices.device_triples(found, graph)
    described = {t.subject for t in made}

    def mine(triple: ox.Triple) -> bool:
        subject = _subject(triple)
        ours = subject == node or subject.startswith(f"{node}/")
        return ours and (triple.predicate in devices.SAID or triple.subject not in described)

    return {**replace_mine(kernel, params, caller, graph, mine, made, f"devices of {found.host}"), "node": node}


@method
def publish_functions(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State the function library in the author's graph `functions`; profiles and packages there stay, and so does what
    others say there of a function in their own terms."""
    graph = _graph(kernel, params, FUNCTIONS)
    made = describe.function_triples(graph)
    said = {t.predicate for t in made}
    variants = {v for name in library.FUNCTIONS for v in library.function(name).variants}

    def mine(triple: ox.Triple) -> bool:
        name, _, rest = _subject(triple).removeprefix(f"{graph}/").partition("/")
        part = not rest or rest in variants or rest.startswith("parameter/")
        return name in library.FUNCTIONS and part and triple.predicate in said

    return replace_mine(kernel, params, caller, graph, mine, made, "function library")


@method
def publish_profiles(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """State measured `profiles` (as data) of the host whose node is `node` in the author's graph `functions`; each takes
    the place of the one of the same variant, device, box and size."""
    graph = _graph(kernel, params, FUNCTIONS)
    made: list[ox.Triple] = []
    for data in params["profiles"]:
        each = profiles.Profile(**data)
        device = ox.NamedNode(f"{params['node']}/device/{each.device}")
        made += profiles.profile_triples(graph, each, device)
    subjects = {t.subject for t in made}
    count = len(params["profiles"])
    return replace_mine(kernel, params, caller, graph, lambda t: t.subject in subjects, made, f"{count} profiles")


@cache
def views() -> Mapping[str, str]:
    """Texts of the named SELECTs through which the composer reads."""
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", "compose-*.rq")}


@method
def choose_function(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Choose variant, device and box for a function and commit the decision (unless `dry_run`).

    `function`: a name of the author's graph `functions`, or an IRI; `size` in items; `calls`, `deadline` (ms),
    `isolation` (box or level), `unit`, `node` (IRIs; the node of this host by default), weights `time` and `energy`,
    `caution`, `misses`.
    """
    author = author_of(kernel, params)
    with kernel.lock.held():
        view = kernel.memory_view()
        rules = kernel.gate.rules
        state = planning.used_state(kernel, author)
        graph = kernel.resolve(FUNCTIONS, author)
        here = devices.node_iri(kernel.resolve(DEVICES, author), host_name() or "localhost")
    request = request_of(view, params, graph, here)
    options = Options(
        time_weight=float(params.get("time", 1.0)), energy_weight=float(params.get("energy", 0.0)),
        caution=float(params.get("caution", 0.0)), misses=int(params.get("misses", 3)), base=graph,
    )  # fmt: skip
    choice = compose(view, request, rules, options, views=views(), now=datetime.now(UTC))
    found = choice_json(choice, request, view)
    if params.get("dry_run"):
        return {"decision": None, **found}

    def extra(decision: ox.NamedNode) -> Iterator[ox.Triple]:
        yield ox.Triple(asked, RDF.type, DAPP.DecisionRequest)
        yield from request_triples(asked, request)
        if request.application is not None:
            yield ox.Triple(asked, DAPP.onApplication, request.application)
        for each in choice.combinations:
            yield from combination_triples(each)

    with kernel.lock.held():
        tail = request.function.value.rsplit("/", 1)[-1]
        asked = ox.NamedNode(f"{kernel.resolve(planning.GRAPH, author)}/compose-request-{kernel.log.head_tx() + 1}")
        made = replace(choice, application=request.application or asked)
        iri, receipt, _ = planning.record(
            kernel, caller, author, made, state, name="compose", message=f"choose {tail} for {request.size} items",
            request=asked, extra=extra,
        )  # fmt: skip
    return {"decision": iri, **found, "receipt": receipt.as_json()}


@method
def function_choices(kernel: Kernel, params: Json, caller: Caller) -> list[Json]:
    """The newest choice for each function of the author's library and each size, as a broker takes them."""
    author = author_of(kernel, params)
    with kernel.lock.held():
        graph = kernel.resolve(FUNCTIONS, author)
        rows = list(kernel.store.view().select(views()["compose-choices"]))
    levels = {DAPPI(level).value: box for box, level in profiles.LEVELS.items()}
    found: dict[tuple[str, int], Json] = {}
    for row in rows:
        variant = row["variant"].value.removeprefix(f"{graph}/")
        name, _, language = variant.partition("/")
        size = int(row["size"].value)
        if name not in library.FUNCTIONS or language not in library.function(name).variants or (name, size) in found:
            continue
        device = row["label"].value if language == "opencl" and row["label"] is not None else ""
        found[name, size] = {
            "function": name, "size": size, "variant": language, "device": device, "box": levels.get(row["box"].value, ""),
            "decision": row["decision"].value,
        }  # fmt: skip
    return list(found.values())


def request_of(view: View, params: Json, graph: str, here: ox.NamedNode) -> Request:
    """The request that parameters mean. Raises InputError for names that nothing has."""
    unit = ox.NamedNode(params["unit"]) if params.get("unit") else None
    application = next((s for s in sorted(view.subjects(DAPP.hasUnit, unit), key=str)), None) if unit else None
    node = ox.NamedNode(params["node"]) if params.get("node") else here
    known = ox.Triple(node, RDF.type, DAPP.ComputeNode) in view
    if params.get("node") and not known:
        raise InputError("there is no such node", place=node.value, remedy="publish it: `dappops devices --publish`")
    return Request(
        function=function_of(view, str(params["function"]), graph),
        size=int(params["size"]),
        calls=int(params["calls"]) if params.get("calls") else None,
        deadline=float(params["deadline"]) if params.get("deadline") is not None else None,
        node=node if known else None,
        unit=unit,
        application=application if isinstance(application, ox.NamedNode) else None,
        isolation=isolation_of(str(params["isolation"])) if params.get("isolation") else None,
    )


def function_of(view: View, name: str, graph: str) -> ox.NamedNode:
    """The function a name or IRI means."""
    node = ox.NamedNode(name if "://" in name else f"{graph}/{name}")
    if ox.Triple(node, RDF.type, DAPP.Function) not in view:
        there = [
            n.value.rsplit("/", 1)[-1] for n in view.subjects(RDF.type, DAPP.Function) if isinstance(n, ox.NamedNode)
        ]
        raise InputError(
            f"no function {name!r} is published{did_you_mean(name, there)}",
            rule=f"functions: {', '.join(sorted(there)) or 'none'}", remedy="publish the library: `dappops function list --publish`",
        )  # fmt: skip
    return node


def isolation_of(name: str) -> ox.NamedNode:
    """The isolation level of a box's name (`sandbox`) or of its own (`SandboxIsolation`, an IRI)."""
    if "://" in name:
        return ox.NamedNode(name)
    level = profiles.LEVELS.get(name, name)
    if level not in profiles.LEVELS.values():
        raise InputError(
            f"no isolation level {name!r}{did_you_mean(name, profiles.LEVELS)}",
            rule=f"levels: {', '.join(profiles.LEVELS)}",
        )
    return DAPPI(level)


def choice_json(choice: Choice, request: Request, view: View) -> Json:
    """A composition as data."""
    forecasts = dict(choice.forecasts)
    by_iri = {c.iri: c for c in choice.combinations}
    terms = {t for c in choice.combinations for t in (c.variant, c.device, c.box)}
    names = labels(view, terms | {request.function})

    def name(node: ox.NamedNode) -> Json:
        return {"iri": node.value, "label": names.get(node) or node.value.replace("#", "/").rsplit("/", 1)[-1]}

    def described(iri: ox.NamedNode) -> Json:
        each, forecast = by_iri[iri], forecasts.get(iri)
        return {
            "option": each.label, "variant": name(each.variant), "device": name(each.device), "box": name(each.box),
            "forecast": None if forecast is None else {
                "time": forecast.time, "deviation": forecast.deviation, "cold": forecast.cold, "energy": forecast.energy,
                "outside": forecast.outside,
            },
        }  # fmt: skip

    return {
        "function": name(request.function), "size": request.size, "calls": request.calls, "deadline": request.deadline,
        "node": request.node.value if request.node else None, "isolation": name(request.isolation) if request.isolation else None,
        "chosen": described(choice.chosen.iri) if choice.chosen else None, "time": choice.time, "energy": choice.energy,
        "objective": choice.objective,
        "candidates": [
            {
                **described(c.thing), "eligible": c.eligible, "rank": c.rank, "score": c.score,
                "verdicts": [planning.verdict_json(v, view) for v in c.verdicts],
            }
            for c in choice.candidates
        ],
        "rejections": [planning.rejection_json(r, view) for r in choice.rejections],
        "conflicts": [planning.conflict_json(c, view) for c in choice.conflicts],
        "rules": [r.value for r in choice.rules], "notes": list(choice.notes),
    }  # fmt: skip


def _subject(triple: ox.Triple) -> str:
    return triple.subject.value if isinstance(triple.subject, ox.NamedNode) else ""


def _graph(kernel: Kernel, params: Json, name: str) -> str:
    with kernel.lock.held():
        return kernel.resolve(params.get("graph") or name, author_of(kernel, params))
