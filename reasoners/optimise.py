"""Mixed-integer programs on HiGHS: the one place that knows the solver.

A `Model` collects columns and sparse rows; `minimise` says what was found and how sure that is. The rest of the project
never sees the solver's own types. Source: https://ergo-code.github.io/HiGHS/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reasoners.errors import InputError, NotAvailableError

INFINITY = math.inf
Status = Literal["optimal", "feasible", "infeasible", "unbounded", "unknown"]
REMEDY = 'pip install "dappops[plan]"'


@dataclass(frozen=True, slots=True)
class Solution:
    """What the solver found. `gap` is relative to the objective (0: proven optimal); `values` is empty without one.

    `feasible` and `unknown` mean that the time limit came first, with and without a solution in hand.
    """

    status: Status
    values: tuple[float, ...]
    objective: float | None
    bound: float | None
    gap: float | None
    version: str


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The same model without integrality: a lower bound, and by how much each column's unit costs more than that.

    An integer column at 0 whose `reduced` cost is above the room between the bound and a known objective is 0 in every
    better solution (reduced cost fixing).
    """

    bound: float
    reduced: tuple[float, ...]


def solver_version() -> str:
    """Version of HiGHS. Raises NotAvailableError when it is not installed."""
    return str(_quiet(_load()).version())


class Model:
    """A minimisation. Columns and rows are numbered from 0 in the order in which they are added."""

    def __init__(self) -> None:
        self._cost: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._integer: list[bool] = []
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._start: list[int] = [0]
        self._index: list[int] = []
        self._value: list[float] = []

    @property
    def size(self) -> tuple[int, int, int]:
        """Columns, rows, non-zeros."""
        return len(self._cost), len(self._row_lower), len(self._index)

    def column(self, cost: float = 0.0, lower: float = 0.0, upper: float = INFINITY, *, integer: bool = False) -> int:
        """Add one column and return its number."""
        self._cost.append(cost)
        self._lower.append(lower)
        self._upper.append(upper)
        self._integer.append(integer)
        return len(self._cost) - 1

    def columns(
        self, costs: Iterable[float], lower: float = 0.0, upper: float = INFINITY, *, integer: bool = False
    ) -> range:
        """Add one column per cost, all with the same bounds, and return their numbers."""
        first = len(self._cost)
        self._cost.extend(costs)
        count = len(self._cost) - first
        self._lower.extend([lower] * count)
        self._upper.extend([upper] * count)
        self._integer.extend([integer] * count)
        return range(first, first + count)

    def row(
        self, columns: Iterable[int], values: Iterable[float], lower: float = -INFINITY, upper: float = INFINITY
    ) -> int:
        """Add `lower <= sum(values * columns) <= upper` and return its number."""
        self._index.extend(columns)
        self._value.extend(values)
        if len(self._index) != len(self._value):
            raise ValueError("a row needs one value per column")
        self._start.append(len(self._index))
        self._row_lower.append(lower)
        self._row_upper.append(upper)
        return len(self._row_lower) - 1

    def minimise(
        self, *, time_limit: float = 60.0, gap: float = 0.0, seed: int = 0, start: Sequence[float | None] | None = None
    ) -> Solution:
        """Solve within `time_limit` seconds, to a relative `gap`; `start` gives the
        columns of a known solution to begin from (None: to be completed).

        The same model and seed give the same answer. Raises NotAvailableError without HiGHS, InputError for numbers the
        solver does not accept.
        """
        highspy = _load()
        import numpy as np

        solver = self._solver(highspy, time_limit, seed, whole=True)
        solver.setOptionValue("mip_rel_gap", float(gap))
        solver.setOptionValue("mip_abs_gap", 1e-9)
        if start is not None:
            known = [i for i, v in enumerate(start) if v is not None]
            solver.setSolution(
                len(known), np.asarray(known, dtype=np.int32), np.asarray([start[i] for i in known], dtype=np.float64)
            )
        solver.run()
        return self._read(highspy, solver)

    def relax(self, *, time_limit: float = 60.0, seed: int = 0) -> Relaxation | None:
        """Solve without integrality; None when that has no optimum within the time limit."""
        highspy = _load()
        solver = self._solver(highspy, time_limit, seed, whole=False)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return Relaxation(
            float(solver.getInfo().objective_function_value), tuple(float(v) for v in solver.getSolution().col_dual)
        )

    def _solver(self, highspy: Any, time_limit: float, seed: int, *, whole: bool) -> Any:
        import numpy as np

        solver = _quiet(highspy)
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("time_limit", max(0.0, float(time_limit)))
        solver.setOptionValue("random_seed", int(seed))
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = len(self._cost), len(self._row_lower)
        program.col_cost_ = np.asarray(self._cost, dtype=np.float64)
        program.col_lower_ = np.asarray(self._lower, dtype=np.float64)
        program.col_upper_ = np.asarray(self._upper, dtype=np.float64)
        program.row_lower_ = np.asarray(self._row_lower, dtype=np.float64)
        program.row_upper_ = np.asarray(self._row_upper, dtype=np.float64)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.asarray(self._start, dtype=np.int32)
        program.a_matrix_.index_ = np.asarray(self._index, dtype=np.int32)
        program.a_matrix_.value_ = np.asarray(self._value, dtype=np.float64)
        if whole:
            kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
            program.integrality_ = [kinds[i] for i in self._integer]
        if solver.passModel(program) == highspy.HighsStatus.kError:
            raise InputError("the solver does not accept this model", remedy="look for numbers that are not finite")
        return solver

    def _read(self, highspy: Any, solver: Any) -> Solution:
        status = highspy.HighsModelStatus
        found = solver.getModelStatus()
        info = solver.getInfo()
        version = str(solver.version())
        if found in (status.kInfeasible,):
            return Solution("infeasible", (), None, None, None, version)
        if found in (status.kUnbounded, status.kUnboundedOrInfeasible):
            return Solution("unbounded", (), None, None, None, version)
        integral = any(self._integer)
        has_solution = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
        bound = float(info.mip_dual_bound) if integral else None
        if not has_solution:
            return Solution("unknown", (), None, bound, None, version)
        values = tuple(float(v) for v in solver.getSolution().col_value)
        objective = float(info.objective_function_value)
        if found in (status.kOptimal, status.kModelEmpty):
            proven = max(0.0, float(info.mip_gap)) if integral else 0.0
            return Solution("optimal", values, objective, bound if integral else objective, proven, version)
        gap = abs(objective - bound) / abs(objective) if bound is not None and objective else None
        return Solution("feasible", values, objective, bound, gap, version)


def _load() -> Any:
    try:
        import highspy
    except ImportError as error:
        raise NotAvailableError("the solver HiGHS is not installed", rule="highspy", remedy=REMEDY) from error
    return highspy


def _quiet(highspy: Any) -> Any:
    """A solver that writes nothing: the plain constructor prints a banner when it sets up callbacks, which we do not use."""

    class Quiet(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802
            pass

    return Quiet()
