"""What the page shows, as plain data: rows of the views `page-*`, grouped by the thing they are about.

The same data answers `/api/…`. Everything here is read from the public closure, so it is kept until what is public
changes: `etag` below is the public audience's entity tag, which the caller has just asked for.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyoxigraph as ox

from engine.catalogue.ml.quantities import symbol_of
from engine.errors import InputError
from engine.graph.wire import decode_term

Row = dict[str, str]
Json = dict[str, Any]
Call = Callable[..., Any]
PARTS = ("summary", "application", "plan", "runtime", "functions", "decisions", "findings")
KEPT = 200  # answers kept for one state
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
ENDED = frozenset(("Refused", "Abandoned"))


def tail(iri: str) -> str:
    """The last part of an IRI, for people: `…/rehearsal/composer` is `composer`."""
    return iri.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1].removeprefix("Country-")


def words(iri: str) -> str:
    """The name of a shipped thing in words: `dappi:CarriedOut` is `carried out`."""
    return WORDS.sub(" ", tail(iri)).lower()


def grouped(rows: Iterable[Row], key: str, many: Sequence[str] = ()) -> list[Json]:
    """One record for each value of `key`, in order of appearance: first values, and lists of distinct ones for `many`."""
    found: dict[str, Json] = {}
    for row in rows:
        record = found.setdefault(row[key], {name: [] for name in many})
        for name, value in row.items():
            if name not in many:
                record.setdefault(name, value)
            elif value not in record[name]:
                record[name].append(value)
    return list(found.values())


def named(record: Mapping[str, Any], label: str, iri: str) -> str:
    """A label, or the tail of the IRI when there is none."""
    return str(record.get(label) or tail(record.get(iri, "")))


class Content:
    """Reads a knowledge base through `call` (that of `KnowledgeBase`); for several threads at once."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._lock = threading.Lock()
        self._etag: str | None = None
        self._kept: dict[tuple[str, str], Json] = {}
        self._info: tuple[int, Json] = (-1, {})

    def info(self, tx: int) -> Json:
        """Node and graphs, private ones too, as of transaction `tx` or later: for this process, never for an answer."""
        known, found = self._info
        if known != tx:
            found = self.call("info")
            self._info = (int(found["head"]), found)
        return found

    def rows(self, view: str, **bindings: str) -> list[Row]:
        """Rows of a view as variable -> value; `bindings` are IRIs."""
        answer = self.call("view", name=view, bindings={name: str(_iri(iri)) for name, iri in bindings.items()})
        return [
            {name: _value(text) for name, text in zip(answer["variables"], row, strict=True) if text is not None}
            for row in answer["rows"]
        ]

    def part(self, name: str, etag: str, application: str = "") -> Json:
        """One of PARTS in the public state that `etag` names."""
        key = (name, application)
        with self._lock:
            if etag != self._etag:
                self._etag, self._kept = etag, {}
            if key in self._kept:
                return self._kept[key]
        made: Json = getattr(self, f"_{name}")(application)
        with self._lock:
            if etag == self._etag and len(self._kept) < KEPT:
                self._kept[key] = made
        return made

    def applications(self, etag: str) -> list[Json]:
        """Every application, those with running deployments first."""
        found: list[Json] = self.part("applications", etag)["applications"]
        return found

    # -- parts -------------------------------------------------------------------------------------------------------
    def _applications(self, _: str) -> Json:
        rows = self.rows("page-applications")
        return {
            "applications": [
                {
                    "iri": row["application"], "label": named(row, "label", "application"),
                    "units": int(row.get("units", 0)), "running": int(row.get("running", 0)),
                }
                for row in rows
            ]
        }  # fmt: skip

    def _summary(self, application: str) -> Json:
        runtime, plan = self._runtime(application), self._plan(application)
        wanted = [d for d in runtime["deployments"] if d["desired"] == "running"]
        return {
            "units": len(self._application(application)["units"]), "totals": plan["totals"], "wanted": len(wanted),
            "running": sum(d["state"] == "running" for d in wanted),
            "incidents": sum(not i["ended"] for i in runtime["incidents"]),
            "findings": len(self._findings(application)["findings"]),
        }  # fmt: skip

    def _application(self, application: str) -> Json:
        if not application:
            return {"units": [], "roles": []}
        units = [
            {
                "iri": u["unit"], "label": named(u, "label", "unit"),
                "kind": words(u.get("kind", "")).removesuffix(" unit"),
                "needs": u["needsLabel"] or [tail(n) for n in u["needs"]],
                "packages": [p.removesuffix(" package") for p in u["packageLabel"]],
            }
            for u in grouped(self.rows("page-units", application=application), "unit", ("needs", "needsLabel", "packageLabel"))
        ]  # fmt: skip
        rows = self.rows("page-requirements", application=application)
        labels = ("boundLabel", "allowedLabel", "forbiddenLabel")
        roles: dict[str, dict[tuple[str, str, bool], Json]] = {}
        for each in grouped(rows, "requirement", ("bound", "allowed", "forbidden", *labels)):
            role = named(each, "roleLabel", "role") if "role" in each else ""
            hard = tail(each.get("strictness", "")) != "Soft"
            whole = each.get("subject") == application
            # what a role asks of many units is told once
            told = roles.setdefault(role, {}).setdefault(
                (each.get("label", ""), asks(each), hard),
                {"label": each.get("label", ""), "asks": asks(each), "hard": hard, "subjects": [], "iris": []},
            )
            told["subjects"].append("the application" if whole else named(each, "subjectLabel", "subject"))
            told["iris"].append(each["requirement"])
        said = sorted((role for role in roles if role), key=str.lower) + ([""] if "" in roles else [])
        return {"units": units, "roles": [{"role": r, "requirements": list(roles[r].values())} for r in said]}

    def _plan(self, application: str) -> Json:
        rows = self.rows("page-plan", application=application) if application else []
        newest = rows[0]["decision"] if rows else ""
        chosen = grouped((r for r in rows if r["decision"] == newest), "unit", ("host",))
        placements = [
            {
                "unit": named(p, "unitLabel", "unit"), "offer": p["offer"], "type": p.get("type", tail(p["offer"])),
                "region": p.get("region", ""), "provider": p.get("provider", ""), "hosts": p["host"],
                "amount": float(p["amount"]) if "amount" in p else None, "currency": p.get("currency", ""),
            }
            for p in chosen
        ]  # fmt: skip
        totals: dict[str, float] = {}
        for placement in placements:
            if placement["amount"] is not None:
                totals[placement["currency"]] = totals.get(placement["currency"], 0.0) + placement["amount"]
        return {
            "decision": newest, "time": rows[0].get("time", "") if rows else "", "placements": placements,
            "totals": [{"currency": currency, "amount": round(amount, 9)} for currency, amount in sorted(totals.items())],
        }  # fmt: skip

    def _runtime(self, _: str) -> Json:
        deployments = [
            {
                "iri": d["deployment"], "unit": named(d, "unitLabel", "unit"), "host": named(d, "hostLabel", "host"),
                "desired": words(d.get("desired", "")), "state": words(d.get("state", "")), "since": d.get("since", ""),
                "generation": d.get("generation", ""), "endpoint": d.get("endpoint", ""), "box": words(d.get("box", "")),
            }
            for d in grouped(self.rows("page-deployments"), "deployment")
        ]  # fmt: skip
        hosts = [_host(h) for h in grouped(self.rows("page-hosts"), "host")]
        events = [
            {
                "time": e["time"], "kind": e["kind"].replace("-", " "), "about": named(e, "aboutLabel", "about"),
                "message": e.get("message", ""),
            }
            for e in grouped(self.rows("page-events"), "event")
        ]  # fmt: skip
        return {"deployments": deployments, "hosts": hosts, "events": events, "incidents": self._incidents()}

    def _incidents(self) -> list[Json]:
        actions: dict[str, list[Json]] = {}
        for row in grouped(self.rows("page-actions"), "action", ("target", "targetLabel", "toLabel")):
            actions.setdefault(row["incident"], []).append(_action(row))
        found: dict[str, Json] = {}
        for row in self.rows("page-incidents"):
            incident = found.setdefault(
                row["incident"],
                {
                    "iri": row["incident"], "label": named(row, "label", "incident"), "started": row.get("started", ""),
                    "detected": row.get("detected", ""), "ended": row.get("ended", ""), "anomalies": int(row.get("anomalies", 0)),
                    "provider": row.get("provider", ""), "hypotheses": {}, "actions": actions.get(row["incident"], []),
                },
            )  # fmt: skip
            if "hypothesis" in row:
                incident["hypotheses"].setdefault(row["hypothesis"], _hypothesis(row))
        return [{**incident, "hypotheses": list(incident["hypotheses"].values())} for incident in found.values()]

    def _functions(self, _: str) -> Json:
        functions: dict[str, Json] = {}
        rows = self.rows("page-functions")
        for row in grouped(rows, "function"):
            functions[row["function"]] = {
                "iri": row["function"], "label": named(row, "label", "function"), "description": row.get("description", ""),
                "variants": [],
            }  # fmt: skip
        for row in grouped((r for r in rows if "variant" in r), "variant", ("language", "packageLabel")):
            functions[row["function"]]["variants"].append(
                {
                    "label": named(row, "variantLabel", "variant"), "languages": row["language"],
                    "packages": [p.removesuffix(" package") for p in row["packageLabel"]],
                }
            )  # fmt: skip
        profiles = [
            {
                "function": p.get("functionLabel", ""), "variant": p.get("variantLabel", ""), "device": p.get("deviceLabel", ""),
                "box": p.get("box", ""), "size": int(p["size"]), "samples": p.get("samples", ""), "at": p.get("at", ""),
                "energySource": p.get("energySource", ""),
                **{name: float(p[name]) if name in p else None for name in ("time", "spread", "cold", "energy")},
            }
            for p in grouped(self.rows("page-profiles"), "profile")
        ]  # fmt: skip
        found = grouped(self.rows("page-devices"), "device", ("language",))
        devices = [
            {
                "label": named(d, "label", "device"), "node": named(d, "nodeLabel", "node"), "model": d.get("modelLabel", ""),
                "description": d.get("description", ""), "languages": d["language"],
            }
            for d in found
            if d.get("extension") != "true"
        ]  # fmt: skip
        extensions: dict[str, list[str]] = {}
        for each in found:
            if each.get("extension") == "true":
                extensions.setdefault(named(each, "nodeLabel", "node"), []).append(each.get("modelLabel", ""))
        return {
            "functions": list(functions.values()),
            "profiles": profiles,
            "devices": devices,
            "extensions": extensions,
        }

    def _decisions(self, _: str) -> Json:
        return {
            "decisions": [
                {
                    "iri": d["decision"], "name": tail(d["decision"]), "time": d["time"], "purpose": d.get("purpose", ""),
                    "application": named(d, "applicationLabel", "application"), "placements": int(d.get("placements", 0)),
                }
                for d in grouped(self.rows("page-decisions"), "decision")
            ]
        }  # fmt: skip

    def _findings(self, _: str) -> Json:
        found = self.call("findings")
        return {"findings": [{**f, "name": tail(f["about"]), "constraint": tail(f["shape"])} for f in found]}

    def _size(self, _: str) -> Json:
        return {"triples": int(self.rows("page-size")[0]["triples"])}

    def why(self, decision: str) -> Json:
        """Why a decision came out as it did."""
        made: Json = self.call("why", decision=_iri(decision).value)
        return made


def asks(requirement: Mapping[str, Any]) -> str:
    """What a requirement asks for, in a few words."""

    def values(name: str) -> list[str]:
        return requirement[f"{name}Label"] or [tail(v) if "://" in v else v for v in requirement[name]]

    parts = []
    if "metric" in requirement:
        unit = symbol_of(requirement["unit"]) if "unit" in requirement else ""
        bounds = ", ".join(values("bound"))
        parts.append(" ".join(x for x in (requirement["metric"], requirement.get("operator", ""), bounds, unit) if x))
    if requirement["allowed"]:
        parts.append("inside " + " or ".join(values("allowed")))
    if requirement["forbidden"]:
        parts.append("not inside " + " or ".join(values("forbidden")))
    if requirement.get("reachableOnly") == "true":
        parts.append("only where a driver reaches")
    return "; ".join(parts)


def _host(row: Mapping[str, Any]) -> Json:
    taken = int(row.get("taken", 0))
    power = taken * float(row["power"]) if "power" in row else None
    return {
        "iri": row["host"], "label": named(row, "label", "host"), "provider": row.get("provider", ""),
        "region": row.get("region", ""), "state": words(row.get("state", "")), "since": row.get("since", ""),
        "taken": taken, "slots": int(row["slots"]) if "slots" in row else None, "power": power,
        "powerCap": float(row["powerCap"]) if "powerCap" in row else None,
    }  # fmt: skip


def _hypothesis(row: Row) -> Json:
    return {
        "rank": row.get("rank", ""), "fault": row.get("fault", ""), "suspect": named(row, "suspectLabel", "suspect"),
        "confidence": float(row["confidence"]) if "confidence" in row else None, "confirmed": row.get("confirmed") == "true",
    }  # fmt: skip


def _action(row: Mapping[str, Any]) -> Json:
    status = tail(row.get("status", ""))
    return {
        "iri": row["action"], "label": named(row, "label", "action"), "status": words(status), "refused": status in ENDED,
        "targets": row["targetLabel"] or [tail(t) for t in row["target"]], "to": row["toLabel"],
        "blastRadius": row.get("blastRadius", ""),
        "recovered": row["recovered"] == "true" if "recovered" in row else None,
        **{
            name: float(row[name]) if name in row else None
            for name in ("probability", "horizon", "expected", "took", "brier")
        },
    }  # fmt: skip


def _value(text: str) -> str:
    term = decode_term(text)
    return str(term) if isinstance(term, ox.BlankNode | ox.Triple) else term.value


def _iri(text: str) -> ox.NamedNode:
    try:
        return ox.NamedNode(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is not an IRI", rule="an absolute IRI", remedy="take one from the page or /api"
        ) from error
