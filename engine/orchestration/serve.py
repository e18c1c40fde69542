"""Methods of the owner about what should run: read and write under one lock, so that two callers cannot both raise a number.

Registered in `engine.graph.service`. The public face is `engine.orchestration.deployments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pyoxigraph as ox

from engine import resources
from engine.errors import InputError, did_you_mean
from engine.graph.kernel import Kernel
from engine.graph.service import Caller, Json, method
from engine.orchestration import programs
from engine.orchestration.deployments import (
    DESIRED,
    GRAPH,
    Arranged,
    Deployed,
    Placement,
    Problem,
    Row,
    arrange,
    assign,
    deployed_of,
    hosts_of,
    stopped,
    tail,
    triples,
)
from reasoners.graph import View
from reasoners.vocab import DAPP, RDF


@cache
def _views() -> dict[str, str]:
    return {p.stem: p.read_text(encoding="utf-8") for p in resources.files("queries/views", "deploy-*.rq")}


def rows(view: View, name: str, **bound: str) -> list[Row]:
    """Rows of one of the views `deploy-*`; `bound` binds variables to IRIs."""
    given = {ox.Variable(k): ox.NamedNode(v) for k, v in bound.items()}
    found = view.select(_views()[name], substitutions=given)
    names = [v.value for v in found.variables]
    return [{n: t for n, t in zip(names, row, strict=True) if t is not None} for row in found]


class _Desk:
    """One caller's changes to the desired state, under the lock."""

    def __init__(self, kernel: Kernel, params: Json, caller: Caller) -> None:
        self.kernel, self.caller = kernel, caller
        self.author = (params.get("author") or kernel.node).lower()
        self.graph = kernel.resolve(GRAPH, self.author)
        self.view = kernel.store.view()

    def deployments(self) -> list[Deployed]:
        """The author's own: what others deploy is theirs."""
        return [d for d in deployed_of(rows(self.view, "deploy-status")) if d.iri.startswith(f"{self.graph}/")]

    def one(self, iri: str) -> Deployed:
        """A deployment; InputError names those there are."""
        known = {d.iri: d for d in self.deployments()}
        if iri in known:
            return known[iri]
        names = [d.name for d in known.values()]
        raise InputError(
            f"there is no deployment {tail(iri)!r}{did_you_mean(tail(iri), names)}", place=self.graph,
            remedy=f"one of {', '.join(names)}" if names else "run `dappops deploy` first",
        )  # fmt: skip

    def commit(self, wanted: Sequence[Deployed], message: str) -> Json:
        """Bring the desired state of these deployments, and the digests of their packages, to what is wanted."""
        store, here = self.kernel.store.store, ox.NamedNode(self.graph)
        new: set[ox.Triple] = set()
        old: set[ox.Triple] = set()
        for each in wanted:
            new.update(triples(each))
            me = ox.NamedNode(each.iri)
            old.update(q.triple for p in DESIRED for q in store.quads_for_pattern(me, p, None, here))
            if each.package and each.digest:
                package = ox.NamedNode(each.package)
                said = {q.triple for q in store.quads_for_pattern(package, DAPP.digest, None, here)}
                fresh = ox.Triple(package, DAPP.digest, ox.Literal(each.digest))
                if fresh not in self.view:  # its maker says the same: once is enough
                    new.add(fresh)
                else:
                    said.discard(fresh)
                old.update(said)
        receipt = self.kernel.commit(
            {self.graph: (list(old - new), list(new - old))}, author=self.author,
            sign=lambda digest: self.caller.sign(self.author, digest), message=message,
        )  # fmt: skip
        return receipt.as_json()


def _answer(arranged: Arranged, application: str, plan: str, receipt: Json | None) -> Json:
    return {
        "application": application, "plan": plan, "receipt": receipt,
        "deployments": [
            {
                "deployment": d.iri, "unit": tail(d.unit), "host": tail(d.host), "generation": d.generation,
                "change": arranged.changes[d.unit],
            }
            for d in arranged.deployments
        ],
        "problems": [{"unit": tail(p.unit), "reason": p.reason, "remedy": p.remedy} for p in arranged.problems],
    }  # fmt: skip


@method
def deploy(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Make an application's deployments follow its newest plan, or the one named; see `deployments.deploy`."""
    application = params["application"]
    with kernel.lock.held():
        desk = _Desk(kernel, params, caller)
        plan, placements = _plan(desk, application, params.get("plan"))
        current = desk.deployments()
        hosts = hosts_of(rows(desk.view, "deploy-hosts"))
        lost = {tail_row["host"].value for tail_row in rows(desk.view, "deploy-host-states") if _lost(tail_row)}
        others = [d.host for d in current if d.application != application and d.desired == "Running"]
        chosen, problems = assign(
            placements, hosts, {d.unit: d.host for d in current if d.application == application},
            {h: others.count(h) for h in others}, frozenset(lost),
        )  # fmt: skip
        packages, missing = _packages(desk, application, chosen, Path(params["programs"]))
        chosen = {unit: host for unit, host in chosen.items() if unit in packages}
        planned = frozenset(p.unit for p in placements)
        found = arrange(desk.graph, application, plan, chosen, packages, current, planned)
        arranged = Arranged(found.deployments, found.changes, (*problems, *missing))
        receipt = None
        if not params.get("dry_run") and arranged.deployments:
            receipt = desk.commit(arranged.deployments, f"deploy {tail(application)}: {_words(arranged)}")
        return _answer(arranged, application, plan, receipt)


def _lost(row: Row) -> bool:
    return "state" in row and tail(str(row["state"].value)) in ("Lost", "Failed")


def _words(arranged: Arranged) -> str:
    counts: dict[str, int] = {}
    for change in arranged.changes.values():
        counts[change] = counts.get(change, 0) + 1
    return ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))


def _plan(desk: _Desk, application: str, wanted: str | None) -> tuple[str, list[Placement]]:
    """The author's newest plan that chose something, and its placements."""
    own = f"{desk.kernel.base}/g/{desk.author}/"
    found: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows(desk.view, "deploy-plan", application=application):
        decision = str(row["decision"].value)
        if wanted in (None, decision) and (wanted or decision.startswith(own)):
            number = decision.rsplit("-", 1)[-1]
            key = (str(row["time"].value), int(number) if number.isdigit() else 0, decision)
            found.setdefault(key, []).append(row)
    if not found:
        if ox.Triple(ox.NamedNode(application), RDF.type, DAPP.QualityCriticalApplication) not in desk.view:
            raise InputError("there is no such application", place=application, remedy="commit its description first")
        raise InputError(
            "this plan chose nothing" if wanted else "the application has no plan", place=wanted or application,
            remedy=f"run `dappops plan {tail(application)}`",
        )  # fmt: skip
    newest = max(found)
    placements = {
        str(r["unit"].value): Placement(
            str(r["unit"].value), str(r["offer"].value), str(r["provider"].value) if "provider" in r else ""
        )
        for r in found[newest]
    }
    return newest[2], [placements[unit] for unit in sorted(placements)]


def _packages(
    desk: _Desk, application: str, units: dict[str, str], folder: Path
) -> tuple[dict[str, tuple[str, str, str]], list[Problem]]:
    """unit -> (package, entry point, digest of what is there now), and the units that cannot be started."""
    here = ox.NamedNode(desk.graph)
    found: dict[str, tuple[str, str, str]] = {}
    problems: dict[str, Problem] = {}
    for row in rows(desk.view, "deploy-packages", application=application):
        unit, package, entry = (str(row[n].value) for n in ("unit", "package", "entryPoint"))
        if unit not in units or unit in found:
            continue
        try:
            digest = programs.digest(programs.find(folder, entry))
        except InputError as error:
            problems[unit] = Problem(unit, f"its program cannot be started: {error.message}", error.remedy)
            continue
        quads = desk.kernel.store.store.quads_for_pattern(ox.NamedNode(package), DAPP.digest, None)
        told = {
            q.object.value for q in quads
            if q.graph_name not in (here, ox.DefaultGraph()) and isinstance(q.object, ox.Literal)
        }  # fmt: skip
        if told and digest not in told:
            problems[unit] = Problem(
                unit, f"the program is not the one its package names: {digest} instead of {', '.join(sorted(told))}",
                "bring the right program, or publish the package anew",
            )  # fmt: skip
            continue
        found[unit] = (package, entry, digest)
        problems.pop(unit, None)
    for unit in units:
        if unit not in found and unit not in problems:
            problems[unit] = Problem(unit, "it has no package that is started as a process", "state dapp:implementedBy")
    return found, list(problems.values())


@method
def undeploy(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Deployments of an application, or all of the author's, are not to run."""
    with kernel.lock.held():
        desk = _Desk(kernel, params, caller)
        application = params.get("application")
        found = [d for d in desk.deployments() if application in (None, d.application) and d.desired == "Running"]
        wanted = [stopped(d) for d in found]
        receipt = None
        if wanted:
            receipt = desk.commit(wanted, f"undeploy {tail(application) if application else 'everything'}")
        return _answer(Arranged(tuple(wanted), {d.unit: "stopped" for d in wanted}), application or "", "", receipt)


@method
def restart(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """The next generation of a deployment, on the same host."""
    with kernel.lock.held():
        desk = _Desk(kernel, params, caller)
        return _next(desk, desk.one(params["deployment"]), None)


@method
def migrate(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """The next generation of a deployment, on another host."""
    with kernel.lock.held():
        desk = _Desk(kernel, params, caller)
        hosts = {h.iri: h for h in hosts_of(rows(desk.view, "deploy-hosts")) if h.reached}
        if params["host"] not in hosts:
            names = [tail(h) for h in hosts]
            raise InputError(
                f"no driver reaches a host {tail(params['host'])!r}{did_you_mean(tail(params['host']), names)}",
                place=params["deployment"], remedy=f"one of {', '.join(names) or 'none'}",
            )  # fmt: skip
        return _next(desk, desk.one(params["deployment"]), params["host"])


def _next(desk: _Desk, old: Deployed, host: str | None) -> Json:
    new = Deployed(
        old.iri, old.unit, old.application, host or old.host, old.generation + 1, "Running", old.plan, old.package,
        old.entry, old.digest,
    )  # fmt: skip
    word = "restart" if host in (None, old.host) else "migrate"
    where = f" from {tail(old.host)} to {tail(new.host)}" if word == "migrate" else f" on {tail(new.host)}"
    receipt = desk.commit([new], f"{word} {old.name}{where}, generation {new.generation}")
    change = {"restart": "restarted", "migrate": "moved"}[word]
    return _answer(Arranged((new,), {new.unit: change}), old.application, old.plan, receipt)


__all__ = ["deploy", "migrate", "restart", "rows", "undeploy"]
