"""What `dappops serve` was told, as one value that travels to the worker processes in the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from engine.replicas.limits import Limits

VARIABLE = "DAPPOPS_SERVE"
DATASETS = ("union", "standard")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the front, the identity and the operations read. Paths are absolute."""

    home: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1  # front processes
    author: str = ""  # who signs writes of callers who have not signed in; empty: the node
    safe: bool = False
    writable: bool = False  # whether anything can be changed through it
    dataset: str = "union"  # or "standard": the default graph is one graph, graph names are free (for suites and tools)
    public: bool = False  # listens to others: insists on TLS or a stated proxy
    tls_certificate: str = ""
    tls_key: str = ""
    proxy: str = ""  # the one address whose Forwarded headers count
    names: tuple[str, ...] = ()  # host names it answers for, besides loopback
    origins: tuple[str, ...] = ()  # origins of pages elsewhere that may ask (CORS); "*" for any, without credentials
    replica: str = ""  # query URL of a SPARQL 1.1 store to read from; empty: forking replicas
    replica_update: str = ""  # its update URL, where that is another
    token_minutes: int = 60
    log: str = "text"  # or "json"
    limits: Limits = field(default_factory=Limits)

    def to_environment(self) -> dict[str, str]:
        """The variable that carries this to a child process."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, said: Mapping[str, str] = os.environ) -> Settings:
        """What `to_environment` wrote; KeyError where it was not set."""
        data = json.loads(said[VARIABLE])
        data["limits"] = Limits(**data["limits"])
        for name in ("names", "origins"):
            data[name] = tuple(data[name])
        return cls(**data)
