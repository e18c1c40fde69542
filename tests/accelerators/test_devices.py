"""What this host has is found, told with a reason where it is missing, and stated in the graph once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyoxigraph as ox
import pytest

import engine
from engine.accelerators.devices import SAID, Discovery, device_triples, discover, from_json, generation, processor
from engine.kb import KnowledgeBase
from reasoners.vocab import DAPP, RDF

XEON = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
stepping\t: 7
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2 sse4_1 sse4_2 avx avx2 aes fma avx512f

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2 sse4_1 sse4_2 avx avx2 aes fma avx512f
"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.fixture(scope="module")
def found() -> Discovery:
    return discover()


@pytest.fixture
def kb() -> Iterator[KnowledgeBase]:
    with engine.open(":memory:") as opened:
        yield opened


def test_processor_is_told_when_cpuinfo_is_of_a_xeon() -> None:
    device, extensions = processor(XEON)
    assert device.name == "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"
    assert (device.units, device.threads, device.version) == (1, 2, "CASCADE_LAKE")
    assert set(extensions) == {"Sse2", "Sse41", "Sse42", "Avx", "Avx2", "Avx512F", "Aes", "Fma"}


def test_processor_is_told_when_cpuinfo_is_of_an_arm() -> None:
    device, extensions = processor(ARM)
    assert device.name  # the architecture, since there is no model name
    assert device.threads == 1
    assert set(extensions) == {"Neon", "Aes"}


def test_processor_is_told_when_there_is_no_cpuinfo() -> None:
    device, extensions = processor("")
    assert device.name
    assert device.threads >= 1
    assert extensions == ()


def test_generation_is_empty_when_the_table_of_watts_does_not_have_it() -> None:
    assert generation({"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "17"}) == ""
    assert generation({"vendor_id": "AuthenticAMD", "cpu family": "25", "model": "1"}) == "AMD_EPYC_3RD_GEN"
    assert generation({}) == ""


def test_host_is_discovered(found: Discovery) -> None:
    assert found.devices[0].kind == "cpu"
    assert "NumPy" in found.devices[0].models
    # either there is an OpenCL device or it is said why there is none
    assert any(d.kind == "opencl" for d in found) or any("OpenCL not available" in m for m in found.missing)
    assert from_json(found.as_json()) == found


def test_opencl_is_missing_with_a_remedy_when_no_vendor_is_installed(tmp_path: Path) -> None:
    found = discover(vendors=tmp_path)
    assert [d.kind for d in found] == ["cpu"]
    assert len(found.missing) == 1
    assert "OpenCL not available" in found.missing[0]
    assert "install" in found.missing[0]


def test_opencl_is_missing_when_its_driver_ends_the_process(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to make a driver that aborts")
    pytest.importorskip("pyopencl", reason='needs pip install "dappops[accelerators]"')
    source, driver = tmp_path / "driver.c", tmp_path / "driver.so"
    source.write_text("#include <stdlib.h>\n__attribute__((constructor)) static void load(void) { abort(); }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(driver), str(source)], check=True, timeout=60)
    (tmp_path / "aborting.icd").write_text(f"{driver}\n")
    missing = discover(vendors=tmp_path).missing[0]
    assert "ended the process" in missing
    assert "signal 6" in missing


def test_opencl_is_missing_when_its_driver_does_not_answer() -> None:
    assert "did not answer" in discover(timeout=0.001).missing[0]


def test_opencl_is_left_alone_when_asked() -> None:
    assert discover(opencl=False).missing == ("OpenCL not looked for, as asked",)


def test_publishing_changes_nothing_when_it_is_repeated(kb: KnowledgeBase, found: Discovery) -> None:
    first = kb.call("publish_devices", found=found.as_json())
    assert first["added"] > 0
    assert kb.call("findings") == []
    again = kb.call("publish_devices", found=found.as_json())
    assert (again["added"], again["removed"], again["receipt"]) == (0, 0, None)


def test_publishing_removes_what_disappeared(kb: KnowledgeBase) -> None:
    cpu, extensions = processor(XEON)
    card = replace(
        cpu,
        kind="opencl",
        name="Card",
        models=("OpenCL",),
        accelerator="gpu",
        memory=2**34,
        driver="1.0",
        version="OpenCL 3.0",
    )
    whole = Discovery("stage", (cpu, card), extensions)
    other = Discovery("elsewhere", (cpu,), ())
    kb.call("publish_devices", found=whole.as_json())
    kb.call("publish_devices", found=other.as_json())
    rows = "SELECT ?d WHERE { ?d a dapp:AcceleratorDevice ; dapp:model/a dapp:Gpu ; dapp:onNode ?n }"
    assert len(list(kb.select(rows))) == 1
    lost = kb.call("publish_devices", found=replace(whole, devices=(cpu,)).as_json())
    assert lost["added"] == 0
    assert lost["removed"] > 0
    assert list(kb.select(rows)) == []
    nodes = list(kb.select("SELECT ?n WHERE { ?n a dapp:ComputeNode }"))
    assert len(nodes) == 2  # the other host was not touched


def test_publishing_leaves_what_people_say_of_a_device(kb: KnowledgeBase) -> None:
    cpu, extensions = processor(XEON)
    found = Discovery("stage", (cpu,), extensions)
    node = kb.call("publish_devices", found=found.as_json())["node"]
    device, noisy = ox.NamedNode(f"{node}/device/cpu"), ox.NamedNode("https://example.org/noisy")
    with kb.change(graph="devices") as change:
        change.add(device, noisy, True)
    assert kb.call("publish_devices", found=found.as_json())["receipt"] is None
    assert len(list(kb.select(f"SELECT ?x WHERE {{ <{device.value}> <{noisy.value}> ?x }}"))) == 1


def test_devices_of_one_name_are_told_apart() -> None:
    cpu, extensions = processor(XEON)
    cards = tuple(replace(cpu, kind="opencl", name="Card", models=("OpenCL",), number=n) for n in (1, 2))
    triples = device_triples(Discovery("stage", cards, extensions), "https://example.org/g")
    assert {t.predicate for t in triples} <= set(SAID)
    devices = {t.subject for t in triples if t.object == DAPP.AcceleratorDevice and t.predicate == RDF.type}
    assert len(devices) == 2 + len(extensions)
    assert all(isinstance(d, ox.NamedNode) for d in devices)
