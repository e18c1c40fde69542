"""Networks, actions and forecasts as triples: what the graph keeps of them, and what rules read."""

from __future__ import annotations

import pyoxigraph as ox

from reasoners.control.aeon import Analysis
from reasoners.control.model import Action, Forecast, Network
from reasoners.decision import number
from reasoners.vocab import DAPP, RDF, RDFS


def action_triples(action: Action, incident: ox.NamedNode, blast: int, status: ox.NamedNode) -> list[ox.Triple]:
    """An action, what it is for, and how far it has come."""
    node = action.node
    triples = [
        ox.Triple(node, RDF.type, DAPP.ControlAction),
        ox.Triple(node, DAPP.ofIncident, incident),
        ox.Triple(node, DAPP.actionStatus, status),
        ox.Triple(node, DAPP.blastRadius, ox.Literal(blast)),
        ox.Triple(node, DAPP.reversible, ox.Literal(action.reversible)),
        ox.Triple(node, RDFS.label, ox.Literal(action.label, language="en")),
    ]
    if action.kind != DAPP.ControlAction:
        triples.append(ox.Triple(node, RDF.type, action.kind))
    triples += [ox.Triple(node, DAPP.targets, target) for target in action.targets]
    hosts = {action.to} if action.to is not None else set(action.moves.values())
    triples += [ox.Triple(node, DAPP.toResource, host) for host in sorted(hosts, key=lambda h: h.value)]
    return triples


def forecast_triples(node: ox.NamedNode, action: ox.NamedNode, made: Forecast) -> list[ox.Triple]:
    """A forecast of an action."""
    triples = [
        ox.Triple(node, RDF.type, DAPP.Forecast),
        ox.Triple(node, DAPP.forAction, action),
        ox.Triple(action, DAPP.hasForecast, node),
        ox.Triple(node, DAPP.probability, number(round(made.probability, 6))),
        ox.Triple(node, DAPP.horizon, number(made.horizon)),
    ]
    if made.expected is not None:
        triples.append(ox.Triple(node, DAPP.expectedRecoveryTime, number(round(made.expected, 3))))
    return triples


def network_triples(
    node: ox.NamedNode, network: Network, incident: ox.NamedNode | None, analysis: Analysis
) -> list[ox.Triple]:
    """A network with its variables, functions and attractors. Parts are `<node>/variable/<name>`, `<node>/attractor/<n>`."""
    triples = [ox.Triple(node, RDF.type, DAPP.BooleanNetwork)]
    if incident is not None:
        triples.append(ox.Triple(node, DAPP.ofIncident, incident))

    def variable(name: str) -> ox.NamedNode:
        return ox.NamedNode(f"{node.value}/variable/{name}")

    for v in network.variables:
        it, function = variable(v.name), ox.NamedNode(f"{node.value}/variable/{v.name}/function")
        triples += [
            ox.Triple(node, DAPP.hasVariable, it),
            ox.Triple(it, RDF.type, DAPP.BooleanVariable),
            ox.Triple(it, DAPP.variableName, ox.Literal(v.name)),
            ox.Triple(it, DAPP.ofFeature, v.about),
            ox.Triple(it, RDFS.label, ox.Literal(v.says, language="en")),
            ox.Triple(it, DAPP.initialValue, ox.Literal(v.value)),
            ox.Triple(it, DAPP.hasUpdateFunction, function),
            ox.Triple(function, RDF.type, DAPP.UpdateFunction),
            ox.Triple(function, DAPP.expression, ox.Literal(v.function)),
            ox.Triple(function, DAPP.probability, number(1)),
        ]
    for place, attractor in enumerate(analysis.attractors, 1):
        it = ox.NamedNode(f"{node.value}/attractor/{place}")
        triples += [
            ox.Triple(node, DAPP.hasAttractor, it),
            ox.Triple(it, RDF.type, DAPP.Attractor),
            ox.Triple(it, DAPP.desirable, ox.Literal(attractor.desirable)),
        ]
        triples += [ox.Triple(it, DAPP.trueVariable, variable(name)) for name in attractor.true]
    return triples
