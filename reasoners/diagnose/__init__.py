"""Deviation from a baseline and its root cause: signals in, anomalies and ranked hypotheses out."""

from reasoners.diagnose.detect import Options, Trait, detect, learn, metrics, opens_incident
from reasoners.diagnose.diagnose import INCIDENT, Weighing, anomaly_triples, diagnose, moment
from reasoners.diagnose.model import Anomaly, Baseline, Diagnosis, Hypothesis, Signal

__all__ = [
    "INCIDENT",
    "Anomaly",
    "Baseline",
    "Diagnosis",
    "Hypothesis",
    "Options",
    "Signal",
    "Trait",
    "Weighing",
    "anomaly_triples",
    "detect",
    "diagnose",
    "learn",
    "metrics",
    "moment",
    "opens_incident",
]
