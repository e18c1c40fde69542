"""Packages follow from their sources, start only with the bytes of their digest, and unpack nowhere else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from engine.accelerators import archive, boxes, packages
from engine.accelerators.cell import Cell
from engine.accelerators.library import FUNCTIONS, function
from engine.errors import InputError, IntegrityError, NotAvailableError

NATIVE = "engine/accelerators/library/sha256_batch/native.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(home: Path) -> packages.Store:
    made = packages.Store(home)
    packages.build(made)
    return made


def test_build_gives_the_same_digests_when_it_runs_elsewhere_and_again(store: packages.Store, tmp_path: Path) -> None:
    code = (
        "import sys, json; from pathlib import Path; from dataclasses import asdict\n"
        "from engine.accelerators import packages\n"
        "print(json.dumps([asdict(p) for p in packages.build(packages.Store(Path(sys.argv[1])))]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True, env=environment, umask=0o077
    )
    there = [packages.Package(**p) for p in json.loads(done.stdout)]
    assert there == store.packages() == packages.build(store)


def test_build_carries_every_variant_for_every_box(store: packages.Store) -> None:
    built = {(p.function, p.variant, p.box) for p in store.packages()}
    wanted = {
        (name, variant, box)
        for name in FUNCTIONS for variant in function(name).variants for box in boxes.BOXES
        if (variant == "wasm") == (box == "wasm")
    }  # fmt: skip
    assert built == wanted
    assert len({p.digest for p in store.packages()}) == len(wanted) >= 17
    for package in store.packages():
        assert packages.KINDS[package.box][:2] == (package.kind, package.level)
        assert package.size > 0


def test_digest_changes_when_a_source_does_and_only_where_it_is_packed(store: packages.Store, tmp_path: Path) -> None:
    changed = packages.build(packages.Store(tmp_path), replaced={NATIVE: b"def call(inputs, parameters): return b''\n"})
    moved = {p.id for p, old in zip(changed, store.packages(), strict=True) if p.digest != old.digest}
    assert moved == {f"sha256-batch-native-{box}" for box in ("process", "sandbox", "container")}


def test_digest_is_of_the_bytes_in_the_store(store: packages.Store) -> None:
    for package in store.packages():
        assert hashlib.sha256(store.path(package.digest).read_bytes()).hexdigest() == package.digest.removeprefix(
            "sha256:"
        )
        assert store.path(package.digest).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "id", ["sha256-batch-native-process", "sha256-batch-wasm-wasm", "sha256-batch-numpy-container"]
)
def test_package_is_refused_with_its_digest_when_one_byte_was_changed(tmp_path: Path, id: str) -> None:
    store = packages.Store(tmp_path)
    package = next(p for p in packages.build(store) if p.id == id)
    spoil = package.digest
    if package.box == "container":  # a layer: the manifest itself stays whole
        spoil = json.loads(store.get(package.digest))["layers"][0]["digest"]
    data = bytearray(store.path(spoil).read_bytes())
    data[len(data) // 2] ^= 1
    store.path(spoil).write_bytes(data)
    if boxes.get(package.box).check() is not None:
        pytest.skip(str(boxes.get(package.box).check()))
    with boxes.Area(tmp_path / "boxes") as area:
        with pytest.raises(IntegrityError, match=spoil):
            Cell(store, package, area)
        assert os.listdir(area.folder) == [], "nothing of it was kept"
    packages.build(store)
    store.unpack(package, _folder(tmp_path / "again"))


def test_store_says_what_to_do_when_package_is_absent(tmp_path: Path, store: packages.Store) -> None:
    with pytest.raises(NotAvailableError) as caught:
        packages.Store(tmp_path).find("sha256-batch", "native", "process")
    assert "dappops function package" in caught.value.remedy
    with pytest.raises(NotAvailableError, match="did you mean 'sha256-batch-native-process'"):
        store.find("sha256-batch", "natve", "process")
    with pytest.raises(NotAvailableError, match="not here"):
        store.get("sha256:" + "0" * 64)
    for path in ("../../etc/passwd", "sha256:../x", "sha256:" + "A" * 64, ""):
        with pytest.raises(InputError, match="no digest"):
            store.get(path)


def test_worker_runs_what_is_packed_and_not_what_is_installed(tmp_path: Path) -> None:
    store = packages.Store(tmp_path)
    changed = b"def call(inputs, parameters):\n    return b'packed' * parameters['count']\n"
    packages.build(store, ["sha256-batch"], replaced={NATIVE: changed})
    with boxes.Area(tmp_path / "boxes") as area:
        for box in ("process", "sandbox", "container"):
            if boxes.get(box).check() is None:
                with Cell(store, store.find("sha256-batch", "native", box), area) as cell:
                    assert cell.call(b"", {"count": 2, "size": 0}).output == b"packedpacked", box


def _hostile(kind: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        entry = tarfile.TarInfo({"above": "../out", "root": "/out", "inner": "a/../../out"}.get(kind, "out"))
        if kind == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        elif kind == "hard":
            entry.type, entry.linkname = tarfile.LNKTYPE, "../../etc/passwd"
        elif kind == "device":
            entry.type = tarfile.CHRTYPE
        elif kind == "pipe":
            entry.type = tarfile.FIFOTYPE
        made.addfile(entry)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["above", "root", "inner", "link", "hard", "device", "pipe"])
def test_archive_is_refused_when_it_reaches_outside(kind: str, tmp_path: Path) -> None:
    target = _folder(tmp_path / "deep" / "target")
    if kind == "root":  # a leading slash is taken off, as tar does: it stays inside
        archive.unpack(_hostile(kind), target)
        assert os.listdir(target) == ["out"]
    else:
        with pytest.raises(InputError):
            archive.unpack(_hostile(kind), target)
        assert os.listdir(target) == []
    assert os.listdir(tmp_path) == ["deep"]
    assert not Path("/out").exists()


def test_archive_is_refused_when_it_is_none_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="refused"):
        archive.unpack(b"not a tar archive" * 100, tmp_path)
    with pytest.raises(InputError, match="too large"):
        archive.unpack(archive.tar({f"f{i}": b"" for i in range(archive.MAX_ENTRIES + 1)}), tmp_path)


def test_archive_has_the_same_bytes_when_files_come_in_another_order() -> None:
    files = {"b/x": b"1", "a": b"2", "b/c/y": b"3"}
    assert archive.tar(files) == archive.tar(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(archive.tar(files))) as made:
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in made.getmembers()} == {(0, 0, 0, "")}


def test_image_layout_names_every_blob_by_its_digest_and_size(store: packages.Store, tmp_path: Path) -> None:
    package = store.find("frame-filter", "numpy", "container")
    packages.export_oci(store, package, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as layout:
        parts = {m.name: layout.extractfile(m).read() for m in layout.getmembers() if m.isfile()}  # type: ignore[union-attr]
    assert json.loads(parts.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(parts.pop("index.json"))
    assert [m["digest"] for m in index["manifests"]] == [package.digest]
    wanted = list(index["manifests"])
    manifest = json.loads(parts[_blob(package.digest)])
    wanted += [manifest["config"], *manifest["layers"]]
    for found in wanted:
        data = parts.pop(_blob(found["digest"]))
        assert (archive.digest_of(data), len(data)) == (found["digest"], found["size"])
        if found is manifest["config"]:
            config = json.loads(data)
            assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
            assert config["config"]["Entrypoint"][-1] == package.entry
    assert parts == {}
    with pytest.raises(InputError, match="only an OciImagePackage"):
        packages.export_oci(store, store.find("frame-filter", "numpy", "sandbox"), tmp_path / "other.tar")


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
