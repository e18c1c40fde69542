"""For each shipped recommend rule a sample in which it acts on `other`, the nearer of two components, and one in which it does not."""

from __future__ import annotations

from collections.abc import Callable

from search_data import World, node

from reasoners.vocab import DAPP, RDF

Sample = Callable[[World, bool], None]


def tagged(*bad: str, good: tuple[str, ...] = ("role::program",), always: tuple[str, ...] = ()) -> Sample:
    def build(world: World, fires: bool) -> None:
        world.tag(node("other"), *always, *(bad if fires else good))

    return build


def architecture(world: World, fires: bool) -> None:
    world.requires("wish", "ProcessorArchitecture", "Equal", "arm64")
    world.add(node("other"), DAPP.architecture, "x86_64" if fires else "arm64")


def storage(world: World, fires: bool) -> None:
    world.requires("wish", "StorageCapacity", "AtLeast", 0.5)
    world.add(node("other"), DAPP.installedSize, 600.0 if fires else 400.0)


def size_at_edge(world: World, fires: bool) -> None:
    world.add(world.unit, RDF.type, DAPP.InfrastructureUnit)
    world.requires("wish", "MemorySize", "AtLeast", 0.0625)
    world.add(node("other"), DAPP.installedSize, 100.0 if fires else 10.0)


def protocol(world: World, fires: bool) -> None:
    interface = world.add(node("interface"), RDF.type, DAPP.Interface)
    world.add(interface, DAPP.protocol, "http")
    world.add(world.unit, DAPP.providesInterface, interface)
    world.tag(node("good"), "protocol::http")
    world.tag(node("other"), "protocol::ftp" if fires else "protocol::http")


def stated(predicate: str) -> Sample:
    def build(world: World, fires: bool) -> None:
        elsewhere = world.add(node("elsewhere"), RDF.type, DAPP.FunctionalUnit, DAPP.ServiceUnit)
        world.add(node("other"), DAPP(predicate), world.unit if fires else elsewhere)

    return build


SAMPLES: dict[str, Sample] = {
    "recommend-not-to-run": tagged("role::documentation", always=("role::program",)),
    "recommend-only-to-build": tagged("role::devel-lib", good=("role::devel-lib", "role::shared-lib")),
    "recommend-display": tagged("interface::x11", good=("interface::x11", "interface::commandline")),
    "recommend-toolkit": tagged("uitoolkit::gtk", good=("uitoolkit::ncurses",)),
    "recommend-unmaintained": tagged("section::oldlibs", good=("section::libs",)),
    "recommend-plugin": tagged("role::plugin", good=("role::plugin", "role::program")),
    "recommend-architecture": architecture,
    "recommend-storage": storage,
    "recommend-size-at-edge": size_at_edge,
    "recommend-protocol": protocol,
    "recommend-stated": stated("excludedFor"),
    "recommend-stated-soft": stated("discouragedFor"),
}
SOFT = {
    "recommend-toolkit",
    "recommend-plugin",
    "recommend-size-at-edge",
    "recommend-protocol",
    "recommend-stated-soft",
}
