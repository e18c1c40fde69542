"""Measuring: what is measured, in bounded time, what it costs in energy, and what it leaves in the graph."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.accelerators import runners
from engine.accelerators.devices import Device, Discovery, discover, processor
from engine.accelerators.library import function
from engine.accelerators.measuring import measure, pairs, publish, workshop
from engine.accelerators.power import Meter, PowerModel, power_model
from engine.accelerators.profiles import (
    LEAST,
    LEVELS,
    SIZES,
    Profile,
    Session,
    Subject,
    call_of,
    profile,
    profile_triples,
)
from engine.errors import InputError, NotAvailableError
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPP

CPU, EXTENSIONS = processor()
POWER = PowerModel(2.0, "estimated for the test")


class Here:
    """A session in this very process: the real runner, no box."""

    def __init__(self, name: str, variant: str) -> None:
        self._runner = runners.load(name, variant)
        self.calls = 0

    def call(self, inputs: bytes, parameters: Mapping[str, int]) -> tuple[bytes, float]:
        before = os.times()
        output = self._runner.call(inputs, parameters)
        after = os.times()
        self.calls += 1
        return output, after.user + after.system - before.user - before.system

    def close(self) -> None:
        self.calls = -1


def here(name: str, variant: str, device: Device, box: str) -> Session:
    return Here(name, variant)


def ticking(step: float = 0.5) -> Callable[[], float]:
    """A clock that goes on by `step` seconds each time it is read."""
    ticks = itertools.count()
    return lambda: next(ticks) * step


@pytest.mark.parametrize("name", sorted(SIZES))
def test_sizes_are_close_enough_to_predict_between(name: str) -> None:
    sizes = SIZES[name]
    assert all(b / a <= 8 for a, b in itertools.pairwise(sizes))
    for size in sizes:
        inputs, parameters = call_of(name, size)
        assert function(name).check(parameters, inputs)
        assert function(name).items(parameters) == pytest.approx(size, rel=0.02)


def test_profile_has_median_and_quartiles_at_each_size() -> None:
    made, failed = profile(
        "sha256-batch", [Subject("native", CPU, "process")], opener=here, power=POWER, sizes=(64, 8, 64), repeats=5
    )
    assert failed == []
    assert [p.size for p in made] == [8, 64]
    for each in made:
        assert 0 < each.lower <= each.time <= each.upper
        assert each.samples == 5
        assert each.cold >= 0
        assert (each.variant, each.device, each.box) == ("native", "cpu", "process")
        assert each.energy_source == "estimated for the test"


def test_profile_leaves_larger_sizes_out_when_its_time_is_used_up() -> None:
    made, _ = profile(
        "sha256-batch", [Subject("native", CPU, "process")], opener=here, power=POWER, sizes=(1, 2, 4, 8, 16), repeats=9,
        budget=10.0, clock=ticking(),
    )  # fmt: skip
    assert made  # the first size in any case
    assert len(made) < 5
    assert all(p.samples >= LEAST for p in made)


def test_profile_goes_on_when_one_subject_is_not_available() -> None:
    def opener(name: str, variant: str, device: Device, box: str) -> Session:
        if box == "container":
            raise NotAvailableError("not available: no runtime", remedy="install one")
        return Here(name, variant)

    subjects = [Subject("native", CPU, box) for box in ("container", "process")]
    made, failed = profile("sha256-batch", subjects, opener=opener, power=POWER, sizes=(4,), repeats=3)
    assert {p.box for p in made} == {"process"}
    assert len(failed) == 1
    assert "no runtime" in failed[0]
    assert "install one" in failed[0]


@pytest.mark.parametrize(
    "change", [{"repeats": 2}, {"budget": 0.0}, {"sizes": (0,)}, {"subjects": [Subject("native", CPU, "bottle")]}]
)
def test_profile_is_refused_when_it_cannot_be_measured(change: dict[str, object]) -> None:
    options: dict[str, object] = {
        "subjects": [Subject("native", CPU, "process")],
        "sizes": (4,),
        "repeats": 3,
        **change,
    }
    with pytest.raises(InputError):
        profile("sha256-batch", opener=here, power=POWER, **options)  # type: ignore[arg-type]


# -- energy ----------------------------------------------------------------------------------------------------------
def rapl(root: Path, energy: int, *, end: int = 1_000_000) -> Path:
    for zone in ("intel-rapl:0", "intel-rapl:0:0"):
        (root / zone).mkdir(exist_ok=True)
        (root / zone / "energy_uj").write_text(f"{energy}\n")
        (root / zone / "max_energy_range_uj").write_text(f"{end}\n")
    return root


def test_meter_counts_whole_packages_once_when_it_can_be_read(tmp_path: Path) -> None:
    meter = Meter(rapl(tmp_path, 100))
    assert meter
    before = meter.read()
    rapl(tmp_path, 2_600)
    assert meter.joules(before, meter.read()) == pytest.approx(0.0025)


def test_meter_is_right_when_the_counter_starts_anew(tmp_path: Path) -> None:
    meter = Meter(rapl(tmp_path, 999_900))
    before = meter.read()
    rapl(tmp_path, 99)
    assert meter.joules(before, meter.read()) == pytest.approx(0.0002)


def test_meter_is_false_when_there_is_no_counter(tmp_path: Path) -> None:
    assert not Meter(tmp_path)


def test_energy_is_counted_when_there_is_a_meter(tmp_path: Path) -> None:
    made, _ = profile(
        "sha256-batch", [Subject("native", CPU, "process")], opener=here, power=POWER, sizes=(4,), repeats=3,
        meter=Meter(rapl(tmp_path, 5)),
    )  # fmt: skip
    assert made[0].energy_source.startswith("counted by RAPL")


def test_energy_is_not_known_when_a_card_does_the_work() -> None:
    card = replace(CPU, kind="opencl", name="Card", accelerator="gpu")
    made, _ = profile(
        "sha256-batch", [Subject("native", card, "process")], opener=here, power=POWER, sizes=(4,), repeats=3
    )
    assert made[0].energy is None
    assert made[0].energy_source.startswith("not known")
    stated = list(profile_triples("https://example.org/g", made[0], ox.NamedNode("https://example.org/card")))
    assert DAPP.energyUse not in {t.predicate for t in stated}


def test_power_is_of_the_generation_when_the_table_has_it() -> None:
    known = power_model(replace(CPU, version="CASCADE_LAKE"))
    assert known.watts == pytest.approx(3.97)
    assert "Cascade lake" in known.source
    assert "average processor" in power_model(replace(CPU, version="")).source
    assert known.joules(2.0) == pytest.approx(7.94)


# -- with real boxes, into the graph -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    with engine.open(tmp_path_factory.mktemp("profiles") / "kb") as opened:
        yield opened


@pytest.fixture(scope="module")
def measured(kb: KnowledgeBase) -> tuple[Discovery, str, list[Profile]]:
    found = discover(opencl=False)
    with workshop(kb.home) as shop:
        node = publish(kb, found, shop.built)
        made, skipped = measure(
            shop,
            found,
            ["sha256-batch"],
            ["native", "wasm"],
            ["process", "wasm"],
            sizes=(16, 256),
            repeats=3,
            budget=0.5,
        )
    assert len(made) == 4, skipped
    kb.call("publish_profiles", profiles=[p.as_json() for p in made], node=node)
    return found, node, made


def test_profiles_are_stated_and_nothing_is_found_wrong(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]
) -> None:
    rows = list(
        kb.select("SELECT ?p ?t WHERE { ?p a dapp:ExecutionProfile ; dapp:executionTime ?t ; dapp:coldStart ?c }")
    )
    assert len(rows) == 4
    assert kb.call("findings") == []


def test_profile_takes_the_place_of_the_old_one_when_measured_again(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]
) -> None:
    _, node, made = measured
    again = [replace(p, time=p.time * 2) for p in made[:1]]
    result = kb.call("publish_profiles", profiles=[p.as_json() for p in again], node=node)
    assert (result["added"], result["removed"]) == (1, 1)
    assert kb.call("publish_profiles", profiles=[p.as_json() for p in again], node=node)["receipt"] is None
    kb.call("publish_profiles", profiles=[p.as_json() for p in made], node=node)


def test_library_is_published_once_and_leaves_profiles_and_packages(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]
) -> None:
    assert kb.call("publish_functions")["receipt"] is None
    assert len(list(kb.select("SELECT ?p WHERE { ?p a dapp:ExecutionProfile }"))) == 4


def test_choice_is_committed_and_explained(kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]) -> None:
    result = kb.call("choose_function", function="sha256-batch", size=100)
    assert result["chosen"]["variant"]["label"].startswith("SHA-256 batch")
    assert result["decision"]
    why = kb.call("why", decision=result["decision"])
    told = why["units"][0]
    assert told["chosen"]["thing"]["label"] == result["chosen"]["option"]
    assert {r["constraint"]["label"] for r in told["rejections"]} >= {"Never measured"}
    request = list(kb.select(f"SELECT ?n WHERE {{ <{result['decision']}> dapp:answers/dapp:inputSize ?n }}"))
    assert [r[0].value for r in request] == ["100"]
    assert kb.call("findings") == []
    newest = kb.call("function_choices")
    assert [(c["function"], c["size"], c["decision"]) for c in newest] == [("sha256-batch", 100, result["decision"])]
    dry = kb.call("choose_function", function="sha256-batch", size=100, dry_run=True)
    assert dry["decision"] is None
    assert dry["chosen"] == result["chosen"]


def test_choice_keeps_to_the_isolation_that_is_asked(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]
) -> None:
    result = kb.call("choose_function", function="sha256-batch", size=100, isolation="wasm", dry_run=True)
    assert result["chosen"]["box"]["iri"].endswith(LEVELS["wasm"])
    nothing = kb.call("choose_function", function="sha256-batch", size=100, isolation="microvm", dry_run=True)
    assert nothing["chosen"] is None
    assert nothing["conflicts"]


def test_choice_is_refused_when_the_function_or_level_is_not_there(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]]
) -> None:
    with pytest.raises(InputError, match="did you mean 'sha256-batch'"):
        kb.call("choose_function", function="sha256-bath", size=1)
    with pytest.raises(InputError, match="did you mean 'sandbox'"):
        kb.call("choose_function", function="sha256-batch", size=1, isolation="sandbx")


def test_pairs_are_refused_when_nothing_matches(kb: KnowledgeBase) -> None:
    with workshop(None) as shop:
        with pytest.raises(InputError, match="no package"):
            pairs(shop, discover(opencl=False), ["frame-filter"], ["native"])
        assert all(d.kind == "cpu" for _, d in pairs(shop, discover(opencl=False)))


def test_local_rule_of_the_documentation_is_in_force_when_committed(
    kb: KnowledgeBase, measured: tuple[Discovery, str, list[Profile]], tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs/functions.md").read_text(encoding="utf-8")
    example = text.split("```sparql\n")[1].split("```")[0]
    (tmp_path / "no-shared-cards.rq").write_text(example)
    before = kb.call("choose_function", function="sha256-batch", size=100, dry_run=True)
    assert before["chosen"]
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "--home", str(kb.home), "commit", str(tmp_path / "no-shared-cards.rq"), "--graph", "policy"],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    same = kb.call("choose_function", function="sha256-batch", size=100, dry_run=True)
    assert same["chosen"] == before["chosen"]  # nothing is said of sharing yet
    foreign = "http://www.w3.org/2001/XMLSchema#string"
    ns = "https://example.org/hall#"
    function_iri = f"{kb.graph_iri('functions')}/sha256-batch"
    _, node, _ = measured
    device = f"{node}/device/cpu"
    with kb.change(graph="functions") as change:
        change.add(ox.NamedNode(function_iri), ox.NamedNode(f"{ns}handles"), ox.NamedNode(f"{ns}PersonalData"))
    with kb.change(graph="devices") as change:
        change.add(
            ox.NamedNode(device), ox.NamedNode(f"{ns}sharedWith"),
            ox.Literal("the neighbours", datatype=ox.NamedNode(foreign)),
        )  # fmt: skip
    after = kb.call("choose_function", function="sha256-batch", size=100)
    assert after["chosen"] is None
    assert any("No shared cards" in r["constraint"]["label"] for r in after["rejections"])
    told = kb.call("why", decision=after["decision"])
    verdicts = [v for m in told["units"][0]["misses"] for v in m["verdicts"]]
    assert any(v["found"] == ["the neighbours"] for v in verdicts)
    with kb.change(graph="devices") as change:
        change.remove(
            ox.NamedNode(device), ox.NamedNode(f"{ns}sharedWith"),
            ox.Literal("the neighbours", datatype=ox.NamedNode(foreign)),
        )  # fmt: skip
    assert kb.call("choose_function", function="sha256-batch", size=100, dry_run=True)["chosen"] == before["chosen"]
