"""An agreement with three witnesses, and for each rule of purpose enforce and audit a sample that fires and one that does not.

A sample is Turtle beside `AGREEMENT` and the triple that the rule writes when it fires.
"""

from __future__ import annotations

BASE = "https://w3id.org/dappops/g/0x"
ASSESSOR = f"{BASE}{'a' * 40}/"
PREFIXES = f"""
@prefix : <{BASE}{"c" * 40}/sla-live-v1/> .
@prefix me: <{ASSESSOR}agreements/> .
@prefix other: <{BASE}{"b" * 40}/agreements/> .
@prefix w1: <{BASE}{"1" * 40}/> . @prefix w2: <{BASE}{"2" * 40}/> . @prefix w3: <{BASE}{"3" * 40}/> .
@prefix dapp: <https://w3id.org/dappops#> .
@prefix dappi: <https://w3id.org/dappops/id#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""

AGREEMENT = """
:terms a dapp:AgreementVersion ; dapp:versionNumber 1 ;
  dapp:agreementProvider :harbour ; dapp:agreementConsumer :festival ;
  dapp:periodStart "2026-11-24T10:00:00Z"^^xsd:dateTime ; dapp:periodEnd "2026-11-24T10:10:00Z"^^xsd:dateTime ;
  dapp:promises :up, :quick ; dapp:hasPenalty :penalty ; dapp:hasPaymentCondition :fee ;
  dapp:witnessQuorum 2 ; dapp:hasWitness w1:self, w2:self, w3:self .
:up a dapp:ServiceLevelObjective ; dapp:constrains dappi:Availability ; dapp:operator dappi:AtLeast ; dapp:bound 99.0 ;
  dapp:tolerance 0.01 ; dapp:window 300.0 .
:quick a dapp:ServiceLevelObjective ; dapp:constrains dappi:ResponseTime ; dapp:operator dappi:AtMost ; dapp:bound 60.0 .
:penalty a dapp:Penalty ; dapp:compensation 5.0 ; dapp:onBreachOf :up .
:fee a dapp:PaymentCondition ; dapp:payment 10.0 .
dappi:Availability dapp:measures dappi:Reliability .
dappi:ResponseTime dapp:measures dappi:TimeBehaviour .
"""
WINDOWS = {1: ("10:00:00", "10:05:00"), 2: ("10:05:00", "10:10:00"), 0: ("10:00:00", "10:10:00")}


def evidence(
    witness: int,
    name: str,
    good: int,
    bad: int,
    *,
    objective: str = "up",
    window: int = 1,
    value: float | None = None,
    more: str = "",
    by: int | None = None,
) -> str:
    """Evidence that lies under a witness's authority; `by`: whom it names instead."""
    start, end = WINDOWS[window]
    observed = f" ; dapp:observedValue {value}" if value is not None else ""
    return f"""
w{witness}:{name} a dapp:Evidence ; dapp:measuredBy w{by or witness}:self ; dapp:forAgreement :terms ; dapp:ofObjective :{objective} ;
  dapp:periodStart "2026-11-24T{start}Z"^^xsd:dateTime ; dapp:periodEnd "2026-11-24T{end}Z"^^xsd:dateTime ;
  dapp:goodCount {good} ; dapp:badCount {bad}{observed}{more} .
"""


def settlement(state: str, *, where: str = "me", more: str = "") -> str:
    return f"""
{where}:settled a dapp:Settlement ; dapp:forAgreement :terms ; dapp:agreementState dappi:Agreement{state} ;
  dapp:settledAt "2026-11-24T10:20:00Z"^^xsd:dateTime . {more}
"""


def violation(objective: str, where: str = "me") -> str:
    return f"{where}:breach a dapp:Violation ; dapp:forAgreement :terms ; dapp:ofObjective :{objective} ."


COVERED = ":terms dapp:minimumCoverage 0.9 ."
MISSED = evidence(1, "e1", 95, 5)
ENFORCE = {
    "enforce-admit": (
        evidence(1, "e1", 100, 0), ":terms dapp:admitsEvidence w1:e1",
        [
            evidence(2, "e1", 100, 0, by=1),  # somebody else's word
            COVERED + evidence(1, "e1", 89, 0, more=" ; dapp:plannedCount 100"),
            evidence(1, "e1", 0, 0),
            evidence(1, "e1", 100, 0).replace("10:00:00", "09:55:00"),
            evidence(1, "e1", 100, 0).replace(":up ;", ":unpromised ;"),
        ],
    ),
    "enforce-missed": (
        MISSED, ":up dapp:missedIn w1:e1",
        [
            evidence(1, "e1", 99, 1),
            evidence(1, "e1", 60, 40, objective="quick", value=60.0),
            evidence(1, "e1", 60, 40, objective="quick"),
        ],
    ),
    "enforce-against": (
        MISSED, "w1:self dapp:findsAgainst :terms",
        [evidence(1, "e1", 100, 0), evidence(1, "e1", 0, 9, objective="quick", value=400.0)],  # not in the penalty
    ),
    "enforce-for": (
        evidence(1, "e1", 100, 0), "w1:self dapp:findsFor :terms",
        [
            MISSED,
            evidence(1, "e1", 9, 0, objective="quick", value=20.0),
            COVERED + evidence(1, "e1", 100, 0, more=" ; dapp:plannedCount 100")
            + evidence(1, "e2", 80, 0, window=2, more=" ; dapp:plannedCount 100"),
        ],
    ),
    "enforce-breach": (
        MISSED + evidence(2, "e1", 90, 10), ":up dapp:breachedIn w1:e1",
        [MISSED, MISSED + evidence(2, "e1", 90, 10, window=2), MISSED + evidence(2, "e1", 90, 10, by=3)],
    ),
    "enforce-penalty": (
        MISSED + evidence(2, "e1", 90, 10, window=2), ":terms dapp:owesPenalty :penalty",
        [MISSED + evidence(2, "e1", 100, 0), MISSED + evidence(1, "e2", 90, 10, window=2)],
    ),
}  # fmt: skip
"""Rule -> Turtle that fires, what it writes, and Turtle for each way in which it does not."""

AUDIT = {
    "audit-broken": (
        settlement("Violated"), "me:settled dapp:brokenDimension dappi:TimeBehaviour",
        [
            settlement("Kept"),
            settlement("Expired"),
            settlement("Violated", where="other"),
            settlement("Violated", more=violation("up")).replace("10:20", "10:21"),
        ],
    ),
    "audit-kept": (
        settlement("Violated", more=violation("up")), "me:settled dapp:keptDimension dappi:TimeBehaviour",
        [
            settlement("Violated"),
            settlement("Violated", more=violation("quick")),
            settlement("Violated", more=violation("up", "other")),
            settlement("Kept", where="other"),
            settlement("Cancelled"),
        ],
    ),
}  # fmt: skip
