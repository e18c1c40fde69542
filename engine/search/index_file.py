"""The component index as one file: written once, named by its digest, read again without apt or network.

`index.json` beside it says which file counts, its SHA-256, when and whence it was taken. The file: JSON lines in xz, first
what it is, then one array a component, in order of name; the same list gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import IntegrityError, NotAvailableError
from engine.search.packages import Component, Source, read_list

FORMAT = "dappops component index 1"
MANIFEST = "index.json"
COLUMNS = [f.name for f in fields(Component)]


@dataclass(frozen=True)
class Index:
    """Components of one list. `digest` is the SHA-256 of the file, in hexadecimal; `retrieved` ISO 8601 in UTC."""

    digest: str
    retrieved: str
    source: Source
    components: tuple[Component, ...]

    def as_json(self) -> dict[str, Any]:
        """What the index is, without its components."""
        return {
            "digest": f"sha256:{self.digest}", "retrievedAt": self.retrieved, "source": self.source.label,
            "count": len(self.components),
        }  # fmt: skip


def obtain(folder: Path, *, now: datetime, refresh: bool = False) -> tuple[Index | None, str]:
    """The stored index, or one taken from this machine's package list, and why there is none (else "").

    With `refresh` it is taken anew; a stored one stays where that fails. IntegrityError for a stored file that was changed.
    """
    try:
        stored = load(folder)
    except IntegrityError:
        if not refresh:
            raise
        stored = None  # what is broken is what --refresh is for
    if stored is not None and not refresh:
        return stored, ""
    try:
        source, components = read_list(refresh=refresh)
    except NotAvailableError as error:
        return stored, f"{error.message} ({error.remedy})" if error.remedy else error.message
    return write(folder, source, components, now=now), ""


def write(folder: Path, source: Source, components: Iterable[Component], *, now: datetime) -> Index:
    """Write the index file and make it the one that counts; files that counted before are removed."""
    ordered = sorted(components, key=lambda c: c.name)
    dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    lines = [dump({"format": FORMAT, "source": astuple(source), "columns": COLUMNS, "count": len(ordered)})]
    lines += [dump(astuple(c)) for c in ordered]
    data = lzma.compress(("\n".join(lines) + "\n").encode(), preset=6)
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"components-{digest[:16]}.jsonl.xz"
    put(folder / name, data)
    retrieved = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    manifest = {"file": name, "digest": digest, "retrieved": retrieved, "source": source.label, "count": len(ordered)}
    put(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    for old in folder.glob("components-*.jsonl.xz"):
        if old.name != name:
            old.unlink(missing_ok=True)
    return Index(digest, retrieved, source, tuple(ordered))


def load(folder: Path) -> Index | None:
    """The stored index, checked against its digest; None when there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        path = folder / str(manifest["file"])
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(folder / MANIFEST, "it is no index manifest") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest.get("digest"):
        raise _broken(path, "its SHA-256 is not the one noted when it was taken")
    try:
        head, *rows = lzma.decompress(data).decode().splitlines()
        told = json.loads(head)
        if told["format"] != FORMAT or told["columns"] != COLUMNS or told["count"] != len(rows):
            raise ValueError("another format")
        origin, suite, release, architecture, parts = told["source"]
        source = Source(origin, suite, release, architecture, tuple(parts))
        components = tuple(_component(json.loads(row)) for row in rows)
    except (lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise _broken(path, f"it cannot be read ({error})") from error
    return Index(digest, str(manifest["retrieved"]), source, components)


def _component(row: Sequence[Any]) -> Component:
    values = dict(zip(COLUMNS, row, strict=True))
    return Component(**{**values, "tags": tuple(values["tags"])})


def _broken(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"the stored component index is broken: {why}", place=str(path), remedy="take it anew: --refresh"
    )


def put(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
