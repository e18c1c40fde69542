"""A small application on small hosts in a knowledge base of its own: three units, four hosts of two providers that the
driver reaches, and an offer of one that it does not."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

from orchestration_harness import PROGRAM, sweep

from engine.cli import main

FOLDER = PROGRAM.parent

HOSTS = """dappops: 1
catalogue:
  - {id: near, type: CentralisedProvider, name: Near, jurisdiction: PT}
  - {id: far, type: CentralisedProvider, name: Far, jurisdiction: ES}
  - {id: beyond, type: CentralisedProvider, name: Beyond, jurisdiction: ES}
  - {id: coast, type: Region, name: Coast, within: PT, operatedBy: near,
     energyMix: {type: EnergyMix, id: coast-mix, carbonIntensity: 100, powerUsageEffectiveness: 1.1}}
  - {id: plain, type: Region, name: Plain, within: ES, operatedBy: far,
     energyMix: {type: EnergyMix, id: plain-mix, carbonIntensity: 100, powerUsageEffectiveness: 1.1}}
  - {id: slot, type: ResourceType, name: Slot, vcpus: 1, memory: 128 MiB, clockFrequency: 1 GHz, architecture: x86_64,
     powerModel: {type: PowerModel, id: slot-power, idlePower: 4 W, peakPower: 14 W}}
  - {id: near-slot, type: ServiceOffer, offersType: slot, offeredBy: near, region: coast, capacityLimit: 4,
     price: {type: PriceSpecification, id: near-price, amount: 0.01, currency: USD, perUnit: HR}}
  - {id: far-slot, type: ServiceOffer, offersType: slot, offeredBy: far, region: plain, capacityLimit: 4,
     price: {type: PriceSpecification, id: far-price, amount: 0.02, currency: USD, perUnit: HR}}
  - {id: beyond-slot, type: ServiceOffer, offersType: slot, offeredBy: beyond, region: plain, capacityLimit: 4,
     price: {type: PriceSpecification, id: beyond-price, amount: 0.5, currency: USD, perUnit: HR}}
  - {id: near-1, type: [EmulatedHost, EdgeNode], name: Near 1, operatedBy: near, obtainedThrough: near-slot,
     region: coast, processorShare: 0.4}
  - {id: near-2, type: [EmulatedHost, EdgeNode], name: Near 2, operatedBy: near, obtainedThrough: near-slot,
     region: coast, processorShare: 0.4}
  - {id: far-1, type: [EmulatedHost, CloudNode], name: Far 1, operatedBy: far, obtainedThrough: far-slot,
     region: plain, processorShare: 0.4}
  - {id: far-2, type: [EmulatedHost, CloudNode], name: Far 2, operatedBy: far, obtainedThrough: far-slot,
     region: plain, processorShare: 0.4}
  - {id: near-1-line, type: NetworkLink, source: near-1, sink: coast, latency: 0.2 ms, bandwidth: 20 MB/s}
  - {id: near-2-line, type: NetworkLink, source: near-2, sink: coast, latency: 0.2 ms, bandwidth: 20 MB/s}
  - {id: far-1-line, type: NetworkLink, source: far-1, sink: plain, latency: 0.2 ms, bandwidth: 20 MB/s}
  - {id: far-2-line, type: NetworkLink, source: far-2, sink: plain, latency: 0.2 ms, bandwidth: 20 MB/s}
  - {id: coast-plain, type: NetworkLink, source: coast, sink: plain, latency: 2 ms, bandwidth: 10 MB/s}
  - {id: local-driver, type: Driver, name: Local driver, reaches: [near, far]}
"""

APPLICATION = """dappops: 1
application:
  id: shop
  name: Small shop
  units:
    - {{id: web, type: FunctionalUnit, name: Web, workload: 0.01, dependsOn: [basket], requires: {{vcpus: ">= 1"}},
       implementedBy: {{id: web-program, type: ProcessPackage, name: Web program, entryPoint: {program}}}}}
    - {{id: basket, type: FunctionalUnit, name: Basket, workload: 0.01, dependsOn: [stock], requires: {{vcpus: ">= 1"}},
       implementedBy: {{id: basket-program, type: ProcessPackage, name: Basket program, entryPoint: {program}}}}}
    - {{id: {third}, type: InfrastructureUnit, name: Stock, workload: 0.01, requires: {{vcpus: ">= 1"}},
       implementedBy: {{id: stock-program, type: ProcessPackage, name: Stock program, entryPoint: {program}}}}}
  objectives: {{cost: 1.0}}
"""


def run(home: Path, *args: str | Path) -> tuple[int, Any, str]:
    """A command in this process: exit code, its JSON document (None when it printed none), what it said besides."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(["--home", str(home), *map(str, args), "--json"])
    except SystemExit as leave:
        code = leave.code
    try:
        data = json.loads(out.getvalue())
    except ValueError:
        data = None
    return int(code or 0), data, out.getvalue() + err.getvalue()


def ok(home: Path, *args: str | Path) -> Any:
    """A command that must succeed."""
    code, data, said = run(home, *args)
    assert code == 0, said
    return data


def make_home(home: Path, *, third: str = "stock", plan: bool = True) -> Path:
    """A knowledge base with hosts, the application, and its plan."""
    home.mkdir(parents=True, exist_ok=True)
    files = home.parent / f"{home.name}-files"
    files.mkdir()
    (files / "hosts.yaml").write_text(HOSTS)
    text = APPLICATION.format(program=PROGRAM.name, third=third).replace("[stock]", f"[{third}]")
    (files / "shop.yaml").write_text(text)
    ok(home, "init")
    ok(home, "commit", files / "hosts.yaml", "--graph", "hosts")
    ok(home, "commit", files / "shop.yaml", "--graph", "shop")
    if plan:
        ok(home, "plan", "shop")
    return home


def copied(template: Path, home: Path) -> Path:
    """A copy of a knowledge base that nobody has open."""
    shutil.copytree(template, home)
    return home


__all__ = ["FOLDER", "copied", "make_home", "ok", "run", "sweep"]
