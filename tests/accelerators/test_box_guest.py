"""The inside of the wasm box: a guest has nothing of its node, no more memory than its limit, and a deadline."""

from __future__ import annotations

from pathlib import Path

import pytest

wasmtime = pytest.importorskip("wasmtime", reason='wasmtime is not installed: pip install "dappops[accelerators]"')

from engine.accelerators.boxes.guest import Guest, GuestError, compile_into  # noqa: E402

MB = 1 << 20
MODULE = """(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "trap") unreachable)
  (func (export "spin") (loop br 0)))"""


def module(text: str = MODULE) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def exports(guest: Guest) -> object:
    return wasmtime.Instance(guest.store, guest.module, []).exports(guest.store)


def test_guest_computes_and_is_refused_memory_beyond_its_limit() -> None:
    guest = Guest(module(), memory=2 * MB)
    found = exports(guest)
    with guest.within(10):
        assert found["add"](guest.store, 2, 40) == 42
        assert found["grow"](guest.store, 1) == 1
        assert found["grow"](guest.store, 64) == -1, "64 pages more are 4 MB"


def test_guest_is_refused_when_it_starts_with_more_memory_than_its_limit() -> None:
    guest = Guest(module("(module (memory 100))"), memory=MB)
    with pytest.raises(GuestError, match="refused"), guest.within(10):
        exports(guest)


def test_guest_is_ended_and_usable_again_when_it_runs_beyond_its_deadline() -> None:
    guest = Guest(module(), memory=MB)
    found = exports(guest)
    for _ in range(2):
        with pytest.raises(GuestError) as caught, guest.within(0.05):
            found["spin"](guest.store)
        assert caught.value.code == "deadline"
    with guest.within(10):
        assert found["add"](guest.store, 1, 1) == 2


def test_guest_trap_is_told_when_it_has_a_mistake() -> None:
    guest = Guest(module(), memory=MB)
    with pytest.raises(GuestError) as caught, guest.within(10):
        exports(guest)["trap"](guest.store)
    assert caught.value.code == "failed"


@pytest.mark.parametrize("wanted", ["path_open", "sock_send", "clock_time_get"])
def test_guest_is_refused_when_it_wants_something_of_its_node(wanted: str) -> None:
    text = f'(module (import "wasi_snapshot_preview1" "{wanted}" (func)))'
    with pytest.raises(GuestError, match=wanted) as caught:
        Guest(module(text), memory=MB)
    assert caught.value.code == "input"


def test_guest_is_refused_when_it_is_no_module() -> None:
    with pytest.raises(GuestError, match="no WebAssembly module"):
        Guest(b"\0asm but not really", memory=MB)


def test_guest_loads_what_was_compiled_and_compiles_when_that_is_of_another_kind(tmp_path: Path) -> None:
    compiled = tmp_path / "compiled"
    compile_into(module(), compiled)
    for content in (compiled.read_bytes(), b"of another version"):
        compiled.unlink()  # the first guest still has it mapped
        compiled.write_bytes(content)
        guest = Guest(module(), memory=MB, compiled=compiled)
        with guest.within(10):
            assert exports(guest)["add"](guest.store, 1, 2) == 3
