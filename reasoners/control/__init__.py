"""What to do about an incident: the running system as a Boolean network, actions, forecasts, and a choice with reasons."""

from reasoners.control.actions import candidates, cost, desired
from reasoners.control.aeon import Analysis, Question, analyse
from reasoners.control.decide import VIEWS, Check, Controlled, Judged, Options, control
from reasoners.control.dynamics import Course, Dynamics
from reasoners.control.expression import names
from reasoners.control.forecast import Experience, believed, experience, forecast, under
from reasoners.control.model import GOAL, Action, Deployment, Forecast, Network, Runtime, Suspect, Suspicion
from reasoners.control.network import build, faulted, read_runtime, settled
from reasoners.control.record import action_triples, forecast_triples, network_triples

__all__ = [
    "GOAL",
    "VIEWS",
    "Action",
    "Analysis",
    "Check",
    "Controlled",
    "Course",
    "Deployment",
    "Dynamics",
    "Experience",
    "Forecast",
    "Judged",
    "Network",
    "Options",
    "Question",
    "Runtime",
    "Suspect",
    "Suspicion",
    "action_triples",
    "analyse",
    "believed",
    "build",
    "candidates",
    "control",
    "cost",
    "desired",
    "experience",
    "faulted",
    "forecast",
    "forecast_triples",
    "names",
    "network_triples",
    "read_runtime",
    "settled",
    "under",
]
