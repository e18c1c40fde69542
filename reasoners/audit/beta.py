"""Beta reputation: promises kept and broken become the two parameters of a Beta distribution.

Source: A. Jøsang, R. Ismail, The Beta Reputation System, Proc. 15th Bled Electronic Commerce Conference, 2002: alpha is
the prior and what was kept, beta the prior and what was broken, older outcomes forgotten exponentially, the mean
alpha / (alpha + beta) the expected probability. Added here: a lower credible bound, so that little evidence is worth
less than much of the same; weight by money at stake; a cap for each counterparty.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import pyoxigraph as ox

from reasoners.audit.model import Model, Settled

SECONDS_A_DAY = 86_400.0


def weight(settled: Settled, model: Model, now: datetime) -> float:
    """How much a settlement counts now: money at stake, at most in full, halved with each half-life; 0 for the future."""
    age = (now - settled.at).total_seconds() / SECONDS_A_DAY
    if age < 0 or settled.stake <= 0:
        return 0.0
    return min(1.0, settled.stake / model.full_stake) * math.pow(0.5, age / model.half_life)


def parameters(outcomes: Iterable[tuple[Settled, bool]], model: Model, now: datetime) -> tuple[float, float]:
    """(alpha, beta) of (settlement, whether it was kept) pairs of one participant, in any order.

    When all with one counterparty weigh more than the model's cap they are scaled down together, so that their ratio
    stays. One more kept never lowers alpha / (alpha + beta), one more broken never raises it.
    """
    sides: dict[ox.NamedNode, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for settled, kept in outcomes:
        sides[settled.consumer][0 if kept else 1].append(weight(settled, model, now))
    alphas, betas = [model.prior_alpha], [model.prior_beta]
    for kept_weights, broken_weights in sides.values():
        good, bad = math.fsum(kept_weights), math.fsum(broken_weights)
        scale = min(1.0, model.cap / (good + bad)) if good + bad > 0 else 1.0
        alphas.append(good * scale)
        betas.append(bad * scale)
    return math.fsum(alphas), math.fsum(betas)


def expected(alpha: float, beta: float) -> float:
    """The mean of Beta(alpha, beta)."""
    return alpha / (alpha + beta)


def lower_bound(alpha: float, beta: float, confidence: float) -> float:
    """The value that is exceeded with probability `confidence` under Beta(alpha, beta), never above the mean.

    The inverse of the regularised incomplete beta function (https://dlmf.nist.gov/8.17). With parameters far below 1 a
    quantile can pass the mean; the mean is told then.
    """
    from scipy.special import betaincinv

    return min(float(betaincinv(alpha, beta, 1.0 - confidence)), expected(alpha, beta))
