"""What would happen: faults and actions tried on the network of what is deployed, and on the shapes; nothing is changed.

The method `simulate` of the owner; `engine.commands.operation` prints what it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyoxigraph as ox

from engine.errors import InputError, did_you_mean
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.orchestration.operation.check import WouldBe
from engine.orchestration.operation.serve import views
from engine.orchestration.operation.told import analysis_json, name_of, network_json
from reasoners import control
from reasoners.vocab import DAPP, DAPPI

KINDS = ("HostFailure", "ProcessFailure", "CpuContention", "LinkDegradation")
ACTIONS = {
    "none": DAPP.ControlAction, "restart": DAPP.RestartAction, "migrate": DAPP.MigrateAction, "evacuate": DAPP.EvacuateAction
}  # fmt: skip


@method
def simulate(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """What faults would do to what is deployed, and what an action would lead to then.

    {"fail": [name or "Kind:name"], "action": one of none, restart, migrate, evacuate (None: all that could be done),
    "target", "to", "application", "horizon" (s)}: names are IRIs or the ends of IRIs of hosts, deployments, units, links.
    """
    with kernel.lock.held():
        view, gate = kernel.memory_view(), kernel.gate
    application = ox.NamedNode(params["application"]) if params.get("application") else None
    runtime = control.read_runtime(view, views("control"), application)
    horizon = float(params.get("horizon") or 30.0)
    known = control.experience(view, views("control"))
    faults = [_fault(runtime, text) for text in params.get("fail") or ()]
    check = WouldBe(view, gate)
    healthy = control.build(runtime)
    suspected = [control.Suspect(thing, kind, 1.0) for thing, kind in faults]
    faulty = _faulted(runtime, suspected, known)
    questions = [control.Question(healthy), control.Question(faulty, _controllable(faulty))]
    actions = _actions(runtime, params, suspected, check)
    networks = [_faulted(runtime, suspected, known, action) for action in actions]
    answers = control.analyse([*questions, *(control.Question(n) for n in networks)])
    told: list[Json] = []
    for action, network, analysis in zip(actions, networks, answers[2:], strict=True):
        course = control.Dynamics(network).course(horizon)
        violations = check(*control.desired(runtime, action)) if action.touched else []
        told.append(
            {
                "label": action.label, "kind": action.kind.value.rsplit("#", 1)[-1],
                "moves": {d.value: h.value for d, h in sorted(action.moves.items(), key=str)},
                "restarts": [d.value for d in action.restarts],
                "probability": course.probability * (known.reliance(action.kind) if action.touched else 1.0),
                "mechanism": course.probability, "expectedRecoveryTime": course.expected, "exact": course.exact,
                "states": course.states, "interrupts": sum(1 for d in action.touched if runtime.deployments[d].runs),
                "costPerHour": control.cost(runtime, action), "violations": violations, "after": analysis_json(analysis),
            }
        )  # fmt: skip
    told.sort(key=lambda a: _merit(a, horizon))
    return {
        "application": {"iri": runtime.application.value, "label": runtime.name(runtime.application)},
        "faults": [
            {"thing": thing.value, "label": name_of(view, thing), "kind": kind.value.rsplit("#", 1)[-1]} for thing, kind in faults
        ],
        "goal": healthy[control.GOAL].function, "network": network_json(faulty),
        "healthy": analysis_json(answers[0]), "before": analysis_json(answers[1]), "actions": told, "horizon": horizon,
        "notes": list(healthy.notes), "dot": dot(faulty),
    }  # fmt: skip


def _merit(action: Json, horizon: float) -> tuple[bool, float, float, str]:
    took = action["expectedRecoveryTime"]
    return bool(action["violations"]), -action["probability"], horizon if took is None else took, action["label"]


def _faulted(
    runtime: control.Runtime, suspected: Sequence[control.Suspect], known: control.Experience,
    action: control.Action | None = None,
) -> control.Network:  # fmt: skip
    """The network with all the faults at once, and perhaps an action in force."""
    network = control.under(runtime, action, suspected[0] if suspected else None, known)
    after = runtime.moved(action.moves) if action is not None else runtime
    touched = action.touched if action is not None else frozenset()
    held: dict[str, bool] = {}
    for one in suspected[1:]:
        if one.suspect not in touched:
            held |= control.faulted(network, after, one)
    return control.settled(network.fixed(held).with_values(held)) if held else network


def _controllable(network: control.Network) -> tuple[str, ...]:
    return tuple(v.name for v in network.variables if v.name.startswith(("run_", "free_", "link_")))


def _actions(
    runtime: control.Runtime, params: Json, suspected: Sequence[control.Suspect], check: control.Check
) -> list[control.Action]:
    kind = params.get("action")
    if kind is None:
        if not suspected:
            return []
        even = [control.Suspect(s.suspect, s.kind, 1 / len(suspected)) for s in suspected]

        def suits(deployment: control.Deployment, host: ox.NamedNode) -> bool:
            probe = control.Action(ox.NamedNode("urn:dappops:probe"), DAPP.MigrateAction, (), {deployment.node: host})
            return not check(*control.desired(runtime, probe))

        return control.candidates(runtime, even, "urn:dappops:simulated", suits)
    if kind not in ACTIONS:
        raise InputError(
            f"no action {kind!r}{did_you_mean(kind, ACTIONS)}", rule="--action", remedy=f"one of {', '.join(ACTIONS)}"
        )
    node = ox.NamedNode("urn:dappops:simulated/action/1")
    if kind == "none":
        return [control.Action(node, ACTIONS[kind], (runtime.application,), label="do nothing")]
    target = _thing(runtime, params.get("target"), "--target", deployments=True, hosts=kind != "migrate")
    hit = [runtime.deployments[target]] if target in runtime.deployments else runtime.on(target)
    if not hit:
        raise InputError(
            f"nothing runs on {runtime.name(target)}", place="--target", remedy="name a host that runs something"
        )
    names = ", ".join(runtime.name(d.unit) for d in hit)
    if kind == "restart":
        return [
            control.Action(
                node,
                ACTIONS[kind],
                tuple(d.node for d in hit),
                restarts=tuple(d.node for d in hit),
                label=f"restart {names}",
            )
        ]
    to = _thing(runtime, params.get("to"), "--to", deployments=False, hosts=True)
    moves = {d.node: to for d in hit if d.host != to}
    return [
        control.Action(node, ACTIONS[kind], tuple(moves), moves, to=to, label=f"move {names} to {runtime.name(to)}")
    ]


def _fault(runtime: control.Runtime, text: str) -> tuple[ox.NamedNode, ox.NamedNode]:
    """What fails and how: "name" (a host or process fails, a link is degraded) or "Kind:name"."""
    kind, colon, name = text.partition(":")
    if not colon or text.startswith(("http://", "https://", "urn:")):
        kind, name = "", text
    elif kind not in KINDS:
        raise InputError(f"no fault {kind!r}{did_you_mean(kind, KINDS)}", place=text, rule=f"one of {', '.join(KINDS)}")
    thing = _thing(runtime, name, "--fail", deployments=True, hosts=True, links=True)
    if not kind:
        kind = (
            "ProcessFailure"
            if thing in runtime.deployments
            else "LinkDegradation"
            if thing in runtime.links
            else "HostFailure"
        )
    fits = thing in runtime.deployments if kind == "ProcessFailure" else thing not in runtime.deployments
    if not fits:
        raise InputError(
            f"{kind} is no fault of {runtime.name(thing)}",
            place=text,
            remedy="a process failure is of a unit, the others of a host or link",
        )
    return thing, DAPPI(kind)


def _thing(
    runtime: control.Runtime, name: str | None, option: str, *, deployments: bool, hosts: bool, links: bool = False
) -> ox.NamedNode:
    """The deployment, host or link called `name`: its IRI, or the end of it; a unit's name means its deployment."""
    known: dict[str, ox.NamedNode] = {}
    if links:
        known |= _named(runtime.links)
    if hosts:
        known |= _named(runtime.hosts)
    if deployments:
        known |= _named(runtime.deployments)
        known |= {
            k: d.node for d in runtime.deployments.values() for k in (d.unit.value, d.unit.value.rsplit("/", 1)[-1])
        }
    if name is None:
        raise InputError(f"{option} is missing", place=option, remedy="name what is meant")
    if name not in known:
        short = sorted(k for k in known if "://" not in k)
        raise InputError(
            f"nothing deployed is called {name!r}{did_you_mean(name, short)}",
            place=option,
            remedy=f"one of {', '.join(short)}",
        )
    return known[name]


def _named(things: Iterable[ox.NamedNode]) -> Mapping[str, ox.NamedNode]:
    return {k: node for node in things for k in (node.value, node.value.rsplit("/", 1)[-1])}


def dot(network: control.Network) -> str:
    """The network as a Graphviz drawing: what is false is red, the goal is doubly circled; an arrow reads "is needed by"."""
    lines = ["digraph network {", "  rankdir=LR; node [shape=box, fontname=sans];"]
    for v in network.variables:
        shape = ", peripheries=2" if v.name == control.GOAL else ""
        colour = "black" if v.value else "red"
        text = v.says.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'  {v.name} [label="{text}", color={colour}, fontcolor={colour}{shape}];')
    for v in network.variables:
        lines += [f"  {name} -> {v.name};" for name in sorted(control.names(v.function)) if name != v.name]
    return "\n".join([*lines, "}"]) + "\n"
