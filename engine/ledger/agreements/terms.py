"""Terms as people write them, a mapping or a small YAML file, and terms that follow from a plan; both become a `Version`.

agreement: stream-ingest            # name; letters, digits, - and .
provider: https://…                 # IRI; providerAccount when its IRI and dapp:identifier carry no address
on: https://…                       # the unit, deployment or offer that it is about
start: "+30"                        # a time, or seconds from now
seconds: 3600                       # how long the period is
settleWithin: 600                   # seconds after the end in which witnesses vote
payment: 1.5                        # tokens, when kept
compensation: 0.5                   # tokens, when violated
witnessFee: 0.001
quorum: 2                           # default: more than half
objectives:
  - {metric: Availability, atLeast: 99, tolerance: 0.01}
witnesses: [0x…, 0x…, 0x…]
measure:
  - {http: "https://…/health", every: 1, timeout: 2, expect: ok}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyoxigraph as ox

from engine.catalogue.ml import parse as yaml_parse
from engine.catalogue.ml.positions import Reporter
from engine.errors import InputError, did_you_mean
from engine.graph.names import authority_over
from engine.ledger.agreements.model import COVERAGE, RATIOS, TIMES, Engagement, Objective, Version, checked, seconds_of
from engine.ledger.agreements.probes import KINDS, Probe
from engine.ledger.chain import lower
from engine.ledger.money import to_wei
from reasoners.vocab import DAPPI

Json = Mapping[str, Any]
KEYS = frozenset(
    {"agreement", "provider", "providerAccount", "consumer", "consumerAccount", "on", "start", "seconds", "settleWithin", "payment",
     "compensation", "witnessFee", "quorum", "objectives", "witnesses", "measure", "nonce", "coverage", "basedOn"}
)  # fmt: skip
OPERATORS = {"atLeast": DAPPI.AtLeast, "atMost": DAPPI.AtMost, "equal": DAPPI.Equal}
LONGEST = 64 - len("sla--v999")  # of an agreement's name: a graph's has 64 characters
TOLERANCES = {**dict.fromkeys((m.value for m in TIMES), 0.05)}  # the metric is a 95th percentile
MEDIAN = 0.5
MAX_TEXT = 100_000  # characters of a file of terms


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agreement is to be opened and who proposes it: chain, contract, and the base of the proposer's graphs."""

    base: str  # <base>/g/<address>
    chain_id: int
    contract: str
    now: float
    identifiers: Mapping[str, str]  # participant -> account, where the graph says it


def read_yaml(text: str, name: str) -> dict[str, Any]:
    """A YAML (or JSON) file of terms as a mapping of texts, lists and mappings; InputError with the first mistake's place."""
    if len(text) > MAX_TEXT:
        raise InputError("the file is too long for terms", place=name, rule=f"at most {MAX_TEXT} characters")
    report = Reporter(name, yaml_parse.line_widths(text), [])
    parsed = yaml_parse.parse(text, report)
    if report.errors:
        first = report.sorted()[0]
        raise InputError(first.message, place=str(first.place), rule=first.rule, remedy=first.remedy)

    def plain(node: yaml_parse.Node | None) -> Any:
        if isinstance(node, yaml_parse.Mapping):
            return {k.text: plain(v) for k, v in node.entries}
        if isinstance(node, yaml_parse.Sequence):
            return [plain(item) for item in node.items]
        return None if node is None or node.null else node.text

    found = plain(parsed.root)
    if not isinstance(found, dict):
        raise InputError("terms are a mapping", place=name, remedy="see docs/agreements.md")
    return found


def account_of(participant: str, known: Mapping[str, str], given: str | None, place: str) -> str:
    """A participant's account: as given, from its dapp:identifier, or from an IRI that carries it."""
    if given:
        return str(lower(str(given)))
    if participant in known:
        return str(lower(known[participant]))
    found = authority_over(ox.NamedNode(participant))
    if found and found.startswith("0x") and participant.rstrip("/").endswith(f"{found}/self"):
        return found
    raise InputError(
        "the account of this participant is not known", place=participant, rule="an account signs and pays",
        remedy=f"give {place}, or a dapp:identifier of the participant",
    )  # fmt: skip


def version_of(terms: Json, where: Place, *, number: int = 1, previous: str = "") -> Version:
    """The version that terms make; InputError names the key at fault."""
    unknown = sorted(set(terms) - KEYS)
    if unknown:
        raise InputError(
            f"no term {unknown[0]!r}{did_you_mean(unknown[0], KEYS)}", place="terms", rule=" ".join(sorted(KEYS))
        )
    missing = [
        k for k in ("agreement", "provider", "consumer", "on", "objectives", "witnesses", "measure") if not terms.get(k)
    ]
    if missing:
        raise InputError(f"terms without {missing[0]}", place=missing[0], remedy="see docs/agreements.md")
    name = re.sub("[^a-z0-9._-]+", "-", str(terms["agreement"]).lower()).strip("-._")
    if not name or len(name) > LONGEST:
        raise InputError(f"{terms['agreement']!r} names no agreement", rule=f"1 to {LONGEST} letters, digits, - . _")
    provider, consumer = str(terms["provider"]), str(terms["consumer"])
    start = _start(terms.get("start", "+30"), where.now)
    seconds, within = _number(terms, "seconds", 3600.0), _number(terms, "settleWithin", 600.0)
    if seconds < 1 or within < 1:
        raise InputError("a time of less than a second", place="seconds, settleWithin", rule="at least 1 s each")
    end = start + round(seconds)
    objectives = tuple(_objective(o) for o in _list(terms, "objectives"))
    witnesses = [_witness(w, where.base) for w in _list(terms, "witnesses")]
    return checked(
        Version(
            graph=f"{where.base}/sla-{name}-v{number}", provider=provider, consumer=consumer,
            provider_account=account_of(provider, where.identifiers, terms.get("providerAccount"), "providerAccount"),
            consumer_account=account_of(consumer, where.identifiers, terms.get("consumerAccount"), "consumerAccount"),
            on=str(terms["on"]), objectives=objectives,
            engagements=tuple(
                Engagement(iri, account, *_measure(m, objectives))
                for iri, account in witnesses
                for m in _list(terms, "measure")
            ),
            price=to_wei(str(terms.get("payment", "0")), "payment"),
            compensation=to_wei(str(terms.get("compensation", "0")), "compensation"),
            fee=to_wei(str(terms.get("witnessFee", "0")), "witnessFee"),
            quorum=int(_number(terms, "quorum", len(witnesses) // 2 + 1)), start=start, end=end,
            settle_by=end + round(within), nonce=int(_number(terms, "nonce", 0)), chain_id=where.chain_id,
            contract=lower(where.contract), coverage=_number(terms, "coverage", COVERAGE), previous=previous,
            based_on=str(terms.get("basedOn") or ""),
        )
    )  # fmt: skip


def terms_of(version: Version) -> dict[str, Any]:
    """A version as the mapping that makes it: what a counter offer changes some keys of."""
    from engine.ledger.money import to_tokens

    first = version.engagements[0].account
    operators = {node.value: key for key, node in OPERATORS.items()}
    return {
        "agreement": version.name, "provider": version.provider, "providerAccount": version.provider_account,
        "consumer": version.consumer, "consumerAccount": version.consumer_account, "on": version.on,
        "start": str(version.start), "seconds": version.end - version.start, "settleWithin": version.settle_by - version.end,
        "payment": to_tokens(version.price).value, "compensation": to_tokens(version.compensation).value,
        "witnessFee": to_tokens(version.fee).value, "quorum": version.quorum, "coverage": version.coverage,
        "basedOn": version.based_on, "nonce": version.nonce,
        "objectives": [
            {
                "metric": o.metric, operators[o.operator]: o.bound, "tolerance": o.tolerance,
                **({"window": o.window} if o.window else {}), **({"label": o.label} if o.label else {}),
            }
            for o in version.objectives
        ],
        "witnesses": list(dict.fromkeys(e.witness for e in version.engagements)),
        "measure": [
            {
                e.probe.kind: e.probe.target, "every": e.interval, "timeout": e.probe.timeout,
                **({"query": e.probe.query} if e.probe.query else {}), **({"expect": e.probe.expect} if e.probe.expect else {}),
                **({"for": [version.objectives[p].metric for p in e.objectives]} if e.objectives else {}),
            }
            for e in version.engagements if e.account == first
        ],
    }  # fmt: skip


# -- parts -----------------------------------------------------------------------------------------------------------
def _number(terms: Json, key: str, default: float) -> float:
    value = terms.get(key)
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{value!r} is no number", place=key) from error


def _list(terms: Json, key: str) -> Sequence[Any]:
    value = terms.get(key)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"{key} is a list", place=key, remedy="see docs/agreements.md")
    return value


def _start(text: Any, now: float) -> int:
    said = str(text)
    if said.startswith("+"):
        return round(now + _number({"start": said[1:]}, "start", 0))
    return seconds_of(said, "start")


def _objective(said: Any) -> Objective:
    if not isinstance(said, Mapping):
        raise InputError(f"{said!r} is no objective", place="objectives", remedy="{metric: Availability, atLeast: 99}")
    allowed = {"metric", "tolerance", "window", "label", *OPERATORS}
    if unknown := sorted(set(said) - allowed):
        raise InputError(f"no key {unknown[0]!r}{did_you_mean(unknown[0], allowed)}", place="objectives")
    named = str(said.get("metric", ""))
    metric = named if "://" in named else DAPPI(named.removeprefix("dappi:")).value
    operators = [key for key in OPERATORS if key in said]
    if not named or len(operators) != 1:
        raise InputError("an objective has a metric and one bound", place=named, rule="one of atLeast, atMost, equal")
    key = operators[0]
    bound = _number(said, key, 0)
    return Objective(
        metric, OPERATORS[key].value, bound, _number(said, "tolerance", _tolerance(metric, bound)), _number(said, "window", 0),
        str(said.get("label") or ""),
    )  # fmt: skip


def _tolerance(metric: str, bound: float) -> float:
    """The share of measurements that may miss so that counting them agrees with the metric's own statistic."""
    if metric == DAPPI.Availability.value:
        return max(0.0, 1 - bound / 100)
    if metric == DAPPI.Reachability.value:
        return max(0.0, 1 - bound)
    if metric == DAPPI.ErrorRatio.value:
        return min(bound, 0.999999)
    return TOLERANCES.get(metric, MEDIAN)


def _witness(said: Any, base: str) -> tuple[str, str]:
    """(IRI, account) of a witness named by its account, or by the IRI that carries it."""
    text = str(said)
    if "://" in text:
        return text, account_of(text, {}, None, "the account")
    return f"{base.rsplit('/', 1)[0]}/{lower(text)}/self", str(lower(text))


def _measure(said: Any, objectives: Sequence[Objective]) -> tuple[Probe, float, tuple[int, ...]]:
    if not isinstance(said, Mapping):
        raise InputError(f"{said!r} is nothing to measure", place="measure", remedy='{http: "https://…", every: 1}')
    allowed = {"every", "timeout", "query", "expect", "for", *KINDS}
    if unknown := sorted(set(said) - allowed):
        raise InputError(f"no key {unknown[0]!r}{did_you_mean(unknown[0], allowed)}", place="measure")
    kinds = [k for k in KINDS if k in said]
    if len(kinds) != 1:
        raise InputError("one way to measure each", place="measure", rule=f"one of {', '.join(KINDS)}")
    probe = Probe(
        kinds[0], str(said[kinds[0]]), _number(said, "timeout", 2.0), str(said.get("query") or ""),
        str(said.get("expect") or ""),
    )  # fmt: skip
    wanted = [w if "://" in w else DAPPI(w).value for w in map(str, said.get("for") or ())]
    places = tuple(i for i, o in enumerate(objectives) if o.metric in wanted)
    if len(places) < len(wanted):
        raise InputError(
            "it is for an objective that is not promised", place="measure", rule="for: metrics of objectives"
        )
    return probe, _number(said, "every", 1.0), places


__all__ = ["KEYS", "RATIOS", "Place", "account_of", "read_yaml", "terms_of", "version_of"]
