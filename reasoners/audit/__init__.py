"""Reputation from settled agreements: Beta distributions with decay, lower credible bounds, by whose settlements count."""

from reasoners.audit.audit import assess, assessment_triples, audit, model_of, moment, settlements
from reasoners.audit.beta import expected, lower_bound, parameters, weight
from reasoners.audit.model import Assessment, Audit, Model, Settled

__all__ = [
    "Assessment",
    "Audit",
    "Model",
    "Settled",
    "assess",
    "assessment_triples",
    "audit",
    "expected",
    "lower_bound",
    "model_of",
    "moment",
    "parameters",
    "settlements",
    "weight",
]
