"""A forking replica: `python -m engine.replicas.zygote`, started by the keeper and by nothing else.

One process with one thread and one memory store. A connection to its socket is a fork, and the fork is the worker
(`engine.replicas.worker`). The keeper's end of a socket pair brings changes and takes reports; when it closes, the
replica ends, and its workers with it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyoxigraph as ox

from engine.replicas import frames
from engine.replicas.answers import State
from engine.replicas.journal import SLOTS, Change, Journal
from engine.replicas.worker import LONG, Worker, apply, parse

NICE = 19  # of a worker whose query takes long
STACK = 64 << 20  # bytes that the nesting of a query may take
LOOK = 0.05  # seconds between two looks at what runs
_SIZE = struct.Struct("<I")
_STACK_OVERFLOW = {signal.SIGSEGV, signal.SIGBUS}
_OUT_OF_MEMORY = b"memory allocation of"


@dataclass(slots=True)
class Child:
    """One worker as its parent sees it."""

    connection: socket.socket
    slot: int
    stderr: int
    nice: bool = False
    hung_up: bool = False
    started: float = 0.0  # the query that was seen to take long, and the processor time at that moment
    used: float = 0.0


def _processor(pid: int) -> float:
    """Seconds of processor time that a process of ours has used (the clock of clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class Zygote:
    """Forks, feeds, reaps."""

    def __init__(
        self, control: socket.socket, listener: socket.socket, path: str, store: ox.Store, state: State,
        names: Names | None,
    ) -> None:  # fmt: skip
        self._path = path
        self._control, self._listener, self._store, self._names = control, listener, store, names
        self._journal = Journal()
        self._journal.tell(state)
        self._children: dict[int, Child] = {}
        self._by_descriptor: dict[int, int] = {}
        self._slots = list(range(SLOTS - 1, -1, -1))
        self._ended: dict[str, int] = {}
        self._queries = 0
        self._drain = False
        self._incoming = bytearray()
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(listener, select.POLLIN)
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._poll.register(self._wake, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)

    def serve(self, hello: Mapping[str, Any]) -> None:
        """Tell the keeper that it is ready, then run."""
        self._answer(hello)
        self.run()

    def run(self) -> None:
        """Serve until the keeper hangs up, or until the last worker has gone after a `drain`."""
        handlers = {
            self._listener.fileno(): self._accept, self._control.fileno(): self._listen, self._wake.fileno(): self._reap,
        }  # fmt: skip
        while not (self._drain and not self._children):
            for descriptor, _ in self._poll.poll(LOOK * 1000 if self._children else None):
                handler = handlers.get(descriptor)
                if handler is not None:
                    handler()
                elif descriptor in self._by_descriptor:
                    self._hang_up(self._by_descriptor[descriptor])
            self._give_way()

    # -- workers --------------------------------------------------------------------------------------------------------
    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        if not self._slots or self._drain:
            connection.close()
            return
        slot = self._slots.pop()
        self._journal.clear(slot)
        stderr = os.memfd_create("stderr", os.MFD_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.dup2(stderr, 2)
                for inherited in (self._control, self._listener, self._wake, self._woken):
                    inherited.close()
                for child in self._children.values():
                    child.connection.close()
                connection.setblocking(True)
                worker = Worker(self._store, self._journal, connection, slot)
                worker.confine(parent)
                worker.run()
                code = 0
            finally:
                os._exit(code)
        self._children[pid] = Child(connection, slot, stderr)
        self._by_descriptor[connection.fileno()] = pid
        self._poll.register(connection, select.POLLRDHUP)

    def _hang_up(self, pid: int) -> None:
        """The client is gone: so is its query."""
        child = self._children[pid]
        if not child.hung_up:
            child.hung_up = True
            self._poll.unregister(child.connection)
            os.kill(pid, signal.SIGKILL)  # it is ours and not reaped yet, so the number is still its own

    def _give_way(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.items():
            if not child.nice:
                started = self._journal.slot(child.slot)[0]
                if not started or now - started <= LONG:
                    continue
                # by the processor time it took, not by the clock: on a busy machine every query takes long
                if child.started != started:
                    child.started, child.used = started, _processor(pid)
                elif _processor(pid) - child.used > LONG:
                    child.nice = True
                    with contextlib.suppress(OSError):
                        os.setpriority(os.PRIO_PROCESS, pid, NICE)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            del self._by_descriptor[child.connection.fileno()]
            if not child.hung_up:
                self._poll.unregister(child.connection)
            reason = self._why(child, status)
            if reason is not None:
                self._ended[reason[0]] = self._ended.get(reason[0], 0) + 1
                with contextlib.suppress(OSError, ValueError):  # nobody reads it who has left
                    child.connection.send(frames.note(*reason), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            child.connection.close()
            os.close(child.stderr)
            _, queries, rows, size = self._journal.slot(child.slot)
            self._queries += queries
            for name, count in (("rows", rows), ("bytes", size)):
                if count:
                    self._ended[name] = self._ended.get(name, 0) + count
            self._journal.clear(child.slot)
            self._slots.append(child.slot)

    def _why(self, child: Child, status: int) -> tuple[str, str] | None:
        """Why a worker's query ended with it; None when none did."""
        running = self._journal.slot(child.slot)[0] != 0.0
        if child.hung_up:
            return ("left", "") if running else None
        if not os.WIFSIGNALED(status):
            return ("replica", "the worker failed") if os.WEXITSTATUS(status) else None
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return "deadline", ""
        if number in _STACK_OVERFLOW:
            return "memory", "its stack: it is nested too deeply"
        if _OUT_OF_MEMORY in os.pread(child.stderr, 4096, 0):
            return "memory", ""
        return "replica", f"the worker got {signal.Signals(number).name}"

    # -- the keeper -------------------------------------------------------------------------------------------------------
    def _listen(self) -> None:
        try:
            data = self._control.recv(1 << 20)
        except BlockingIOError:
            return
        if not data:
            os._exit(0)
        self._incoming += data
        while len(self._incoming) >= 4:
            (size,) = _SIZE.unpack_from(self._incoming)
            if len(self._incoming) < 4 + size:
                return
            message = bytes(self._incoming[4 : 4 + size])
            del self._incoming[: 4 + size]
            self._answer(self._handle(json.loads(message)))

    def _answer(self, reply: Mapping[str, Any]) -> None:
        body = json.dumps(reply).encode()
        self._control.setblocking(True)
        self._control.sendall(_SIZE.pack(len(body)) + body)
        self._control.setblocking(False)

    def _handle(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        if message["do"] == "apply":
            for step in message["steps"]:
                change = self._change(step)
                apply(self._store, change)
                self._journal.append(change)
            self._journal.tell(_state(message))
        elif message["do"] == "open":
            os.rename(self._path + ".new", self._path)  # connections come here now, and no longer to a predecessor
        elif message["do"] == "drain":
            # workers refuse the next request, so clients come to the replica that has taken this one's place
            self._drain = True
            self._journal.renew()
            self._journal.tell(self._journal.look()[3])
            self._poll.unregister(self._listener)
            self._listener.close()
        return self._status()

    def _change(self, step: Mapping[str, Any]) -> Change:
        removed, added = step["removed"].encode(), step["added"].encode()
        if self._names is not None:
            self._names.learn(parse(added))
            removed, added = (
                ox.serialize(self._names.shown(parse(text)), format=ox.RdfFormat.N_QUADS) for text in (removed, added)
            )
        return Change(_state(step), removed, added)

    def _status(self) -> dict[str, Any]:
        slots = [self._journal.slot(c.slot) for c in self._children.values()]
        ended = dict(self._ended)
        for _, _, rows, size in slots:
            ended["rows"] = ended.get("rows", 0) + rows
            ended["bytes"] = ended.get("bytes", 0) + size
        with open("/proc/self/statm", "rb") as statm:
            resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        return {
            "tx": self._journal.look()[3].tx, "workers": len(self._children), "busy": sum(s[0] != 0 for s in slots),
            "queries": self._queries + sum(s[1] for s in slots), "ended": {k: v for k, v in ended.items() if v},
            "resident": resident,
        }  # fmt: skip


def _state(said: Mapping[str, Any]) -> State:
    return State(int(said["tx"]), int(said["version"]), str(said["etag"]))


class Names(Protocol):
    """Other names for graphs (`engine.graph.standard`)."""

    def learn(self, quads: Iterable[ox.Quad]) -> None:
        """Take in what is said about names."""
        ...

    def shown(self, quads: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
        """The quads under the names they are asked for by."""
        ...


def main() -> None:
    """Arguments: the control socket's descriptor, the path to serve at, the snapshot's path, what it is (JSON)."""
    descriptor, path, snapshot, told = sys.argv[1:5]
    said = json.loads(told)
    control = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK if most == resource.RLIM_INFINITY else min(STACK, most), most))
    store, names = ox.Store(), None
    if said.get("names"):
        from engine.graph.standard import StandardNames

        names = StandardNames(*said["names"])
        names.learn(_quads(snapshot))
        store.bulk_extend(names.shown(_quads(snapshot)))
    else:
        store.bulk_extend(_quads(snapshot))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".new")
    listener.bind(path + ".new")  # in a folder only its owner may enter
    os.chmod(path + ".new", 0o600)
    listener.listen(512)
    listener.setblocking(False)
    zygote = Zygote(control, listener, path, store, _state(said), names)
    control.setblocking(False)
    gc.collect()
    gc.freeze()
    gc.disable()
    zygote.serve({"quads": len(store)})


def _quads(path: str) -> Iterator[ox.Quad]:
    return ox.parse(path=path, format=ox.RdfFormat.N_QUADS, lenient=True)


if __name__ == "__main__":
    main()
