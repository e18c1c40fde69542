"""What reputation is computed from and what comes out: settlements, the numbers of a model, assessments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyoxigraph as ox


@dataclass(frozen=True, slots=True)
class Model:
    """The numbers of a reputation model. `half_life` days; priors pure numbers above 0; `confidence` between 0 and 1.

    `full_stake`: whole tokens at stake from which on a settlement weighs 1, less in proportion; `cap`: the most that all
    settlements with one counterparty weigh together, once decayed. `iri` None: the defaults here.
    """

    half_life: float = 90.0
    prior_alpha: float = 1.0
    prior_beta: float = 1.0
    confidence: float = 0.9
    full_stake: float = 1.0
    cap: float = 4.0
    iri: ox.NamedNode | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """One settled agreement as reputation sees it: `stake` in whole tokens; dimensions kept and broken, by rules."""

    iri: ox.NamedNode
    version: ox.NamedNode
    provider: ox.NamedNode
    consumer: ox.NamedNode
    at: datetime
    stake: float
    kept: frozenset[ox.NamedNode] = frozenset()
    broken: frozenset[ox.NamedNode] = frozenset()


@dataclass(frozen=True, slots=True)
class Assessment:
    """How likely a participant keeps its promises. `dimension` None: all of them.

    `expected` is the mean of Beta(alpha, beta), `bound` its lower credible bound, never above the mean. `rests_on`: the
    settlements that were counted, in order of IRI.
    """

    participant: ox.NamedNode
    dimension: ox.NamedNode | None
    alpha: float
    beta: float
    expected: float
    bound: float
    rests_on: tuple[ox.NamedNode, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Assessments in order of participant and dimension, by which model and rules, as of when."""

    model: Model
    now: datetime
    assessments: tuple[Assessment, ...]
    rules: tuple[ox.NamedNode, ...] = ()
