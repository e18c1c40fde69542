"""A name on a chain that follows a unit: wherever the unit is moved, the name resolves to where it answers now.

    runtime.followers.append(Named(kb, "rehearsal.live", "player-gateway", connect))

Level-triggered, like the loop that calls it: in every pass the end points are compared with what the registry was last told, and
only a difference makes a transaction. A chain that is away raises, is told as the loop's `follower_problem`, and is tried
again in the next pass. A unit that does not run leaves the name as it is: an old end point is no worse than none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.ledger import naming

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase
    from engine.ledger.home import Connected


class Named:
    """`unit` is a unit's short name, `connect` opens the chain the name is on, `sender` may move its end points."""

    def __init__(
        self, kb: KnowledgeBase, name: str, unit: str, connect: Callable[[], Connected], *, sender: str | None = None,
        application: str | None = None,
    ) -> None:  # fmt: skip
        self.kb, self.name, self.unit, self.application = kb, name, unit, application
        self.sender = sender or kb.author
        self.moves = 0
        self._connect = connect
        self._told: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    def __call__(self, peers: Mapping[str, Sequence[str]]) -> None:
        """Let the name follow; registers it when nobody has it yet."""
        now = tuple(sorted(peers.get(self.unit, ())))
        with self._lock:
            if not now or now == self._told:
                return
            with self._connect() as connected:
                found = naming.record(connected, self.name)
                if found.free:
                    naming.register(connected, self.sender, self.name, endpoints=now)
                elif self.sender.lower() not in (found.owner, found.operator):
                    raise InputError(
                        f"the name {self.name!r} is another's", place=f"chain {connected.record.name}", rule=f"owner {found.owner}",
                        remedy="choose another name, or let its owner make this key its operator",
                    )  # fmt: skip
                elif naming.move(connected, self.sender, self.name, now) is not None:
                    self.moves += 1
                naming.state_name(self.kb, connected, self.name, application=self.application)
            self._told = now
