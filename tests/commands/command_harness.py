"""Runs the command line in this process or in one of its own, and the small world that the tests play in."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cli import main

PREFIXES = """@prefix dapp: <https://w3id.org/dappops#> .
@prefix dappi: <https://w3id.org/dappops/id#> .
@prefix dcterms: <http://purl.org/dc/terms/> .
@prefix ex: <https://example.org/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix unit: <http://qudt.org/vocab/unit/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""

# name: vCPUs, memory in GiB, burstable, idle W, peak W
TYPES = {
    "tiny": (1, 1, True, 1, 2),
    "swift": (2, 4, True, 2, 5),
    "solid": (2, 4, False, 3, 6),
    "big": (8, 32, False, 9, 30),
}
# name: country, gCO2e/kWh, factor on prices
REGIONS = {"north": ("SE", 20, "1.0"), "south": ("PT", 200, "0.9")}
PRICES = {"tiny": 10, "swift": 20, "solid": 30, "big": 100}  # thousandths of a dollar an hour

SHOP = """dappops: 1
application:
  id: shop
  name: Small shop
  units:
    - {id: web, type: FunctionalUnit, name: Web, workload: 0.01, dependsOn: [ledger],
       requires: {vcpus: ">= 2", memory: ">= 4 GiB"}}
    - {id: ledger, type: TrustUnit, name: Ledger, workload: 0.01,
       requires: {vcpus: ">= 2", memory: ">= 4 GiB"}}
  objectives: {cost: 1.0}
"""


def catalogue() -> str:
    """Two regions of one provider with four types each, as Turtle; relative IRIs."""
    out = [
        PREFIXES,
        '<provider> a dapp:CentralisedProvider ; rdfs:label "Example Cloud"@en ; dapp:identifier "https://example.org/cloud" ;'
        " dapp:legalJurisdiction dappi:Country-SE .",
    ]
    for name, (cpus, memory, burstable, idle, peak) in TYPES.items():
        out.append(
            f'<type/{name}> a dapp:ResourceType ; rdfs:label "{name}"@en ; dapp:vcpus {cpus} ; dapp:memory {memory}.0 ;'
            f" dapp:clockFrequency 3.0 ; dapp:burstable {str(burstable).lower()} ; dapp:hasPowerModel <type/{name}/power> ."
            f" <type/{name}/power> a dapp:PowerModel ; dapp:idlePower {idle}.0 ; dapp:peakPower {peak}.0 ."
        )
    for region, (country, carbon, factor) in REGIONS.items():
        out.append(
            f'<region/{region}> a dapp:Region ; rdfs:label "{region}"@en ; dapp:within dappi:Country-{country} ;'
            f" dapp:hasEnergyMix <region/{region}/mix> ."
            f" <region/{region}/mix> a dapp:EnergyMix ; dapp:carbonIntensity {carbon}.0 ; dapp:powerUsageEffectiveness 1.2 ."
        )
        for name, price in PRICES.items():
            out.append(
                f"<offer/{name}/{region}> a dapp:ServiceOffer ; dapp:offersType <type/{name}> ; dapp:offeredBy <provider> ;"
                f" dapp:inRegion <region/{region}> ; dapp:hasPrice <offer/{name}/{region}/price> ."
                f" <offer/{name}/{region}/price> a dapp:PriceSpecification ; dapp:amount {price * float(factor) / 1000:.4f} ;"
                f' dapp:currency "USD" ; dapp:perUnit unit:HR ; dapp:term dappi:OnDemand .'
            )
    return "\n".join(out) + "\n"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def run(*args: str | Path, home: Path | None = None, stdin: str = "") -> Done:
    """Run a command in this process."""
    given = [str(a) for a in args]
    if home is not None:
        given = ["--home", str(home), *given]
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(given)
    except SystemExit as leave:
        code = leave.code
    finally:
        sys.stdin = before
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def start(*args: str | Path, home: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    if home is not None:
        environment["DAPPOPS_HOME"] = str(home)
    return subprocess.Popen(
        [sys.executable, "-m", "engine.cli", *map(str, args)],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for a started command."""
    out, err = process.communicate(timeout=120)
    return Done(process.returncode, out, err)


def ok(*args: str | Path, home: Path | None = None, stdin: str = "") -> Any:
    """Run a command with --json that must succeed, and return its document."""
    done = run(*args, "--json", home=home, stdin=stdin)
    assert done.code == 0, done.out + done.err
    return done.json


def rows(answer: Any) -> list[tuple[str | None, ...]]:
    """Rows of a JSON result as plain values."""
    return [
        tuple(b[v]["value"] if v in b else None for v in answer["head"]["vars"]) for b in answer["results"]["bindings"]
    ]


def chosen(plan: Any) -> dict[str, str]:
    """Unit -> `type/region` of a plan."""
    return {p["unit"]["iri"].rsplit("/", 1)[-1]: p["offer"].split("/offer/")[-1] for p in plan["placements"]}


def head(home: Path) -> int:
    """Number of the newest transaction."""
    number: int = ok("doctor", home=home)["knowledgeBase"]["head"]
    return number
