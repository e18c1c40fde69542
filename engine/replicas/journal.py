"""What a replica's process and the workers forked from it share: its position, the latest changes, who is busy.

An anonymous shared mapping says how far the journal goes; the journal itself is a file without a name that workers read
where they stopped. So a worker that was forked long ago catches up by itself, at the price of the changes.
One process writes; readers look at the sequence number before and after (a seqlock).
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.replicas.answers import State

SLOTS = 1024  # workers at once
LIMIT = 32 * 1024 * 1024  # bytes of a journal; then a new one begins, and workers of the old one end

_SEQUENCE = struct.Struct("<Q")
_STATE = struct.Struct("<QQqqB64s")  # generation, bytes of the journal, transaction, version, entity tag and its size
_SLOT = struct.Struct("<dQII")  # start of the query that runs (0: none), queries so far, cut by rows, by bytes
_SLOTS_AT = 256
_RECORD = struct.Struct("<qqB64sII")  # as above, then sizes of what is removed and added


@dataclass(frozen=True, slots=True)
class Change:
    """What a replica's store is changed by: N-Quads text."""

    state: State
    removed: bytes
    added: bytes


class Journal:
    """Shared by inheritance: made before the first fork."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SLOTS_AT + SLOTS * _SLOT.size)
        self._file = os.memfd_create("changes", os.MFD_CLOEXEC)
        self._generation, self._length = 1, 0
        self.sequence = 0  # of what this process knows

    # -- the one writer -----------------------------------------------------------------------------------------------
    def append(self, change: Change) -> None:
        """Tell workers of a change that the writer has applied to its own store."""
        if self._length > LIMIT:
            self.renew()
        etag = change.state.etag.encode()
        record = _RECORD.pack(
            change.state.tx, change.state.version, len(etag), etag, len(change.removed), len(change.added)
        )
        data = record + change.removed + change.added
        done = 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], self._length + done)
        self._length += len(data)
        self.tell(change.state)

    def tell(self, state: State) -> None:
        """Publish the position."""
        etag = state.etag.encode()
        self.sequence += 2
        _SEQUENCE.pack_into(self._map, 0, self.sequence - 1)
        _STATE.pack_into(self._map, 8, self._generation, self._length, state.tx, state.version, len(etag), etag)
        _SEQUENCE.pack_into(self._map, 0, self.sequence)

    def renew(self) -> None:
        """Begin a new journal; workers that read the old one have to end."""
        os.close(self._file)
        self._file = os.memfd_create("changes", os.MFD_CLOEXEC)
        self._generation += 1
        self._length = 0

    # -- workers ------------------------------------------------------------------------------------------------------
    def moved(self) -> bool:
        """Whether anything was told since `read`."""
        return bool(_SEQUENCE.unpack_from(self._map, 0)[0] != self.sequence)

    def look(self) -> tuple[int, int, int, State]:
        """Sequence, generation, length of the journal and state, as one consistent reading."""
        while True:
            (before,) = _SEQUENCE.unpack_from(self._map, 0)
            generation, length, tx, version, size, etag = _STATE.unpack_from(self._map, 8)
            (after,) = _SEQUENCE.unpack_from(self._map, 0)
            if before == after and before % 2 == 0:
                return before, generation, length, State(tx, version, etag[:size].decode())

    def behind(self) -> int | None:
        """Bytes of the journal this process has not read; None when it cannot go on from where it is."""
        _, generation, length, _ = self.look()
        return length - self._length if generation == self._generation else None

    def read(self) -> Iterator[Change]:
        """Changes up to now; call it only when `behind` gave a number, and take all of them."""
        sequence, _, length, _ = self.look()
        data = os.pread(self._file, length - self._length, self._length)
        at = 0
        while at < len(data):
            tx, version, size, etag, removed, added = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            yield Change(
                State(tx, version, etag[:size].decode()),
                data[at : at + removed],
                data[at + removed : at + removed + added],
            )
            at += removed + added
        self._length += len(data)
        self.sequence = sequence

    # -- who is busy ----------------------------------------------------------------------------------------------------
    def begin(self, slot: int) -> None:
        """A worker takes a query."""
        at = _SLOTS_AT + slot * _SLOT.size
        struct.pack_into("<d", self._map, at, time.monotonic())

    def end(self, slot: int, *, rows: bool = False, size: bool = False) -> None:
        """It has answered; `rows`, `size`: the answer was cut at that limit."""
        at = _SLOTS_AT + slot * _SLOT.size
        _, queries, by_rows, by_bytes = _SLOT.unpack_from(self._map, at)
        _SLOT.pack_into(self._map, at, 0.0, queries + 1, by_rows + rows, by_bytes + size)

    def slot(self, slot: int) -> tuple[float, int, int, int]:
        """Start of the query that runs (monotonic seconds, 0: none), queries answered, cut by rows, cut by bytes."""
        found: tuple[float, int, int, int] = _SLOT.unpack_from(self._map, _SLOTS_AT + slot * _SLOT.size)
        return found

    def clear(self, slot: int) -> None:
        """Make a slot ready for the next worker."""
        _SLOT.pack_into(self._map, _SLOTS_AT + slot * _SLOT.size, 0.0, 0, 0, 0)


__all__ = ["LIMIT", "SLOTS", "Change", "Journal"]
