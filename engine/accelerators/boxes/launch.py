"""Confines the process it runs in and then becomes the program: the last trusted step before somebody else's code.

Runs by path with the standard library only (`python -I -S launch.py ORDER -- PROGRAM …`), so that starting needs no
Python between fork and exec in a process with threads, and so that the same file serves inside a container. ORDER is
JSON: `parent` (pid whose death ends this process; 0 when it lies outside this pid name space), `groups` (cgroup.procs
files to join), `rlimits` (name -> value), `network` (false: a network name space of its own where allowed), `unmount`
(mount points hidden in a mount name space of its own), `privileges` (false: no capability is left), `sockets` (false: no
socket can be made, only those it was given can be used), `landlock` ({"read": [...], "write": [...], "tcp": bool}: paths,
and whether TCP stays).
Exit code 125: it could not confine itself, and says why; the program has not run.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import struct
import sys
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 1 << 18, 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 24, 38, 9
# https://docs.kernel.org/userspace-api/landlock.html; the numbers are the same on every architecture but Alpha
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH, RULESET_VERSION = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
FILES_ONLY = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15  # what a rule on a file may allow (truncate, ioctl)
READ = EXECUTE | READ_FILE | READ_DIR
ACCESS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> count of file access rights it knows
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
# https://docs.kernel.org/userspace-api/seccomp_filter.html: machine -> audit architecture, numbers of seccomp and socket
MACHINES = {"x86_64": (0xC000003E, 317, 41), "aarch64": (0xC00000B7, 277, 198)}
IO_URING_SETUP, X32 = 425, 0x40000000  # other ways to a socket
PR_SET_SECCOMP, MODE_FILTER, GET_ACTION_AVAILABLE = 22, 2, 2
ALLOW, ERRNO, KILL, EACCES = 0x7FFF0000, 0x00050000, 0x80000000, 13
FAILED = 125

libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> NoReturn:
    """Confine, then exec; never returns."""
    order: dict[str, Any] = json.loads(arguments[0])
    program = arguments[2:]
    try:
        confine(order)
        os.execve(program[0], program, dict(os.environ))
    except OSError as error:
        print(f"launch: {program[0]}: {error}", file=sys.stderr)
        os._exit(FAILED)


def confine(order: dict[str, Any]) -> None:
    """Apply an order to this process. OSError when one of its demands cannot be met."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    if order.get("parent") and os.getppid() != order["parent"]:
        os._exit(FAILED)  # the parent died before its death could reach us
    for path in order.get("groups", ()):
        with open(path, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    hide(order.get("unmount", ()))
    if order.get("network") is False:
        own_network()
    for name, value in order.get("rlimits", {}).items():
        limit(name, value)
    if order.get("privileges") is False:
        drop_capabilities()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if order.get("landlock"):
        landlock(**order["landlock"])
    if order.get("sockets") is False:
        refuse_sockets()


def limit(name: str, value: int) -> None:
    """Lower a resource limit for good; one that is lower already stays."""
    which = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def prctl(option: int, value: int) -> None:
    """https://man7.org/linux/man-pages/man2/prctl.2.html"""
    _checked(libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def drop_capabilities() -> None:
    """Empty the bounding set: what is executed next has no capability, root or not (capabilities(7))."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, *(ctypes.c_ulong(v) for v in (capability, 0, 0, 0))) != 0:
            return  # the first number that the kernel does not know, or not root: then there is none to lose


def own_network() -> bool:
    """Leave the host's network for an empty one; False where this process may not (TCP is then left to Landlock)."""
    return bool(libc.unshare(CLONE_NEWNET) == 0)


def hide(mounts: list[str]) -> None:
    """Unmount for this process only: crun does not start where cgroup v1 and v2 are mounted side by side."""
    if not mounts:
        return
    _checked(libc.unshare(CLONE_NEWNS))
    _checked(libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    for path in mounts:
        _checked(libc.umount2(path.encode(), MNT_DETACH))


def landlock_abi() -> int:
    """Version of the kernel's Landlock, 0 where there is none."""
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(RULESET_VERSION))))


def landlock(read: list[str], write: list[str], tcp: bool) -> None:
    """Read and execute only beneath `read`, write only beneath `write`; no signals to the outside, TCP only if `tcp`."""
    abi = landlock_abi()
    if abi == 0:
        return
    every = (1 << ACCESS.get(min(abi, 5), 13)) - 1
    ruleset = struct.pack(
        "QQQ",
        every,
        BIND_TCP | CONNECT_TCP if abi >= 4 and not tcp else 0,
        SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= 6 else 0,
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    handle = _checked(libc.syscall(CREATE_RULESET, ruleset, ctypes.c_size_t(size), ctypes.c_uint(0)))
    for paths, rights in ((read, READ), (write, every)):
        for path in paths:
            try:
                opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            allowed = rights & every if os.path.isdir(path) else rights & every & FILES_ONLY
            rule = struct.pack("=Qi", allowed, opened)
            _checked(libc.syscall(ADD_RULE, handle, ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint(0)))
            os.close(opened)
    _checked(libc.syscall(RESTRICT_SELF, handle, ctypes.c_uint(0)))
    os.close(handle)


def seccomp_available() -> bool:
    """Whether this kernel can refuse system calls, on a machine whose numbers are known here."""
    found = MACHINES.get(os.uname().machine)
    wanted = ctypes.c_uint32(ERRNO)
    return (
        found is not None and libc.syscall(found[1], GET_ACTION_AVAILABLE, ctypes.c_uint(0), ctypes.byref(wanted)) == 0
    )


def refuse_sockets() -> None:
    """Let `socket` fail from here on: neither Landlock nor name spaces keep a process from Unix sockets with a path."""
    architecture, _, make_socket = MACHINES[os.uname().machine]
    load, equal, at_least, give = (
        0x20,
        0x15,
        0x35,
        0x06,
    )  # of seccomp_data, a 32-bit word: [0] the call, [4] architecture
    refused = 0xFF  # jump to the end but one
    program = [
        (load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, KILL), (load, 0, 0, 0), (at_least, refused, 0, X32),
        (equal, refused, 0, make_socket), (equal, refused, 0, IO_URING_SETUP), (give, 0, 0, ALLOW),
        (give, 0, 0, ERRNO | EACCES),
    ]  # fmt: skip
    last = len(program) - 1
    code = b"".join(
        struct.pack("HBBI", kind, last - at - 1 if yes == refused else yes, no, value)
        for at, (kind, yes, no, value) in enumerate(program)
    )
    filters = ctypes.create_string_buffer(code, len(code))
    pointer = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(filters))
    _checked(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
