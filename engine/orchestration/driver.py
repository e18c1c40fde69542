"""The port through which the reconcile loop starts and stops what runs: one driver for each kind of provider.

`Driver` is small so that another one (Kubernetes, Puppet, a TOSCA orchestrator) is a class and not a rewrite; what it must
do is `tests/orchestration/driver_compliance.py`. A driver knows processes and hosts. Plans, graphs, readiness and what to
do about a failure are the loop's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """What a driver can tell of something it started."""

    ALIVE = "alive"  # its process runs (whether it answers is another question)
    ENDED = "ended"  # it ran and is gone, or it could not be started
    UNREACHABLE = "unreachable"  # its host does not answer: nobody knows


@dataclass(frozen=True, slots=True)
class Workload:
    """One unit to run on one host. `generation` counts how often it has been asked to start anew."""

    deployment: str  # IRI
    unit: str  # short name, unique in one knowledge base
    host: str  # short name of the host, as the driver knows it
    generation: int
    program: str  # path of the file to start
    digest: str = ""  # `sha256:…` of the program as deployed; "" is not checked


@dataclass(frozen=True, slots=True)
class Running:
    """Something a driver started and has not been told to stop."""

    deployment: str
    unit: str
    host: str
    generation: int
    phase: Phase
    endpoint: str = ""  # http://address:port where it answers, or will
    box: str = ""  # what separates it from its node: `process`, `sandbox`
    detail: str = ""  # why it ended, as far as that is known
    pid: int = 0  # of its first process; 0 where that means nothing


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that a driver or fabric cannot do here, why, and what would change that."""

    what: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}" + (f" ({self.remedy})" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class Check:
    """What a driver finds here: the hosts that it can start something on, and what it must do without."""

    name: str
    hosts: tuple[str, ...]
    boxes: tuple[str, ...]
    limits: tuple[Limit, ...] = field(default=())


class Driver(Protocol):
    """Starts and stops workloads on hosts. Idempotent; one process for a deployment at any time; for several threads.

    What it has started is found again by another instance after this one was killed at any point. Errors: InputError for
    a host it does not know or a program that is not what was deployed, NotAvailableError for a host that does not answer.
    """

    def check(self) -> Check:
        """What can be done here, without doing any of it."""
        ...

    def observe(self) -> Sequence[Running]:
        """Everything that was started and not stopped, by this instance or an earlier one, in order of deployments.

        Something that ended stays, as ENDED, until it is stopped or started anew.
        """
        ...

    def start(self, workload: Workload) -> Running:
        """See to it that the workload runs; does not wait until it answers.

        A generation is started at most once: asking again tells how it is, also when it has ended. A higher generation,
        or the same one on another host, ends what ran before. A lower generation is refused (InputError).
        """
        ...

    def stop(self, deployment: str) -> None:
        """See to it that nothing of a deployment runs any more, and forget it; an unknown deployment is no error.

        Its generation stays used up.
        """
        ...

    def close(self) -> None:
        """Let go; what runs goes on."""
        ...
