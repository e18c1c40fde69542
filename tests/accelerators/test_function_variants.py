"""All variants of a function give the same bytes: those of the specification, or of the plain definition."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accelerators import runners
from engine.accelerators.library import FUNCTIONS, build, function
from engine.accelerators.runners import Runner
from engine.accelerators.runners.wasm import load as load_wasm
from engine.errors import DappopsError, InputError, NotAvailableError

# FIPS 180-4 examples: https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
EXAMPLES = {
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}
PAIRS = [(name, variant) for name in FUNCTIONS for variant in function(name).variants]


@cache
def runner(name: str, variant: str) -> Runner:
    try:
        return runners.load(name, variant)
    except NotAvailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", autouse=True)
def _let_go() -> Iterator[None]:
    """Runners end before the interpreter does: wasmtime cannot clean up after that."""
    yield
    runner.cache_clear()


def blur(picture: bytes, width: int, height: int) -> bytes:
    """The definition, pixel by pixel."""
    weights = (1, 4, 6, 4, 1)

    def at(x: int, y: int) -> int:
        return picture[min(max(y, 0), height - 1) * width + min(max(x, 0), width - 1)]

    return bytes(
        (sum(a * b * at(x + i - 2, y + j - 2) for i, a in enumerate(weights) for j, b in enumerate(weights)) + 128) >> 8
        for y in range(height)
        for x in range(width)
    )


def test_library_has_two_functions_in_seven_variants() -> None:
    assert FUNCTIONS == ("frame-filter", "sha256-batch")
    assert len(PAIRS) == 7


@pytest.mark.parametrize("variant", function("frame-filter").variants)
@given(data=st.data())
def test_blur_is_the_definition_when_pictures_are_small(variant: str, data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    picture = data.draw(st.binary(min_size=width * height, max_size=width * height))
    answer = runner("frame-filter", variant).call(picture, {"width": width, "height": height})
    assert answer == blur(picture, width, height)


@pytest.mark.parametrize("variant", function("frame-filter").variants)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (700, 1), (17, 33), (641, 479), (70_001, 3)])
def test_blur_is_numpys_when_sizes_are_odd(variant: str, width: int, height: int) -> None:
    import random

    picture = random.Random(width).randbytes(width * height)
    parameters = {"width": width, "height": height}
    assert runner("frame-filter", variant).call(picture, parameters) == runner("frame-filter", "numpy").call(
        picture, parameters
    )


@pytest.mark.parametrize("variant", function("frame-filter").variants)
def test_blur_keeps_white_white(variant: str) -> None:
    # the largest sums there are: nothing may overflow
    assert runner("frame-filter", variant).call(b"\xff" * 1200, {"width": 40, "height": 30}) == b"\xff" * 1200


@pytest.mark.parametrize("variant", function("sha256-batch").variants)
def test_digest_is_the_standards(variant: str) -> None:
    for message, digest in EXAMPLES.items():
        for count in (1, 3, 16, 17):
            parameters = {"count": count, "size": len(message)}
            answer = runner("sha256-batch", variant).call(message * count, parameters)
            assert answer.hex() == digest * count


@pytest.mark.parametrize("variant", function("sha256-batch").variants)
@given(data=st.data())
def test_digest_is_hashlibs_when_sizes_are_any(variant: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    size = data.draw(st.one_of(st.integers(0, 130), st.sampled_from([55, 56, 63, 64, 119, 120, 1000])))
    messages = data.draw(st.binary(min_size=count * size, max_size=count * size))
    answer = runner("sha256-batch", variant).call(messages, {"count": count, "size": size})
    wanted = b"".join(hashlib.sha256(messages[i * size : (i + 1) * size]).digest() for i in range(count))
    assert answer == wanted


@pytest.mark.parametrize("variant", function("sha256-batch").variants)
def test_digest_is_hashlibs_when_there_are_many(variant: str) -> None:
    messages = bytes(range(256)) * 700  # 5,600 messages: more than one chunk in every variant
    answer = runner("sha256-batch", variant).call(messages, {"count": 5600, "size": 32})
    assert answer == b"".join(hashlib.sha256(messages[i : i + 32]).digest() for i in range(0, len(messages), 32))


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_runner_answers_again_when_a_smaller_call_follows(name: str, variant: str) -> None:
    found = function(name)
    for items in (300, 20, 300):
        parameters = found.sized(items)
        inputs = bytes(i % 251 for i in range(found.input_bytes(parameters)))
        assert runner(name, variant).call(inputs, parameters) == runner(name, found.variants[0]).call(
            inputs, parameters
        )


@pytest.mark.parametrize(("name", "variant"), PAIRS)
@pytest.mark.parametrize("mistake", ["missing", "unknown", "too small", "wrong input", "too large", "no number"])
def test_call_is_refused_when_it_does_not_fit(name: str, variant: str, mistake: str) -> None:
    found = function(name)
    parameters = found.sized(64)
    inputs = bytes(found.input_bytes(parameters))
    first = found.parameters[0][0]
    wrong: dict[str, object] = dict(parameters)
    if mistake == "missing":
        del wrong[first]
    elif mistake == "unknown":
        wrong[f"{first}s"] = 1
    elif mistake == "too small":
        wrong[first] = 0
    elif mistake == "too large":
        wrong[first] = 2**31 - 1
    elif mistake == "no number":
        wrong[first] = "8"
    else:
        inputs += b"x"
    with pytest.raises(InputError) as error:
        runner(name, variant).call(inputs, wrong)  # type: ignore[arg-type]
    assert error.value.remedy
    if mistake == "unknown":
        assert f"did you mean {first!r}" in str(error.value)


def test_function_is_refused_when_it_is_not_there() -> None:
    with pytest.raises(InputError, match="did you mean 'frame-filter'"):
        runners.load("frame-filtre", "numpy")
    with pytest.raises(InputError, match="did you mean 'opencl'"):
        runners.load("frame-filter", "openl")
    with pytest.raises(InputError, match="no variant"):
        runners.load("frame-filter", "native")


def test_wasm_module_is_what_the_source_compiles_to(tmp_path: Path) -> None:
    try:
        version = build.compiler()
    except NotAvailableError as error:
        pytest.skip(str(error))
    for name in FUNCTIONS:
        made = build.build(name, tmp_path / f"{name}.wasm").read_bytes()
        if version == build.BUILT_WITH:
            assert made == (function(name).folder / "module.wasm").read_bytes()
        parameters = function(name).sized(100)
        inputs = bytes(i % 256 for i in range(function(name).input_bytes(parameters)))
        fresh = load_wasm(function(name), "wasm", module=made)
        assert fresh.call(inputs, parameters) == runner(name, "numpy").call(inputs, parameters)


def test_wasm_module_is_refused_when_it_is_another() -> None:
    pytest.importorskip("wasmtime", reason='needs pip install "dappops[accelerators]"')
    with pytest.raises(InputError, match="no module of frame-filter"):
        load_wasm(function("frame-filter"), "wasm", module=b"\0asm\1\0\0\0")


def test_runners_are_light_when_loaded_for_another_model() -> None:
    """A worker imports one heavy library at most: its runner's own."""
    code = (
        "import sys; from engine.accelerators import runners; runners.load('sha256-batch', 'native').call(b'', "
        "{'count': 1, 'size': 0}); print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'pyopencl', 'wasmtime', 'pyoxigraph', 'rdflib', 'click'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_opencl_says_what_is_missing_when_there_is_no_platform(tmp_path: Path) -> None:
    pytest.importorskip("pyopencl", reason='needs pip install "dappops[accelerators]"')
    code = "from engine.accelerators import runners; runners.load('frame-filter', 'opencl')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "OCL_ICD_VENDORS": str(tmp_path)},
    )  # fmt: skip
    assert "not available: no OpenCL platform" in done.stderr
    assert "apt-get install" in done.stderr


def test_opencl_names_its_devices_when_another_is_asked_for() -> None:
    runner("frame-filter", "opencl")
    with pytest.raises(DappopsError, match="no OpenCL device 'GPU of dreams'"):
        runners.load("frame-filter", "opencl", "GPU of dreams")
