"""Where the data folders are: `engine/_data` in an installed wheel, the repository root otherwise."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def data_root() -> Path:
    """The folder that holds `ontology/`, `queries/`, `contracts/` and `examples/`."""
    packed = _HERE / "_data"
    return packed if packed.is_dir() else _HERE.parent


def files(folder: str, pattern: str = "*") -> list[Path]:
    """Sorted files under a data folder, e.g. `files("queries/rules", "*.rq")`."""
    return sorted(p for p in (data_root() / folder).rglob(pattern) if p.is_file())
