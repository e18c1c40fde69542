"""The composer's choice against exhaustive measurement: two functions, three sizes, a running box and a cold start.

Every variant is measured on every device in every box at the library's profile sizes; these profiles, as triples, are all
that the composer knows. Then every combination is measured at other sizes, the ones asked about, and the composer's choice
is compared with the best: regret = time(chosen) / time(best) - 1. For comparison: the regret of always taking one
combination, and the mean over all. Starts and warm calls of all combinations take turns, so that a busy moment hits all
alike; regret is of medians, beside it that of the least times (what a quiet machine would give). What is measured is what a
caller sees, transport into the box included. `~` marks a regret within the machine's noise: the quartiles of chosen and
best overlap. Writes results/compose.json.

Usage: python benchmarks/compose.py [budget seconds for one profile] [warm repeats] [cold starts]
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import engine
from engine.accelerators import packages
from engine.accelerators.devices import Device, discover
from engine.accelerators.library import function
from engine.accelerators.measuring import Workshop, measure, pairs, publish, workshop
from engine.accelerators.profiles import LEVELS, SIZES, call_of

SIZED = {
    "frame-filter": [{"width": 160, "height": 120}, {"width": 640, "height": 480}, {"width": 1920, "height": 1080}],
    "sha256-batch": [{"count": 64, "size": 64}, {"count": 4096, "size": 64}, {"count": 262_144, "size": 64}],
}  # fmt: skip
Key = tuple[str, str, str]  # variant, device, box


def exhaustive(
    shop: Workshop, works: list[tuple[packages.Package, Device]], parameters: dict[str, int], repeats: int, starts: int
) -> dict[Key, dict[str, Any]]:
    """Milliseconds of every combination for one call: warm median and quartiles, and the median of cold first answers."""
    name = works[0][0].function
    inputs, _ = call_of(name, function(name).items(parameters))
    inputs = (inputs * 2)[: function(name).input_bytes(parameters)]
    cold: dict[Key, list[float]] = {}
    warm: dict[Key, list[float]] = {}
    outputs: set[bytes] = set()
    sessions = {}
    for turn in range(starts):
        for package, device in works:
            key = (package.variant, device.slug, package.box)
            began = time.perf_counter()
            session = shop.opener(name, package.variant, device, package.box)
            output, _ = session.call(inputs, parameters)
            cold.setdefault(key, []).append(1e3 * (time.perf_counter() - began))
            warm[key] = []
            outputs.add(output)
            if turn == starts - 1:
                sessions[key] = session
            else:
                session.close()
    assert len(outputs) == 1, "variants differ"
    for _ in range(repeats):
        for key, session in sessions.items():
            began = time.perf_counter()
            session.call(inputs, parameters)
            warm[key].append(1e3 * (time.perf_counter() - began))
    for session in sessions.values():
        session.close()
    found = {}
    for key, times in warm.items():
        found[key] = {"warm": median(times), "cold": median(cold[key])}
        for case, series in (("warm", times), ("cold", cold[key])):
            first, _, third = quantiles(series, n=4, method="inclusive")
            found[key][f"{case}Quartiles"] = [first, third]
            found[key][f"{case}Least"] = min(series)
    return found


def main(budget: float = 10.0, repeats: int = 15, starts: int = 3) -> None:
    """Run the benchmark."""
    load = os.getloadavg()[0]
    found = discover()
    with tempfile.TemporaryDirectory() as folder, workshop(Path(folder) / "work") as shop:
        kb = engine.open(Path(folder) / "kb")
        node = publish(kb, found, shop.built)
        began = time.perf_counter()
        made, skipped = measure(shop, found, budget=budget)
        kb.call("publish_profiles", profiles=[p.as_json() for p in made], node=node)
        profiling = time.perf_counter() - began
        print(f"{len(made)} profiles in {profiling:.0f} s; left out: {skipped or 'nothing'}", flush=True)
        measured = {(p.function, p.variant, p.device, p.box) for p in made}
        results = []
        for name, sizes in SIZED.items():
            works = [(p, d) for p, d in pairs(shop, found, [name]) if (name, p.variant, d.slug, p.box) in measured]
            for parameters in sizes:
                gc.collect()
                times = exhaustive(shop, works, parameters, repeats, starts)
                for case, calls in (("warm", None), ("cold", 1)):
                    results.append(compare(kb, name, parameters, case, calls, times))
                    show(results[-1])
        fixed = always(results)
        for key, regret in sorted(fixed.items(), key=lambda item: item[1]["mean"]):
            print(f"always {key}: mean regret {regret['mean']:.2f}, worst {regret['worst']:.2f}")
        regrets = [r["regret"] for r in results]
        least = [r["regretOfLeast"] for r in results]
        print(
            f"composer: mean regret {mean(regrets):.3f}, worst {max(regrets):.3f}; of least times {mean(least):.3f}, {max(least):.3f}"
        )
        kb.close()
    report = {
        "host": {
            "processor": found.devices[0].name, "threads": found.devices[0].threads, "load before": load, "load after": os.getloadavg()[0],
            "devices": [d.name for d in found.devices[1:]], "python": platform.python_version(),
            "packages": {p: metadata.version(p) for p in ("numpy", "pyopencl", "wasmtime")},
        },
        "profiles": {
            "count": len(made), "seconds": round(profiling, 1), "sizes": {k: list(v) for k, v in SIZES.items()},
            "leftOut": skipped,
        },
        "repeats": repeats, "starts": starts, "cases": results,
        "regret": {
            "composer": {"mean": mean(regrets), "worst": max(regrets)},
            "composerOfLeast": {"mean": mean(least), "worst": max(least)},
            "always": fixed,
        },
    }  # fmt: skip
    path = Path(__file__).resolve().parent / "results" / "compose.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def compare(
    kb: engine.KnowledgeBase,
    name: str,
    parameters: dict[str, int],
    case: str,
    calls: int | None,
    times: dict[Key, dict[str, Any]],
) -> dict[str, Any]:
    """The choice for one case beside what was measured."""
    began = time.perf_counter()
    answer = kb.call(
        "choose_function", function=name, size=function(name).items(parameters), calls=calls, dry_run=True, misses=50
    )
    deciding = time.perf_counter() - began
    chosen, best = key_of(answer["chosen"]), min(times, key=lambda key: times[key][case])
    forecasts = {key_of(c): c["forecast"] for c in answer["candidates"] if c["eligible"]}
    errors = [
        abs((f["time"] + (f["cold"] if case == "cold" else 0.0)) / times[key][case] - 1)
        for key, f in forecasts.items() if key in times
    ]  # fmt: skip
    return {
        "function": name, "parameters": parameters, "case": case, "chosen": "/".join(chosen), "best": "/".join(best),
        "chosenMs": times[chosen][case], "bestMs": times[best][case], "forecastMs": answer["time"],
        "regret": times[chosen][case] / times[best][case] - 1,
        "regretOfLeast": times[chosen][f"{case}Least"] / min(t[f"{case}Least"] for t in times.values()) - 1,
        # the chosen one's lower quartile is not above the best one's upper: another run may find the other faster
        "withinNoise": times[chosen][f"{case}Quartiles"][0] <= times[best][f"{case}Quartiles"][1],
        "meanRegret": mean(t[case] for t in times.values()) / times[best][case] - 1,
        "forecastError": median(errors), "combinations": len(times), "decidedIn": deciding,
        "all": {"/".join(key): t for key, t in sorted(times.items())},
    }  # fmt: skip


def key_of(described: dict[str, Any]) -> Key:
    """Variant, device and box of a choice as data."""
    level = described["box"]["iri"].rsplit("#", 1)[-1]
    tail = [described[part]["iri"].rsplit("/", 1)[-1] for part in ("variant", "device")]
    return tail[0], tail[1], next(box for box, known in LEVELS.items() if known == level)


def always(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Regret of taking one combination for everything (only those that every case has)."""
    common = set.intersection(*(set(r["all"]) for r in results))
    found = {}
    for key in common:
        regrets = [r["all"][key][r["case"]] / r["bestMs"] - 1 for r in results]
        found[key] = {"mean": mean(regrets), "worst": max(regrets)}
    return found


def show(result: dict[str, Any]) -> None:
    """One line of the table."""
    what = "x".join(str(v) for v in result["parameters"].values())
    print(
        f"{result['function']:13} {what:>10} {result['case']:4}  chosen {result['chosen']:48} {result['chosenMs']:9.3f} ms"
        f"  best {result['best']:48} {result['bestMs']:9.3f} ms  regret {result['regret']:6.3f}{' ~' if result['withinNoise'] else '  '}"
        f" of least {result['regretOfLeast']:6.3f}"
        f"  (mean of all {result['meanRegret']:.2f}; forecast off by {result['forecastError']:.0%})",
        flush=True,
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(float(given[0]),) if given else (10.0,), *(int(x) for x in given[1:3]))
