"""Agreements judged by evidence: what each witness should vote, what was breached in which window, what is owed."""

from reasoners.enforce.judge import judge, surroundings
from reasoners.enforce.model import Breach, Judgement, WitnessFinding

__all__ = ["Breach", "Judgement", "WitnessFinding", "judge", "surroundings"]
