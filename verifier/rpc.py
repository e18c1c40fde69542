"""The one thing a verifier asks of others: an Ethereum node over JSON-RPC. What it says of blocks is believed, of slots checked.

https://ethereum.org/developers/docs/apis/json-rpc/
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any, Protocol
from urllib.parse import urlsplit

from verifier.reading import too_deep

TIMEOUT = 10.0  # seconds for one answer
MAX_ANSWER = 8 << 20  # bytes


class RpcError(Exception):
    """The node did not answer, or not so that it could be used."""


class Rpc(Protocol):
    """Somebody who answers a JSON-RPC method."""

    def __call__(self, method: str, params: list[Any]) -> Any:
        """The result; RpcError when there is none."""
        ...


class HttpRpc:
    """A node behind an http or https address."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        host = urlsplit(url)
        if host.scheme not in ("http", "https") or not host.hostname:
            raise ValueError(f"{url!r} is no http address of a node")
        self._url, self._timeout = url, timeout
        self._away = ""  # why it does not answer: it is not waited for again
        local = host.hostname in ("localhost", "127.0.0.1", "::1")
        # a proxy of the environment cannot reach a node on this machine
        self._open = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else [])).open

    def __call__(self, method: str, params: list[Any]) -> Any:
        """See `Rpc`."""
        if self._away:
            raise RpcError(f"{method}: {self._away}")
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        try:
            with self._open(request, timeout=self._timeout) as response:
                data = response.read(MAX_ANSWER + 1)
            text = data.decode() if len(data) <= MAX_ANSWER else "null"
            answer = None if too_deep(text) else json.loads(text)
        except OSError as error:
            self._away = str(error)
            raise RpcError(f"{method}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise RpcError(f"{method}: {error}") from None
        if not isinstance(answer, dict) or "result" not in answer:
            told = answer.get("error") if isinstance(answer, dict) else None
            message = told.get("message") if isinstance(told, dict) else "no answer of JSON-RPC"
            raise RpcError(f"{method}: {str(message)[:200]}")
        return answer["result"]


def quantity(value: object) -> int:
    """A number as JSON-RPC writes it (0x-hex)."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 66:
        raise RpcError(f"{str(value)[:80]!r} is no number")
    try:
        return int(value, 16)
    except ValueError:
        raise RpcError(f"{value!r} is no number") from None


def data(value: object, limit: int = 4096) -> bytes:
    """Bytes as JSON-RPC writes them (0x-hex)."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 * limit + 2:
        raise RpcError("an answer holds no bytes where they belong")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise RpcError("an answer holds no bytes where they belong") from None


def block(rpc: Rpc, which: str) -> tuple[int, bytes] | None:
    """Number and hash of a block (0x-hex number, `latest`, `finalized`); None when there is none."""
    found = rpc("eth_getBlockByNumber", [which, False])
    if found is None:
        return None
    if not isinstance(found, dict):
        raise RpcError("eth_getBlockByNumber: no block in the answer")
    return quantity(found.get("number")), data(found.get("hash"), 32)


def storage(rpc: Rpc, contract: str, slots: list[bytes], number: int) -> dict[bytes, list[bytes]]:
    """Merkle-Patricia proofs of slots at a block."""
    found = rpc("eth_getProof", [contract, ["0x" + slot.hex() for slot in slots], hex(number)])
    items = found.get("storageProof") if isinstance(found, dict) else None
    if not isinstance(items, list) or len(items) != len(slots) or not all(isinstance(x, dict) for x in items):
        raise RpcError("eth_getProof: not the slots that were asked for")
    proofs: dict[bytes, list[bytes]] = {}
    for slot, item in zip(slots, items, strict=True):
        nodes = item.get("proof")
        if not isinstance(nodes, list) or len(nodes) > 64:
            raise RpcError("eth_getProof: no proof in the answer")
        proofs[slot] = [data(node) for node in nodes]
    return proofs
