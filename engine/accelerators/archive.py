"""Archives whose bytes follow from their contents alone, and their careful unpacking.

Tar in the oldest format that does, entries sorted, owner root, time zero, no compression (its bytes depend on the library's
version); an OCI image (https://github.com/opencontainers/image-spec) of one such layer.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError

MAX_ENTRIES = 1000
MAX_BYTES = 1 << 28  # of everything unpacked from one archive
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of these files and the folders above them; the same files give the same bytes."""
    out = io.BytesIO()
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted({*files, *folders}):
            entry = tarfile.TarInfo(name)
            if name in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.mode, entry.size = 0o644, len(files[name])
                archive.addfile(entry, io.BytesIO(files[name]))
    return out.getvalue()


def unpack(data: bytes, target: Path, *, below: str = "") -> None:
    """Unpack a tar archive into `target`: files and folders only, nothing outside, within bounds.

    `below`: the folder of the archive whose contents are wanted; anything beside it is refused. InputError for an archive
    that holds what it should not.
    """
    prefix = f"{below}/" if below else ""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            entries = archive.getmembers()
            if len(entries) > MAX_ENTRIES or sum(e.size for e in entries) > MAX_BYTES:
                raise InputError("the archive is too large", rule=f"{MAX_ENTRIES} entries, {MAX_BYTES} bytes")
            for entry in entries:
                if entry.isdir() and (entry.name == below or below.startswith(f"{entry.name}/")):
                    continue
                if not entry.name.startswith(prefix) or not (entry.isreg() or entry.isdir()):
                    raise InputError(f"the archive holds {entry.name!r}", rule="files and folders below its root only")
                entry = entry.replace(name=entry.name.removeprefix(prefix), deep=False)
                archive.extract(entry, target, filter="data")
    except tarfile.TarError as error:
        raise InputError(f"this archive is refused: {error}", rule="a tar archive of files and folders") from error


def oci_image(
    layer: bytes, entry: list[str], architecture: str, labels: Mapping[str, str]
) -> tuple[str, dict[str, bytes]]:
    """Digest of the manifest, and all blobs by digest."""
    config = canonical({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": entry, "WorkingDir": "/scratch", "Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
    })  # fmt: skip
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
        "annotations": dict(labels),
    })  # fmt: skip
    blobs = {digest_of(b): b for b in (layer, config, manifest)}
    return digest_of(manifest), blobs


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    """https://github.com/opencontainers/image-spec/blob/main/descriptor.md"""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def oci_layout(name: str, manifest: bytes, blobs: Mapping[str, bytes]) -> bytes:
    """An image layout as one tar archive, which podman, skopeo and docker read."""
    entry = {**descriptor(MANIFEST, manifest), "annotations": {"org.opencontainers.image.ref.name": name}}
    files = {
        "oci-layout": canonical({"imageLayoutVersion": "1.0.0"}),
        "index.json": canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}),
        **{f"blobs/{digest.replace(':', '/')}": data for digest, data in blobs.items()},
    }
    return tar(files)


def canonical(value: Any) -> bytes:
    """JSON with one spelling."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
