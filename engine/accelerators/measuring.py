"""Measures every package of the library on this host, and states what a choice needs: devices, library, packages.

The one place that brings devices, packages, boxes and profiles together; commands and benchmarks call it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.accelerators import boxes, library, packages
from engine.accelerators.devices import Device, Discovery
from engine.accelerators.packages import Package, Store
from engine.accelerators.power import Meter, power_model
from engine.accelerators.profiles import BUDGET, REPEATS, Opener, Profile, Subject, boxed, profile
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase


@dataclass(frozen=True, slots=True)
class Workshop:
    """The store of packages, all of them built, and an area in which boxes start."""

    store: Store
    built: Sequence[Package]
    area: boxes.Area

    @property
    def opener(self) -> Opener:
        """Sessions in the boxes that a broker uses."""
        return boxed(self.store, self.area)


@contextmanager
def workshop(home: Path | None) -> Iterator[Workshop]:
    """A workshop in a home (None: in a passing folder). Building is quick and gives the same bytes every time."""
    with tempfile.TemporaryDirectory(prefix="dappops-") as passing:
        root = home or Path(passing)
        store, area = packages.Store(root), boxes.Area(root / "run" / "boxes")
        try:
            yield Workshop(store, packages.build(store), area)
        finally:
            area.close()


def publish(kb: KnowledgeBase, found: Discovery, built: Sequence[Package]) -> str:
    """State devices, library and packages in the author's graphs; returns the IRI of this host's node."""
    node = str(kb.call("publish_devices", found=found.as_json(), author=kb.author)["node"])
    kb.call("publish_functions", author=kb.author)
    packages.publish(kb, built, author=kb.author)
    return node


def pairs(
    shop: Workshop,
    found: Discovery,
    names: Iterable[str] = (),
    variants: Collection[str] = (),
    chosen: Collection[str] = (),
) -> list[tuple[Package, Device]]:
    """Packages with the devices that they can run on; empty selections mean all. InputError when nothing matches."""
    functions = {library.function(name).id for name in names} or set(library.FUNCTIONS)
    matching = [
        p for p in shop.built
        if p.function in functions and (not variants or p.variant in variants) and (not chosen or p.box in chosen)
    ]  # fmt: skip
    if not matching:
        raise InputError(
            "no package is like this", rule="function, variant and box together", remedy="see `dappops function list`"
        )
    return [(p, d) for p in matching for d in found.devices if ("OpenCL" in d.models) == (p.variant == "opencl")]


def measure(
    shop: Workshop,
    found: Discovery,
    names: Iterable[str] = (),
    variants: Collection[str] = (),
    chosen: Collection[str] = (),
    *,
    sizes: Sequence[int] = (),
    repeats: int = REPEATS,
    budget: float = BUDGET,
    tell: Callable[[int, int | None, str], None] = lambda done, total, note: None,
) -> tuple[list[Profile], list[str]]:
    """Profiles of what `pairs` gives, and why others could not be measured here.

    `budget` seconds for each package; `tell` hears of progress. Raises InputError as `profiles.profile` does.
    """
    work = pairs(shop, found, names, variants, chosen)
    power, meter = power_model(found.devices[0]), Meter()
    made: list[Profile] = []
    skipped = list(found.missing)
    functions = list(dict.fromkeys(package.function for package, _ in work))
    for done, name in enumerate(functions):
        tell(done, len(functions), name)
        subjects = [Subject(p.variant, d, p.box) for p, d in work if p.function == name]
        more, why = profile(
            name,
            subjects,
            opener=shop.opener,
            power=power,
            sizes=sizes,
            repeats=repeats,
            budget=budget,
            meter=meter or None,
        )
        made += more
        skipped += why
    return made, list(dict.fromkeys(skipped))
