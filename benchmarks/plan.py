"""How large a placement problem becomes, how fast its optimum is proven, and what a greedy planner loses.

`python benchmarks/plan.py [--quick]` writes benchmarks/results/plan.json. Two problems: 50 units x 5,000 options over 3 and
over 30 sites with a deadline (numbers only), and a whole catalogue in a graph, 12 units x 30,000 offers x 60 regions, from
triples to explained plan. CP-SAT is compared where `ortools` is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "plan")]

from plan_data import NOW, SHIPPED, VIEWS, catalogue  # noqa: E402

from reasoners.optimise import solver_version  # noqa: E402
from reasoners.plan import Options, plan  # noqa: E402
from reasoners.plan.improve import good_choice  # noqa: E402
from reasoners.plan.instance import Instance, path_limit  # noqa: E402
from reasoners.plan.reduce import dominance, in_time, least_time  # noqa: E402
from reasoners.plan.solve import solve  # noqa: E402


def synthetic(units: int, options: int, sites: int, slack: float, seed: int) -> Instance:
    """Speeds and prices that rise with them, random energy, a random call graph, random latencies between sites."""
    rng = np.random.default_rng(seed)
    speed = rng.lognormal(0, 0.5, (units, options))
    price = np.round(100 * speed**1.2 * rng.lognormal(0, 0.25, (units, options))) + 1
    work = rng.integers(50, 300, units)
    time_ms = np.maximum(1.0, np.round(work[:, None] / speed))
    energy = np.round(time_ms * rng.uniform(0.2, 2, (units, options)))
    trust, site = rng.random((units, options)), rng.integers(0, sites, (units, options))
    keep = [np.flatnonzero((trust[u] >= 0.5) & (site[u] % 3 < 2)) for u in range(units)]
    calls = sorted({(int(i), j) for j in range(1, units) for i in rng.integers(max(0, j - 6), j, 2)})
    latency = rng.integers(1, 60, (sites, sites)).astype(float)
    latency = (latency + latency.T) / 2
    np.fill_diagonal(latency, 0.0)
    instance = Instance(
        offer=keep,
        cost=[2 * price[u][k] + energy[u][k] for u, k in enumerate(keep)],
        time=[time_ms[u][k] for u, k in enumerate(keep)],
        region=[site[u][k].astype(np.int64) for u, k in enumerate(keep)],
        latency=latency,
    )
    everyone = set(range(units))
    roots, sinks = everyone - {b for _, b in calls}, everyone - {a for a, _ in calls}
    loose = path_limit(calls, roots, sinks, 1.0, hard=True)
    assert loose is not None
    limit = path_limit(calls, roots, sinks, least_time(instance, loose) * slack, hard=True)
    assert limit is not None
    instance.limits = [limit]
    return instance


def greedy(instance: Instance) -> float | None:
    """One unit at a time in call order, the cheapest option whose path can still be in time by the fastest of the rest."""
    (limit,) = instance.limits
    left = instance
    for u in limit.nodes:
        kept = in_time(left)
        if not len(kept[u]):
            return None
        best = kept[u][int(np.argmin(left.cost[u][kept[u]]))]
        left = left.keep([np.array([best]) if w == u else k for w, k in enumerate(kept)])
    return left.objective([0] * len(left.offer)) if left.feasible([0] * len(left.offer)) else None


def cp_sat(instance: Instance, seconds: float) -> dict[str, Any] | None:
    """The same reduced problem in CP-SAT, times and costs rounded to integers; None without ortools."""
    if importlib.util.find_spec("ortools") is None:
        return None
    from ortools.sat.python import cp_model

    (limit,) = instance.limits
    model, scale = cp_model.CpModel(), 100
    x = [[model.new_bool_var("") for _ in o] for o in instance.offer]
    done = {u: model.new_int_var(0, int(limit.bound * scale), "") for u in limit.nodes}
    place: list[dict[int, Any]] = []
    for u in instance.units:
        model.add_exactly_one(x[u])
        regions = sorted({int(r) for r in instance.region[u]})
        place.append({r: model.new_bool_var("") for r in regions})
        for r, y in place[u].items():
            model.add(sum(b for b, at in zip(x[u], instance.region[u], strict=True) if at == r) == y)
    spent = [
        sum(int(np.ceil(t * scale)) * b for t, b in zip(instance.time[u], x[u], strict=True)) for u in instance.units
    ]
    for u in limit.starts:
        model.add(done[u] >= spent[u])
    for a, b in limit.edges:
        z = {(r, s): model.new_bool_var("") for r in place[a] for s in place[b]}
        for r, y in place[a].items():
            model.add(sum(v for (p, _), v in z.items() if p == r) == y)
        for s, y in place[b].items():
            model.add(sum(v for (_, q), v in z.items() if q == s) == y)
        hop = sum(int(np.ceil(instance.latency[r, s] * scale)) * v for (r, s), v in z.items())
        model.add(done[b] >= done[a] + spent[b] + hop)
    model.minimize(
        sum(round(float(c) * scale) * b for u in instance.units for c, b in zip(instance.cost[u], x[u], strict=True))
    )
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds, solver.parameters.num_workers = seconds, 2
    begun = time.perf_counter()
    status = solver.status_name(solver.solve(model))
    return {
        "status": status,
        "objective": solver.objective_value / scale if status in ("OPTIMAL", "FEASIBLE") else None,
        "bound": solver.best_objective_bound / scale,
        "seconds": round(time.perf_counter() - begun, 2),
    }


def numbers_only(*, quick: bool, limit_s: float) -> list[dict[str, Any]]:
    out = []
    shape = (12, 500, 6) if quick else (50, 5000, 30)
    for sites, slack, seed in (
        (3, 1.2, 0),
        (3, 1.5, 0),
        (3, 2.0, 0),
        (shape[2], 1.2, 0),
        (shape[2], 1.5, 0),
        (shape[2], 2.0, 0),
    ):
        instance = synthetic(shape[0], shape[1], sites, slack, seed)
        begun = time.perf_counter()
        front = instance.keep(dominance(instance))
        timely = front.keep(in_time(front))
        reduce_s = time.perf_counter() - begun
        begun = time.perf_counter()
        local = good_choice(timely)
        local_s = time.perf_counter() - begun
        begun = time.perf_counter()
        answer = solve(instance, time_limit=limit_s)
        solve_s = time.perf_counter() - begun
        plain = greedy(timely)
        row = {
            "units": shape[0], "options_per_unit": shape[1], "sites": sites, "slack": slack, "calls": len(instance.limits[0].edges),
            "pairs": instance.pairs, "after_dominance": front.pairs, "after_time_bounds": timely.pairs,
            "after_reduced_costs": answer.reduced, "columns_rows_nonzeros": answer.size, "reduce_s": round(reduce_s, 2),
            "status": answer.status, "gap": answer.gap, "objective": answer.objective, "seconds_to_proof": round(solve_s, 2),
            "swaps_over_optimum": _over(timely.objective(local) if local else None, answer.objective), "swaps_s": round(local_s, 2),
            "greedy_over_optimum": _over(plain, answer.objective),
            "cp_sat": cp_sat(timely, limit_s),
        }  # fmt: skip
        out.append(row)
        print(json.dumps(row), flush=True)
    return out


def _over(value: float | None, best: float | None) -> float | None:
    return round(value / best, 4) if value is not None and best else None


def whole_catalogue(*, quick: bool, limit_s: float) -> list[dict[str, Any]]:
    out = []
    shape = {"types": 50, "regions": 8, "offers": 1000} if quick else {"types": 1400, "regions": 60, "offers": 30_000}
    for slack in (None, 900.0, 600.0):
        world = catalogue(**shape, units=12, slack=slack)
        view = world.view()
        begun = time.perf_counter()
        made = plan(view, world.app, SHIPPED, Options(time_limit=limit_s), views=VIEWS, now=NOW)
        row = {
            **shape, "units": 12, "deadline_ms": slack, "triples": len(world.triples), "rules": len(SHIPPED),
            "pairs": made.sizes.pairs, "eligible": made.sizes.eligible, "reduced": made.sizes.reduced,
            "columns_rows_nonzeros": (made.sizes.columns, made.sizes.rows, made.sizes.nonzeros), "status": made.status,
            "gap": made.gap, "objective": made.objective, "solver": made.solver,
            "seconds_graph_to_plan": round(time.perf_counter() - begun, 2),
        }  # fmt: skip
        out.append(row)
        print(json.dumps(row), flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small problems, seconds in all")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each solver run")
    asked = parser.parse_args()
    result = {
        "benchmark": "plan",
        "quick": asked.quick,
        "python": platform.python_version(),
        "highs": solver_version(),
        "catalogue": whole_catalogue(quick=asked.quick, limit_s=asked.limit),
        "numbers": numbers_only(quick=asked.quick, limit_s=asked.limit),
    }
    target = ROOT / "benchmarks" / "results" / "plan.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
