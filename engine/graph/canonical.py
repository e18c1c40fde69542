"""A document's RDFC-1.0 N-Quads (https://www.w3.org/TR/rdf-canon/), bounded in time and memory.

The graphs of a knowledge base do without it (see `labels`); this is for documents that others signed or hashed so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.errors import InputError, did_you_mean

FORMATS: Mapping[str, str] = {
    "turtle": "ttl", "n-triples": "nt", "n-quads": "nq", "trig": "trig", "rdf-xml": "rdf", "json-ld": "jsonld",
}  # fmt: skip
"""Names of formats, with the extension that pyoxigraph knows them by."""
HASHES: Mapping[str, str] = {"sha256": "RDFC_1_0", "sha384": "RDFC_1_0_SHA_384"}
SECONDS, SPACE = 10, 2 << 30  # of CPU; bytes of address space
_CHILD = str(Path(__file__).with_name("rdfc_document.py"))
RULE = "https://www.w3.org/TR/rdf-canon/#dataset-poisoning"


def canonical_nquads(
    body: bytes, format: str, *, place: str = "document", base: str = "", algorithm: str = "sha256",
    seconds: int = SECONDS, space: int = SPACE,
) -> bytes:  # fmt: skip
    """The canonical N-Quads of a document. InputError when it is malformed, or when its blank nodes are so alike that the
    form cannot be found within the limits (then nothing is known about it, and nothing was left running)."""
    if format not in FORMATS:
        raise InputError(
            f"no format {format!r}{did_you_mean(format, FORMATS)}", remedy=f"use one of {', '.join(FORMATS)}"
        )
    if algorithm not in HASHES:
        raise InputError(
            f"no hash {algorithm!r}{did_you_mean(algorithm, HASHES)}", remedy=f"use one of {', '.join(HASHES)}"
        )
    command = [sys.executable, "-I", _CHILD, str(seconds), str(space), FORMATS[format], HASHES[algorithm], base]
    try:
        done = subprocess.run(command, input=body, capture_output=True, timeout=2 * seconds + 5, check=False)
    except subprocess.TimeoutExpired:
        done = None
    if done is not None and done.returncode == 0:
        return done.stdout
    if done is not None and done.returncode == 2:
        message = done.stderr.decode(errors="replace").strip() or "it cannot be read"
        raise InputError(message[:500], place=place, rule=format, remedy="correct the document")
    raise InputError(
        f"no canonical form was found within {seconds} CPU seconds and {space >> 20:,} MiB", place=place, rule=RULE,
        remedy="its blank nodes are too much alike: give them IRIs, or allow more with --seconds",
    )  # fmt: skip
