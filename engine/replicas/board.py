"""The board: the newest state of each replica in one small file that every front maps into its memory.

The keeper writes, fronts read without asking anybody. A slot carries a sequence number that is odd while the slot is
being written (a seqlock), so a reader never takes half of one state for another.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from engine.errors import BusyError
from engine.replicas.answers import State

SLOTS = 256  # replicas at once
_SEQUENCE = struct.Struct("<Q")
_SLOT = struct.Struct("<64sqqB63s")  # name, transaction, version, size of the entity tag, entity tag
_SIZE = 256


def name_of(audience: str, regime: str) -> bytes:
    """The name of a slot."""
    return f"{audience}/{regime}".encode()


class Board:
    """Writer's side."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.ftruncate(descriptor, SLOTS * _SIZE)
        self._map = mmap.mmap(descriptor, SLOTS * _SIZE)
        os.close(descriptor)
        self._slots: dict[bytes, int] = {}
        self._free = list(range(SLOTS - 1, -1, -1))

    def put(self, name: bytes, state: State) -> None:
        """Publish a state."""
        slot = self._slots.get(name)
        if slot is None:
            if not self._free:
                raise BusyError("the board of replicas is full", rule=f"{SLOTS} replicas at once")
            slot = self._slots[name] = self._free.pop()
        self._write(slot, name, state)

    def drop(self, name: bytes) -> None:
        """Take a state off."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            self._write(slot, b"", State())
            self._free.append(slot)

    def _write(self, slot: int, name: bytes, state: State) -> None:
        at = slot * _SIZE
        (sequence,) = _SEQUENCE.unpack_from(self._map, at)
        etag = state.etag.encode()
        _SEQUENCE.pack_into(self._map, at, sequence + 1)
        _SLOT.pack_into(self._map, at + 8, name, state.tx, state.version, len(etag), etag)
        _SEQUENCE.pack_into(self._map, at, sequence + 2)

    def close(self) -> None:
        """Unmap."""
        self._map.close()


class BoardReader:
    """Reader's side; follows the writer."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._map = mmap.mmap(descriptor, SLOTS * _SIZE, prot=mmap.PROT_READ)
        os.close(descriptor)
        self._slots: dict[bytes, int] = {}

    def get(self, name: bytes) -> State | None:
        """The newest state under a name; None when there is none."""
        slot = self._slots.get(name)
        if slot is not None:
            found, state = self._read(slot)
            if found == name:
                return state
        for slot in range(SLOTS):
            if self._map[slot * _SIZE + 8 : slot * _SIZE + 8 + len(name) + 1] == name + b"\0":
                found, state = self._read(slot)
                if found == name:
                    self._slots[name] = slot
                    return state
        return None

    def names(self) -> Iterator[bytes]:
        """Names that are on the board now."""
        for slot in range(SLOTS):
            if self._map[slot * _SIZE + 8]:
                yield self._read(slot)[0]

    def _read(self, slot: int) -> tuple[bytes, State]:
        at = slot * _SIZE
        while True:
            (before,) = _SEQUENCE.unpack_from(self._map, at)
            name, tx, version, size, etag = _SLOT.unpack_from(self._map, at + 8)
            (after,) = _SEQUENCE.unpack_from(self._map, at)
            if before == after and before % 2 == 0:
                return name.rstrip(b"\0"), State(tx, version, etag[:size].decode())

    def close(self) -> None:
        """Unmap."""
        self._map.close()


__all__ = ["SLOTS", "Board", "BoardReader", "name_of"]
