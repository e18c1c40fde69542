"""What to do about an incident: the running system as a Boolean network, actions, forecasts, and a choice with reasons."""

from reasoners.control.actions import desired
from reasoners.control.aeon import Analysis, Question, analyse
from reasoners.control.decide import VIEWS, Check, Controlled, Judged, Options, control
from reasoners.control.dynamics import Course, Dynamics
from reasoners.control.forecast import Experience, believed, experience, forecast, under
from reasoners.control.model import GOAL, Action, Forecast, Network, Runtime, Suspect, Suspicion
from reasoners.control.network import build, read_runtime
from reasoners.control.record import action_triples, forecast_triples, network_triples

__all__ = [
    "GOAL",
    "VIEWS",
    "Action",
    "Analysis",
    "Check",
    "Controlled",
    "Course",
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
    "control",
    "desired",
    "experience",
    "forecast",
    "forecast_triples",
    "network_triples",
    "read_runtime",
    "under",
]
