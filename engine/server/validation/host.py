"""The process that validations are forked from: `python -m engine.server.validation.host FD SECONDS MIB`.

FD is a listening Unix socket. For each connection a child is forked that reads one request, answers and ends. What the
child may use is for the kernel of the operating system to enforce: a timer whose signal ends it, CPU time, address space.
The host ends when its standard input closes, that is with whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
from types import FrameType

OUT_OF_MEMORY = b'{"error": "memory"}\n'
MAX_OPEN_FILES = 64


def receive(connection: socket.socket) -> bytes:
    """All bytes of a message that ends where the peer shuts down its side."""
    parts = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def bound(seconds: float, mib: int) -> None:
    """Limit this process; a timer's signal at its default action cannot be delayed by any code in it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    whole = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    with open("/proc/self/statm", encoding="ascii") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    space = held + (mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    os.nice(5)


def child(connection: socket.socket, seconds: float, mib: int) -> None:
    """Answer one request, or end trying."""
    from engine.server.validation import job
    from reasoners.sparql import algebra

    algebra.remember(None)  # what strangers send is not kept on disk
    bound(seconds, mib)
    try:
        answer = job.answer(receive(connection))
    except MemoryError:
        answer = OUT_OF_MEMORY
    except Exception as error:
        answer = json.dumps({"error": "internal", "message": f"{type(error).__name__}: {error}"}).encode() + b"\n"
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)


def warm() -> None:
    """Load what every request needs, so that the children share it: modules, and the parsed queries of the policy."""
    from engine import cache
    from engine.graph.policy import shipped_triples
    from engine.server.validation import job
    from reasoners.validate import Shapes, Validator

    cache.use()
    Validator(Shapes.parse(shipped_triples()))
    part = job.Part("warm.ttl", "turtle", b"<urn:s> a <http://www.w3.org/ns/shacl#NodeShape> .")
    job.run(job.Request([part], [part]))


def serve(listener: socket.socket, seconds: float, mib: int) -> None:
    """Fork for each connection until standard input closes."""

    def reap(signum: int, frame: FrameType | None) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this says when it ends
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            return
        if listener not in ready:
            continue
        connection, _ = listener.accept()
        if os.fork() == 0:
            status = 1
            try:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                child(connection, seconds, mib)
                status = 0
            except (BrokenPipeError, ConnectionError):
                pass  # nobody waits any more
            finally:
                os._exit(status)
        connection.close()


def main() -> None:
    """Entry point of the process."""
    descriptor, seconds, mib = sys.argv[1:4]
    warm()
    with socket.socket(fileno=int(descriptor)) as listener:
        path = listener.getsockname()
        try:
            serve(listener, float(seconds), int(mib))
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
                os.rmdir(os.path.dirname(path))


if __name__ == "__main__":
    main()
