"""Copies of a knowledge base, made while it runs, and knowledge bases made from copies.

A copy holds what is not a view: the log and every other SQLite file (each through SQLite's backup interface, on one
snapshot: https://www.sqlite.org/backup.html), files named by their content, chains, and keys when asked for. Views are
made anew from the log. Who copies needs no lock and not the owner: readers of a WAL do not disturb its writer. The
log is copied first; what it refers to by hash is durable before the commit that says so, hence in the copy.

A copy is a folder, or one uncompressed tar whose first member is the manifest. Either appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import BusyError, InputError, IntegrityError
from engine.graph.policy import product_version

FORMAT = 1
MANIFEST = "manifest.json"
LOG = "log.sqlite"
KEYS = frozenset(("keys", "secrets"))  # folders whose files are copied only when asked for
VIEWS = frozenset(("store", "views", "run"))  # at the top of a home: made anew, or of this machine and moment
PAGES = 2048  # of a SQLite file copied between two words about progress
PIECE = 1 << 20  # bytes read at once
Tell = Callable[[int, int | None, str], None]  # bytes done, bytes in all, what is being done
_SIDES = ("-wal", "-shm", "-journal", ".lock", ".sock", ".part", ".tmp")

checkpoint: Callable[[str], None] = lambda name: None  # noqa: E731  # tests put a kill here


@dataclass(frozen=True, slots=True)
class Copied:
    """One file of a copy: its place in the home, size in bytes, SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


# -- backup ----------------------------------------------------------------------------------------------------------
def backup(
    home: Path, target: Path, *, with_keys: bool = False, tell: Tell = lambda done, total, note: None
) -> dict[str, Any]:
    """Copy the knowledge base in `home` to `target`: a tar when its name ends in `.tar`, else a new folder.

    Returns the manifest. InputError when there is no knowledge base or the target exists; BusyError when somebody else is
    writing the same target.
    """
    home, target = home.absolute(), target.absolute()
    if not (home / LOG).is_file():
        raise InputError("there is no knowledge base here", place=str(home), remedy="name its folder with --home")
    if target.exists() or target.is_symlink():
        raise InputError("this is there already", place=str(target), remedy="choose another name, or remove it")
    if target.is_relative_to(home):
        raise InputError("a copy cannot lie in what it copies", place=str(target), remedy="choose a place outside")
    with _staging(target) as stage:
        manifest = _fill(home, stage, with_keys, tell)
        checkpoint("staged")
        if target.suffix == ".tar":
            _pack(stage, manifest, target, tell)
        else:
            _settle(stage)
            checkpoint("before rename")
            stage.rename(target)
        _sync(target.parent)
    return manifest


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder beside the target that is removed at the end; what a killed one left is removed first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(target.parent / f".{target.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                "somebody else is making this", place=str(target), remedy="wait, or choose another name"
            ) from error
        stage = target.parent / f".{target.name}.part"
        shutil.rmtree(stage, ignore_errors=True)
        stage.with_suffix(".tar.part").unlink(missing_ok=True)
        stage.mkdir(mode=0o700)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            (target.parent / f".{target.name}.lock").unlink(missing_ok=True)
    finally:
        os.close(lock)


def _fill(home: Path, stage: Path, with_keys: bool, tell: Tell) -> dict[str, Any]:
    """Copy into the stage; the manifest, which is written last."""
    found = sorted(_chosen(home, with_keys), key=lambda p: (p != home / LOG, p))
    total, done = sum(_size(p) for p in found), 0
    copied: list[Copied] = []
    for source in found:
        name = source.relative_to(home).as_posix()
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if source.suffix == ".sqlite":

            def step(here: int, name: str = name, before: int = done) -> None:
                tell(min(before + here, total), total, name)

            copy_sqlite(source, target, step)
        else:
            try:
                shutil.copyfile(source, target)
            except FileNotFoundError:
                continue  # it went meanwhile
        target.chmod(0o600)
        copied.append(Copied(name, target.stat().st_size, digest(target)))
        done += copied[-1].bytes
        tell(min(done, total), total, name)
        checkpoint(f"copied {name}")
    manifest = {
        "format": FORMAT, "product": product_version(), "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **_log_stands_at(stage / LOG), "keys": with_keys,
        "files": [{"path": c.path, "bytes": c.bytes, "sha256": c.sha256} for c in copied],
    }  # fmt: skip
    (stage / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _chosen(home: Path, with_keys: bool) -> Iterator[Path]:
    """The files that are no view, no lock and, unless asked for, no key."""
    for folder, folders, files in os.walk(home):
        here = Path(folder)
        if here == home:
            folders[:] = [f for f in folders if f not in VIEWS]
        if not with_keys:
            folders[:] = [f for f in folders if f not in KEYS]
        folders[:] = [f for f in folders if not f.startswith(".")]  # drafts that others are making
        for name in files:
            path = here / name
            if name.startswith(".") or name.endswith(_SIDES):
                continue
            if here.name == "search" and name.startswith("vectors"):
                continue
            with suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def copy_sqlite(source: Path, target: Path, step: Callable[[int], None] = lambda done: None) -> None:
    """Copy a SQLite file that others may be writing: one snapshot, however long it takes. `step` is told bytes done."""
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, isolation_level=None)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            # inside one read transaction the copy never has to start again, however busy the writer is
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            page = int(old.execute("PRAGMA page_size").fetchone()[0])
            old.backup(new, pages=PAGES, progress=lambda _, left, total: step((total - left) * page))
    except sqlite3.Error as error:
        raise IntegrityError(
            f"cannot copy a database: {error}", place=str(source), remedy="run `dappops doctor`"
        ) from error


def _log_stands_at(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('node', 'base', 'format')"))
        rows = db.execute(
            "SELECT graph, sequence, lower(hex(head)), max(sequence) FROM entry GROUP BY graph ORDER BY graph"
        )
        heads = {graph: {"sequence": sequence, "head": head} for graph, sequence, head, _ in rows}
        newest = db.execute("SELECT coalesce(max(id), 0) FROM tx").fetchone()[0]
    return {"node": meta.get("node", ""), "base": meta.get("base", ""), "head": newest, "heads": heads}


def _pack(stage: Path, manifest: dict[str, Any], target: Path, tell: Tell) -> None:
    """Write the stage as a tar and put it in place."""
    draft = stage.with_suffix(".tar.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                total = sum(f["bytes"] for f in manifest["files"])
                done = 0
                for name in (MANIFEST, *(f["path"] for f in manifest["files"])):
                    tar.add(stage / name, arcname=name, recursive=False, filter=_anonymous)
                    done += (stage / name).stat().st_size
                    tell(min(done, total), total, "writing")
                    checkpoint(f"packed {name}")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


# -- restore ---------------------------------------------------------------------------------------------------------
def read_manifest(source: Path) -> dict[str, Any]:
    """The manifest of a copy; InputError when it is none."""
    try:
        if source.is_dir():
            text = (source / MANIFEST).read_bytes()
        else:
            with tarfile.open(source, "r:") as tar:
                member = tar.next()
                file = (
                    tar.extractfile(member)
                    if member is not None and member.name == MANIFEST and member.isfile()
                    else None
                )
                if file is None:
                    raise InputError(
                        "this tar does not begin with a manifest",
                        place=str(source),
                        remedy="was it made by `dappops backup`?",
                    )
                text = file.read(64 << 20)
        manifest = json.loads(text)
        form = manifest["format"]
        files = manifest["files"]
        for each in files:
            _safe(str(each["path"]), source)
            _ = int(each["bytes"]), str(each["sha256"])
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no copy of a knowledge base: {error}", place=str(source), remedy="name what `dappops backup` wrote"
        ) from error
    if form != FORMAT:
        raise InputError(
            f"this copy has format {form}", place=str(source), remedy=f"restore it with a version for format {FORMAT}"
        )
    return dict(manifest)


def _safe(name: str, source: Path) -> PurePosixPath:
    """A path inside the home; InputError for any other."""
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or path.parts[0] in VIEWS
        or "\0" in name
        or name.endswith(_SIDES)
    ):
        raise InputError(
            f"a file of the copy would lie at {name!r}", place=str(source), rule="files of a copy lie in its home"
        )
    return path


def restore(source: Path, home: Path, *, tell: Tell = lambda done, total, note: None) -> dict[str, Any]:
    """Make the knowledge base `home` from a copy: digests compared, views made anew, the whole log verified.

    Returns the manifest with `verified` counts. InputError when `home` is there already; IntegrityError when the copy was
    altered. Nothing of it is there unless all of it is.
    """
    source, home = source.absolute(), home.absolute()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InputError(
            "this folder is not empty",
            place=str(home),
            remedy="name a new folder with --home: restoring never overwrites",
        )
    manifest = read_manifest(source)
    total = sum(int(f["bytes"]) for f in manifest["files"])
    with _staging(home) as stage:
        done = 0
        for each, body in _bodies(source, manifest):
            target = stage / _safe(each["path"], source)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            hashed = hashlib.sha256()
            size = 0
            with target.open("xb") as file:
                while piece := body(PIECE):
                    size += len(piece)
                    if size > int(each["bytes"]):
                        break
                    file.write(piece)
                    hashed.update(piece)
                    tell(done + size, total, each["path"])
            if size != int(each["bytes"]) or hashed.hexdigest() != each["sha256"]:
                raise IntegrityError(
                    "a file of the copy is not what was copied",
                    place=f"{source}: {each['path']}",
                    remedy="take another copy",
                )
            target.chmod(0o600 if KEYS & set(target.parts) else 0o644)
            done += size
            checkpoint(f"extracted {each['path']}")
        verified = _verify(stage, manifest, source, tell)
        _settle(stage)
        checkpoint("before rename")
        with suppress(FileNotFoundError):
            home.rmdir()
        stage.rename(home)
        _sync(home.parent)
    return {**manifest, "verified": verified}


def _bodies(source: Path, manifest: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Callable[[int], bytes]]]:
    """Each file of the manifest with a function that reads it on; IntegrityError when one is missing."""
    listed = {f["path"]: f for f in manifest["files"]}
    if source.is_dir():
        for name, each in listed.items():
            path = source / name
            try:
                if not stat.S_ISREG(path.lstat().st_mode):
                    raise IntegrityError("a file of the copy is none", place=str(path), remedy="take another copy")
                with path.open("rb") as file:
                    yield each, file.read
            except FileNotFoundError as error:
                raise IntegrityError(
                    "a file of the copy is missing", place=str(path), remedy="take another copy"
                ) from error
        return
    try:
        with tarfile.open(source, "r:") as tar:
            for member in tar:
                each = listed.pop(member.name, {})
                if each:
                    body = tar.extractfile(member) if member.isreg() else None
                    if body is None:
                        raise IntegrityError(
                            "a file of the copy is none", place=f"{source}: {member.name}", remedy="take another copy"
                        )
                    yield each, body.read
    except tarfile.TarError as error:
        raise IntegrityError(
            f"the copy cannot be read: {error}", place=str(source), remedy="take another copy"
        ) from error
    if listed:
        raise IntegrityError(
            "files of the copy are missing", place=f"{source}: {', '.join(sorted(listed))}", remedy="take another copy"
        )


def _verify(stage: Path, manifest: dict[str, Any], source: Path, tell: Tell) -> dict[str, int]:
    """Open what was extracted, which makes its views, and verify every signature, hash and root of its log."""
    from engine.graph.history import verify_log
    from engine.graph.kernel import Kernel

    if not (stage / LOG).is_file():
        raise IntegrityError("the copy has no log", place=str(source), remedy="take another copy")
    stands = _log_stands_at(stage / LOG)
    if any(stands[key] != manifest.get(key) for key in stands):
        raise IntegrityError("the log is not where the manifest says", place=str(source), remedy="take another copy")
    tell(0, None, "making views anew")
    try:
        kernel = Kernel(stage)
    except InputError as error:
        raise InputError(
            f"the copy's policy is of version {manifest.get('product')} and needs the node's key to become this version's: "
            f"{error.message}", place=str(source), remedy="restore a copy made with --with-keys, or restore with that version",
        ) from error  # fmt: skip
    try:
        tell(0, None, "verifying the log")
        return dict(verify_log(kernel))
    finally:
        kernel.close()


# -- files -----------------------------------------------------------------------------------------------------------
def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _settle(folder: Path) -> None:
    """Make everything below a folder durable."""
    for here, _, files in os.walk(folder):
        for name in files:
            _sync(Path(here) / name)
        _sync(Path(here))


def _sync(path: Path) -> None:
    with suppress(OSError):  # a socket, or a file system that cannot
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


__all__ = ["FORMAT", "MANIFEST", "backup", "copy_sqlite", "read_manifest", "restore"]
