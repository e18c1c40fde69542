"""What a keeper is told, as one value that travels to its process on the command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class KeeperOptions:
    """Which knowledge base, and how many replicas of it."""

    home: str  # folder of the knowledge base
    author: str = ""  # whose graphs the standard dataset shows, and who signs; empty: the node
    safe: bool = False  # open without local rules and shapes
    dataset: str = "union"  # of the replica of the public audience that always runs
    replica: str = ""  # query URL of a SPARQL 1.1 store that answers for the public audience; empty: a forking replica
    replica_update: str = ""  # its update URL; empty: the query URL
    most: int = 8  # replicas at once, besides the public one
    most_as_of: int = 3  # of them, of past states
    idle: float = 120.0  # seconds after which a replica nobody asks is let go, the public one excepted
    grace: float = 5.0  # seconds queries that run get at a stop

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> KeeperOptions:
        """What `to_text` wrote."""
        return cls(**json.loads(text))


__all__ = ["KeeperOptions"]
