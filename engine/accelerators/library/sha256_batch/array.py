"""SHA-256 in NumPy: one message in each 32-bit lane, all lanes through the same step at once.

https://doi.org/10.6028/NIST.FIPS.180-4: constants 4.2.2, functions 4.1.2, padding 5.1.1, computation 6.2.2.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Lanes = npt.NDArray[np.uint32]

CHUNK = 2048  # messages at a time: the working variables and the schedule stay in a level-2 cache


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % p for p in found):
            found.append(number)
        number += 1
    return found


def _fraction(prime: int, root: int) -> int:
    """First 32 bits of the fractional part of a root of a prime, by integer bisection: exact (4.2.2, 5.3.3)."""
    scaled = prime << (32 * root)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        if middle**root <= scaled:
            low = middle
        else:
            high = middle - 1
    return low & 0xFFFFFFFF


K = np.array([_fraction(p, 3) for p in _primes(64)], np.uint32)
INITIAL = np.array([_fraction(p, 2) for p in _primes(8)], np.uint32)


def call(inputs: bytes, parameters: Mapping[str, int]) -> bytes:
    """The digests of all messages, one after the other."""
    count, size = parameters["count"], parameters["size"]
    messages = np.frombuffer(inputs, np.uint8).reshape(count, size)
    out = np.empty((count, 8), ">u4")
    for at in range(0, count, CHUNK):
        out[at : at + CHUNK] = _digest(_pad(messages[at : at + CHUNK], size)).T
    return out.tobytes()


def _pad(messages: npt.NDArray[np.uint8], size: int) -> Lanes:
    """Blocks x 16 words x messages: a 1 bit, zeros, and the length in bits as 64-bit number behind each message."""
    count = len(messages)
    blocks = (size + 9 + 63) // 64
    padded = np.zeros((count, blocks * 64), np.uint8)
    padded[:, :size] = messages
    padded[:, size] = 0x80
    padded[:, -8:] = np.frombuffer((8 * size).to_bytes(8, "big"), np.uint8)
    words = padded.view(">u4").reshape(count, blocks, 16)
    return np.ascontiguousarray(words.transpose(1, 2, 0).astype(np.uint32))


def _rotate(x: Lanes, by: int) -> Lanes:
    return (x >> np.uint32(by)) | (x << np.uint32(32 - by))


def _digest(blocks: Lanes) -> Lanes:
    state = np.repeat(INITIAL[:, None], blocks.shape[2], axis=1)
    for block in blocks:
        a, b, c, d, e, f, g, h = state
        w = list(block)
        for t in range(64):
            if t >= 16:
                w1, w14 = w[t - 15], w[t - 2]
                s0 = _rotate(w1, 7) ^ _rotate(w1, 18) ^ (w1 >> np.uint32(3))
                s1 = _rotate(w14, 17) ^ _rotate(w14, 19) ^ (w14 >> np.uint32(10))
                w.append(w[t - 16] + s0 + w[t - 7] + s1)
            big1 = _rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)
            t1 = h + big1 + (g ^ (e & (f ^ g))) + K[t] + w[t]
            big0 = _rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)
            t2 = big0 + ((a & b) | (c & (a | b)))
            a, b, c, d, e, f, g, h = t1 + t2, a, b, c, d + t1, e, f, g
        state = state + np.stack((a, b, c, d, e, f, g, h))
    return state
