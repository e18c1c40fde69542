"""Packages: each variant of each function in the forms in which it can be started, by digest, and only from what the
digest promises.

A package's identity is the SHA-256 of its bytes (of an OCI image: of its manifest, which names the rest by digest), and
the same sources give the same bytes, here and tomorrow. Bytes lie in `<home>/packages/sha256/<digest>`; every start reads
them from there, compares, and unpacks what it compared. What no package carries is the interpreter and its libraries
(numpy, pyopencl, PoCL): those are the node's, bound read-only; `index.json` and an image's labels name them.

    store = packages.Store(home)
    built = packages.build(store)                    # every variant x box; the same digests on every run
    packages.publish(kb, built)                      # to the graph `functions`; a second call changes nothing
    report = packages.verify_equal(store, "sha256-batch", {"count": 16, "size": 64}, inputs)
    packages.export_oci(store, package, Path("blur.tar"))
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.accelerators import archive
from engine.accelerators.archive import digest_of
from engine.accelerators.boxes.spec import machine
from engine.accelerators.library import FUNCTIONS, function
from engine.errors import InputError, IntegrityError, NotAvailableError, did_you_mean

if TYPE_CHECKING:
    from engine.accelerators.equality import Report
    from engine.kb import KnowledgeBase

SOURCES = Path(__file__).resolve().parents[2]  # holds `engine/` and `reasoners/`
ENTRY = "engine/accelerators/worker.py"
GUEST = "engine/accelerators/boxes/guest.py"
EMPTY = b'"""Packed: only what this function needs."""\n'
RUNNER = {"numpy": "array", "native": "array", "opencl": "opencl", "wasm": "wasm"}
LIBRARY = {"numpy": ("array.py",), "native": ("native.py",), "opencl": ("kernel.cl",), "wasm": ()}
NEEDS = {"numpy": "numpy", "native": "", "opencl": "numpy pyopencl", "wasm": "wasmtime"}  # of the node's Python
KINDS = {  # box -> class, isolation level, media type
    "process": ("ProcessPackage", "ProcessIsolation", "application/x-tar"),
    "wasm": ("WasmModulePackage", "WasmIsolation", "application/wasm"),
    "sandbox": ("SandboxPackage", "SandboxIsolation", "application/x-tar"),
    "container": ("OciImagePackage", "ContainerIsolation", archive.MANIFEST),
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REBUILD = "build it again: `dappops function package`"


@dataclass(frozen=True, slots=True)
class Package:
    """One variant in the form that one box starts."""

    function: str
    variant: str
    box: str
    digest: str
    size: int  # bytes to be moved to a node
    entry: str
    needs: str  # Python packages that the node must have

    @property
    def id(self) -> str:
        """Unique among the packages of a store."""
        return f"{self.function}-{self.variant}-{self.box}"

    @property
    def kind(self) -> str:
        """Local name of its class."""
        return KINDS[self.box][0]

    @property
    def level(self) -> str:
        """Local name of the isolation level it starts in."""
        return KINDS[self.box][1]

    @property
    def media_type(self) -> str:
        """Of the bytes that `digest` is of."""
        return KINDS[self.box][2]


class Store:
    """Bytes by digest in a home's folder `packages`, and `index.json`: what was built last."""

    def __init__(self, home: Path) -> None:
        self.root = Path(home) / "packages"

    def path(self, digest: str) -> Path:
        """Where the bytes of this digest lie. InputError for what is no digest."""
        if not DIGEST.fullmatch(digest):
            raise InputError(f"{digest!r} is no digest", rule="sha256: and 64 hexadecimal digits")
        return self.root / digest.replace(":", "/")

    def put(self, data: bytes) -> str:
        """Keep these bytes; returns their digest."""
        digest = digest_of(data)
        target = self.path(digest)
        if not target.is_file() or target.read_bytes() != data:
            _write(target, data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of this digest, compared with it. IntegrityError when they are others, NotAvailableError when gone."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotAvailableError(f"package {digest} is not here", place=str(self.root), remedy=REBUILD) from error
        if digest_of(data) != digest:
            raise IntegrityError(
                f"{digest} was changed: its bytes now have digest {digest_of(data)}",
                place=str(self.path(digest)), rule="a package is started only with the bytes of its digest", remedy=REBUILD,
            )  # fmt: skip
        return data

    def unpack(self, package: Package, target: Path) -> None:
        """Put a package's files, compared with its digest, into an empty folder."""
        data = self.get(package.digest)
        if package.box == "wasm":
            (target / "module.wasm").write_bytes(data)
        elif package.box == "container":
            for layer in json.loads(data)["layers"]:
                archive.unpack(self.get(layer["digest"]), target, below="app")
        else:
            archive.unpack(data, target)

    def save(self, built: Sequence[Package]) -> None:
        """Remember what was built."""
        _write(self.root / "index.json", archive.canonical([asdict(p) for p in built]))

    def packages(self) -> list[Package]:
        """What was built last; empty when nothing was."""
        path = self.root / "index.json"
        try:
            return [Package(**found) for found in json.loads(path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"no index of packages: {error}", place=str(path), remedy=REBUILD) from error

    def find(self, function: str, variant: str, box: str) -> Package:
        """A package that was built. NotAvailableError names what there is."""
        there = self.packages()
        for package in there:
            if (package.function, package.variant, package.box) == (function, variant, box):
                return package
        wanted = f"{function}-{variant}-{box}"
        raise NotAvailableError(
            f"no package {wanted}{did_you_mean(wanted, [p.id for p in there])}", place=str(self.root),
            remedy=REBUILD if not there else f"there are: {', '.join(p.id for p in there)}",
        )  # fmt: skip


def build(
    store: Store, functions: Iterable[str] = FUNCTIONS, *, replaced: Mapping[str, bytes] | None = None
) -> list[Package]:
    """Build and store every variant of these functions for every box that can carry it. Needs none of the boxes.

    `replaced`: other bytes for some source files (paths as in the repository): what would be built from them.
    """
    built = [
        _one(store, name, variant, box, replaced or {})
        for name in functions
        for variant in function(name).variants
        for box in (("wasm",) if variant == "wasm" else ("process", "sandbox", "container"))
    ]
    store.save(built)
    return built


def _one(store: Store, name: str, variant: str, box: str, replaced: Mapping[str, bytes]) -> Package:
    made = Package(name, variant, box, "", 0, ENTRY, NEEDS[variant])
    if box == "wasm":
        path = (function(name).folder / "module.wasm").relative_to(SOURCES).as_posix()
        module = _source(path, replaced)
        return replace(made, digest=store.put(module), size=len(module), entry="run")
    files = sources(name, variant, replaced)
    if box == "container":
        labels = {
            "org.opencontainers.image.title": made.id,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.dappops.needs": f"python>=3.11 {made.needs}".strip(),
        }
        layer = archive.tar({f"app/{path}": data for path, data in files.items()})
        digest, blobs = archive.oci_image(layer, ["python3", "-I", f"/app/{ENTRY}"], machine(), labels)
        for blob in blobs.values():
            store.put(blob)
        return replace(made, digest=digest, size=sum(map(len, blobs.values())), entry=f"/app/{ENTRY}")
    # which box it is for is part of what is promised, so it is part of the bytes
    files["package.json"] = archive.canonical({"box": box, "function": name, "needs": made.needs, "variant": variant})
    data = archive.tar(files)
    return replace(made, digest=store.put(data), size=len(data))


def sources(name: str, variant: str, replaced: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The files that a worker for this variant needs, by path: what it imports, followed, and its kernel.

    A WebAssembly package is its module alone; the worker around the guest is made of these, by the node.
    """
    folder = function(name).folder.relative_to(SOURCES).as_posix()
    start = [ENTRY, f"engine/accelerators/runners/{RUNNER[variant]}.py", f"{folder}/__init__.py"]
    start += [f"{folder}/{part}" for part in LIBRARY[variant]]
    start += [GUEST] if variant == "wasm" else []
    found: dict[str, bytes] = {}
    while start:
        path = start.pop()
        if path not in found:
            found[path] = _source(path, replaced or {})
            start += _imported(found[path]) if path.endswith(".py") else []
    for path in list(found):  # the packages above are there, and empty
        for parent in Path(path).parents[:-1]:
            found.setdefault(f"{parent.as_posix()}/__init__.py", EMPTY)
    return found


def _imported(source: bytes) -> list[str]:
    """Files of this project that a module imports, wherever the import stands."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] in ("engine", "reasoners"):
                path = name.replace(".", "/")
                found += [p for p in (f"{path}.py", f"{path}/__init__.py") if (SOURCES / p).is_file()]
    return found


def _source(path: str, replaced: Mapping[str, bytes]) -> bytes:
    return replaced[path] if path in replaced else (SOURCES / path).read_bytes()


def export_oci(store: Store, package: Package, target: Path) -> None:
    """Write an OCI image layout archive (`podman load -i`, `skopeo copy oci-archive:`). InputError for another kind."""
    if package.box != "container":
        raise InputError(f"{package.id} is a {package.kind}", rule="only an OciImagePackage is an image")
    manifest = store.get(package.digest)
    parts = json.loads(manifest)
    blobs = {d["digest"]: store.get(d["digest"]) for d in (parts["config"], *parts["layers"])}
    target.write_bytes(archive.oci_layout(package.id, manifest, {package.digest: manifest, **blobs}))


def publish(kb: KnowledgeBase, built: Sequence[Package], *, graph: str = "functions", author: str | None = None) -> Any:
    """State these packages in the graph `functions`, in place of what was stated there before; idempotent."""
    return kb.call("publish_packages", packages=[asdict(p) for p in built], graph=graph, author=author)


def published(kb: KnowledgeBase, *, graph: str = "functions", author: str | None = None) -> list[Package]:
    """What the graph states: hand it to `broker.start`, and workers start from what was committed."""
    return [Package(**found) for found in kb.call("published_packages", graph=graph, author=author)]


def verify_equal(store: Store, name: str, parameters: Mapping[str, int], inputs: bytes, **options: Any) -> Report:
    """Run the same inputs through every package of a function in its box and compare what comes out, byte for byte.

    What is not available here is told with its reason and does not count; options: `area`, `limits`, `found_boxes`
    (name -> box), `packages`. See `equality`.
    """
    from engine.accelerators.equality import verify

    return verify(store, name, parameters, inputs, **options)


def _write(path: Path, data: bytes) -> None:
    """Replace a file as a whole, for this user alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    draft.replace(path)
