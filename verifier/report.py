"""What came out: each check with its place, what the file shows, and what had to be believed of whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["holds", "fails", "not checked"]
_SHOWN = 400  # characters of one text from a file


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    place: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Belief:
    """Something that no hash and no signature shows. `of` is whom it is believed of; `nobody`: it stays open."""

    of: str
    what: str


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    checks: list[Check] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    beliefs: dict[Belief, None] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """No check failed, and there was something to check."""
        return bool(self.checks) and all(check.state != "fails" for check in self.checks)

    def judge(self, what: str, place: str, fault: str | None, detail: str = "") -> bool:
        """Note a check that holds (no fault) or fails; returns whether it holds."""
        self.checks.append(Check(what, place, "fails" if fault else "holds", fault or detail))
        return not fault

    def skip(self, what: str, place: str, why: str) -> None:
        """Note something that could not be looked at."""
        self.checks.append(Check(what, place, "not checked", why))

    def believe(self, of: str, what: str) -> None:
        """Note what has to be believed of somebody, once."""
        self.beliefs[Belief(of, what)] = None

    def show(self, text: str) -> None:
        """Note something the file shows, in words."""
        self.shown.append(text)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "holds": self.holds, "shown": self.shown,
            "checks": [{"what": c.what, "place": c.place, "state": c.state, "detail": c.detail} for c in self.checks],
            "trust": [{"of": b.of, "what": b.what} for b in self.beliefs],
        }  # fmt: skip

    def text(self, *, every: bool = False) -> str:
        """Lines for people; of the checks that hold only how many, unless `every`."""
        lines = [short(text) for text in self.shown]
        counts = {state: sum(c.state == state for c in self.checks) for state in ("holds", "fails", "not checked")}
        lines += [
            f"{check.state}: {check.what} ({check.place}){': ' if check.detail else ''}{short(check.detail)}"
            for check in self.checks if every or check.state != "holds"
        ]  # fmt: skip
        lines.append(
            f"{counts['holds']} checks hold, {counts['fails']} fail, {counts['not checked']} could not be made"
        )
        lines.append("The proof holds." if self.holds else "The proof does NOT hold.")
        if self.holds and self.beliefs:
            lines.append("What had to be believed:")
            lines += [f"- of {belief.of}: {belief.what}" for belief in self.beliefs]
        return "\n".join(lines)


def short(text: str, limit: int = _SHOWN) -> str:
    """A text on one line, cut off when long, with nothing that a terminal would obey."""
    printable = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[: limit + 1])
    return printable if len(text) <= limit else printable[:limit] + "…"
