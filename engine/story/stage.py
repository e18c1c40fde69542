"""What the steps of the story share: the knowledge base, the settings, what earlier steps left, and where they tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import NotAvailableError
from engine.kb import KnowledgeBase

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the story is played. Times in seconds; rates per second.

    `mode` is how hosts are emulated: `namespaces`, `plain`, or `auto` (namespaces where this machine lets us).
    """

    seed: int = 7
    mode: str = "auto"
    source: str = "cloud"  # catalogue: cloud, ec2, azure, none
    opencl: bool = True
    measure: float = 1.5  # for one variant on one device in one box
    learn: float = 30.0
    patience: float = 60.0
    recovery: float = 45.0
    until_period: float = 45.0  # from an agreement's signing to its first period: provisioning lies between
    period: float = 20.0  # of an agreement
    witnesses_ready: float = 14.0  # before the next period's witnesses may be disturbed by nothing
    afterwards: float = 25.0  # of the next period, after the moment something breaks
    frame_rate: float = 4.0
    cameras: int = 3

    def key(self) -> dict[str, Any]:
        """What must be the same for a run to be gone on with."""
        return {"mode": self.mode, "source": self.source, "opencl": self.opencl}


@dataclass(slots=True)
class Told:
    """What one step says: lines for people, data for programs, and what this machine did not let it do."""

    lines: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)

    def lacks(self, what: str | NotAvailableError) -> None:
        """Note what was not available here, once."""
        text = str(what)
        if text not in self.missing:
            self.missing.append(text)


@dataclass(slots=True)
class Stage:
    """One run of the story on one knowledge base; `left` is the data of the steps that ended, by number."""

    kb: KnowledgeBase
    settings: Settings
    examples: Path
    left: dict[int, dict[str, Any]] = field(default_factory=dict)
    progress: Progress = lambda what, done, total: None

    @property
    def home(self) -> Path | None:
        """Folder of the knowledge base; None when it is kept in memory."""
        return self.kb.home

    def forget_the_last_rehearsal(self) -> None:
        """Retract what an earlier story here observed (it stays in the log): its incidents are no record of a new one."""
        for name in ("operation", "proposals"):
            graph = self.kb.graph_iri(name)
            held = [q.triple for q in self.kb.quads(graph=graph)]
            if held:
                self.kb.commit(graph, (), held, message="a new rehearsal: what the last one observed is retracted")
        graph = self.kb.graph_iri("agreements")
        told = [q.triple for q in self.kb.quads(graph=graph) if str(q.subject).startswith(f"<{graph}/reputation/")]
        if told:
            self.kb.commit(
                graph, (), told, message="a new rehearsal: reputations are reckoned anew once something is settled"
            )

    @property
    def application(self) -> str:
        """IRI of the application that step 1 described."""
        return str(self.left[1]["application"])
