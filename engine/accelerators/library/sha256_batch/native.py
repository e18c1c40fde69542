"""SHA-256 through `hashlib`: OpenSSL's code, one message at a time, with the processor's SHA instructions if it has them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def call(inputs: bytes, parameters: Mapping[str, int]) -> bytes:
    """The digests of all messages, one after the other."""
    count, size = parameters["count"], parameters["size"]
    if size == 0:
        return hashlib.sha256(b"").digest() * count
    view, sha = memoryview(inputs), hashlib.sha256
    return b"".join([sha(view[at : at + size]).digest() for at in range(0, count * size, size)])
