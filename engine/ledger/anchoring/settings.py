"""When heads go to a chain, and what that may cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from engine.errors import InputError

HOUR, DAY = 3600, 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """What `DAPPOPS_ANCHOR_<NAME>` can change. A budget of 0 means none is set."""

    max_age: float = 300.0
    """Seconds the oldest head may wait before a batch goes: what a reader of a fresh commit has to wait at most."""
    max_heads: int = 100
    """So many waiting heads send a batch at once: a batch costs the same however many it holds."""
    urgent: tuple[str, ...] = ()
    """Graphs (IRIs or short names, separated by commas) whose heads go at once, each in a transaction of its own."""
    gas_per_hour: int = 0
    gas_per_day: int = 0
    wei_per_hour: int = 0
    wei_per_day: int = 0

    @staticmethod
    def of(environment: Mapping[str, str] | None = None) -> Settings:
        """From the environment; InputError names a value that does not fit."""
        given = os.environ if environment is None else environment
        values: dict[str, object] = {}
        for field in fields(Settings):
            name = f"DAPPOPS_ANCHOR_{field.name.upper()}"
            text = given.get(name)
            if text is None:
                continue
            if field.name == "urgent":
                values[field.name] = tuple(part.strip() for part in text.split(",") if part.strip())
                continue
            try:
                number = float(text) if field.name == "max_age" else int(text)
            except ValueError:
                number = -1
            if not 0 <= number < 1 << 62:
                raise InputError(
                    f"{text!r} is no such number", place=name, rule="0 or more", remedy="see docs/commands.md"
                )
            values[field.name] = number
        return Settings(**values)  # type: ignore[arg-type]

    def limits(self) -> list[tuple[str, int, int]]:
        """(`gas` or `wei`, seconds, amount) of the budgets that are set."""
        every = [
            ("gas", HOUR, self.gas_per_hour), ("gas", DAY, self.gas_per_day),
            ("wei", HOUR, self.wei_per_hour), ("wei", DAY, self.wei_per_day),
        ]  # fmt: skip
        return [limit for limit in every if limit[2]]
