"""JSON-RPC of an embedded chain: what web3.py, wallets and other nodes' clients ask.

Methods: https://ethereum.github.io/execution-apis/. The chain signs for nobody here: transactions come signed. One with a
number ahead of its turn waits, bounded and in memory, as in any node's pool; every other is in a block on disk when its hash
is given. Errors: https://www.jsonrpc.org/specification#error_object and EIP-1474.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import DappopsError, InputError
from engine.graph.hashing import keccak256
from engine.ledger.chain import Reverted, lower, raw
from engine.ledger.embedded import rpc_json as shape
from engine.ledger.embedded.chain import EmbeddedChain

CLIENT = "dappops-embedded/1"
WAITING_PER_SENDER = 64
WAITING = 1024
NAMED = ("earliest", "latest", "pending", "safe", "finalized")


class Problem(Exception):
    """An error object."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Rpc:
    """Answers for one chain; any thread may ask."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self.chain = chain
        self._pool: dict[bytes, dict[int, bytes]] = {}
        self._pooling = threading.Lock()
        self.methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: CLIENT,
            "net_version": lambda: str(chain.chain_id),
            "net_listening": lambda: True,
            "eth_chainId": lambda: hex(chain.chain_id),
            "eth_syncing": lambda: False,
            "eth_accounts": list,
            "eth_blockNumber": lambda: hex(chain.store.head()),
            "eth_gasPrice": lambda: "0x0",
            "eth_maxPriorityFeePerGas": lambda: "0x0",
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBalance": lambda a, tag="latest": hex(self._view(tag).balance(_address(a))),
            "eth_getTransactionCount": self._count,
            "eth_getCode": lambda a, tag="latest": shape.hexed(self._view(tag).code(_address(a))),
            "eth_getStorageAt": lambda a, slot, tag="latest": shape.word(
                self._view(tag).storage(_address(a), _int(slot))
            ),
            "eth_getProof": self._proof,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_getLogs": self._logs,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_sendRawTransaction": self._send,
            "debug_getRawHeader": lambda tag: shape.hexed(self._stored(tag)[2]),
            "debug_getRawBlock": lambda tag: shape.hexed(chain.block_rlp(self._stored(tag)[0])),
        }

    # -- the protocol ----------------------------------------------------------------------------------------------

    def answer(self, request: Any) -> Any:
        """The response to a request or a batch of them; None when there is none to give (notifications only)."""
        if isinstance(request, list):
            if not request:
                return _error(None, -32600, "an empty batch")
            answers = [a for a in (self.answer(r) for r in request) if a is not None]
            return answers or None
        if not isinstance(request, Mapping) or not isinstance(request.get("method"), str):
            return _error(None, -32600, "not a JSON-RPC request")
        number, params = request.get("id"), request.get("params", [])
        try:
            result = self.call(request["method"], params)
        except Problem as problem:
            return _error(number, problem.code, str(problem), problem.data)
        return {"jsonrpc": "2.0", "id": number, "result": result} if "id" in request else None

    def call(self, method: str, params: Any) -> Any:
        """The result of one method; Problem otherwise."""
        found = self.methods.get(method)
        if found is None:
            raise Problem(-32601, f"there is no method {method}")
        if not isinstance(params, Sequence) or isinstance(params, str):
            raise Problem(-32602, "params must be a list")
        try:
            return found(*params)
        except Reverted as error:
            raise Problem(3, f"execution reverted: {error.message}", shape.hexed(error.data)) from error
        except InputError as error:
            raise Problem(-32000, str(error)) from error
        except DappopsError as error:
            raise Problem(-32603, str(error)) from error
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise Problem(-32602, f"bad parameters for {method}: {error}") from error

    # -- blocks ----------------------------------------------------------------------------------------------------

    def _stored(self, tag: Any) -> tuple[int, bytes, bytes]:
        """(number, hash, header RLP) of a tag: name, number, or EIP-1898 object. Problem when there is none."""
        found = self._find(tag)
        if found is None:
            raise Problem(-32000, f"there is no block {tag}")
        return found

    def _find(self, tag: Any) -> tuple[int, bytes, bytes] | None:
        if isinstance(tag, Mapping):
            if "blockHash" in tag:
                return self.chain.store.header(digest=shape.unhexed(tag["blockHash"]))
            tag = tag["blockNumber"]
        if tag in NAMED[1:]:
            return self.chain.store.header()
        return self.chain.store.header(0 if tag == "earliest" else _int(tag))

    def _view(self, tag: Any) -> Any:
        """State after a block. The newest one's clock goes on, as `EmbeddedChain.view` tells."""
        return self.chain.view(None if tag in ("latest", "pending") else self._stored(tag)[0])

    def _block_by_number(self, tag: Any, full: bool = False) -> Any:
        return self._block(self._find(tag), full)

    def _block_by_hash(self, digest: str, full: bool = False) -> Any:
        return self._block(self.chain.store.header(digest=shape.unhexed(digest)), full)

    def _block(self, found: tuple[int, bytes, bytes] | None, full: bool) -> Any:
        if found is None:
            return None
        return shape.block(found[2], self.chain.store.transactions(found[0]), full=full)

    def _fee_history(self, count: Any, newest: Any = "latest", percentiles: Sequence[float] | None = None) -> Any:
        last = self._stored(newest)[0]
        blocks = min(_int(count), 1024, last + 1)
        history: dict[str, Any] = {
            "oldestBlock": hex(last - blocks + 1),
            "baseFeePerGas": ["0x0"] * (blocks + 1),
            "gasUsedRatio": [
                shape.gas_ratio(self._stored(hex(n))[2]) for n in range(last - blocks + 1, last + 1)
            ],
        }  # fmt: skip
        if percentiles:
            history["reward"] = [["0x0"] * len(percentiles)] * blocks
        return history

    # -- state -----------------------------------------------------------------------------------------------------

    def _count(self, address: str, tag: Any = "latest") -> str:
        sender = _address(address)
        count = int(self._view(tag).nonce(sender))
        if tag == "pending":
            with self._pooling:
                while count in self._pool.get(sender, {}):
                    count += 1
        return hex(count)

    def _proof(self, address: str, slots: Sequence[Any], tag: Any = "latest") -> Any:
        wanted = [_int(s) for s in slots]
        return shape.proof(lower(address), self._view(tag).proof(_address(address), wanted), slots)

    def _call(self, message: Mapping[str, Any], tag: Any = "latest", *_: Any) -> str:
        asked = _message(message)
        return shape.hexed(self._view(tag).call(**asked, gas=_int(message.get("gas") or 0) or None))

    def _estimate(self, message: Mapping[str, Any], tag: Any = "latest", *_: Any) -> str:
        return hex(self._view(tag).estimate(**_message(message)))

    def _logs(self, question: Mapping[str, Any]) -> Any:
        if "blockHash" in question:
            first = last = self._stored({"blockHash": question["blockHash"]})[0]
        else:
            begin, end = (("latest" if t is None else t) for t in (question.get("fromBlock"), question.get("toBlock")))
            first = self._stored(begin)[0]
            last = self._stored(end)[0] if end in NAMED else _int(end)  # a number may be ahead of the head
        asked = question.get("address")
        addresses = [] if asked is None else [asked] if isinstance(asked, str) else list(asked)
        topics = [
            [] if t is None else [shape.unhexed(x) for x in ([t] if isinstance(t, str) else t)]
            for t in question.get("topics") or []
        ]
        found = self.chain.store.logs(addresses=[raw(a) for a in addresses], topics=topics, first=first, last=last)
        places = {r.hash: r.position for n in {e.block for e in found} for r in self.chain.store.transactions(n)}
        return [shape.log(e, places[e.transaction]) for e in found]

    # -- transactions ----------------------------------------------------------------------------------------------

    def _transaction(self, digest: str) -> Any:
        row = self.chain.store.transaction(shape.unhexed(digest))
        return None if row is None else shape.transaction(row, self._stored(hex(row.block))[1])

    def _receipt(self, digest: str) -> Any:
        row = self.chain.store.transaction(shape.unhexed(digest))
        if row is None:
            return None
        logs = [e for e in self.chain.store.logs(first=row.block, last=row.block) if e.transaction == row.hash]
        before = [r for r in self.chain.store.transactions(row.block) if r.position <= row.position]
        return shape.receipt(row, self._stored(hex(row.block))[1], sum(r.gas_used for r in before), logs)

    def _send(self, signed: str) -> str:
        transaction = shape.unhexed(signed)
        digest = keccak256(transaction)
        if self.chain.store.transaction(digest) is not None:
            raise Problem(-32000, "already known")
        sender, nonce = self.chain.read_transaction(transaction)
        with self._pooling:
            turn = int(self.chain.view().nonce(sender))
            if nonce < turn:
                raise Problem(-32000, f"nonce too low: the next is {turn}, this has {nonce}")
            waiting = self._pool.setdefault(sender, {})
            if nonce > turn:
                if nonce not in waiting and (
                    len(waiting) >= WAITING_PER_SENDER or sum(map(len, self._pool.values())) >= WAITING
                ):
                    raise Problem(-32000, f"nonce too high: the next is {turn}, this has {nonce}, and too many wait")
                waiting[nonce] = transaction
                return shape.hexed(digest)
            self.chain.mine([transaction])
            while (turn := turn + 1) in waiting:
                try:
                    self.chain.mine([waiting.pop(turn)])
                except InputError:
                    break  # what came early could not be; whoever asks for its receipt finds none
            if not waiting:
                self._pool.pop(sender, None)
        return shape.hexed(digest)


def _error(number: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    return {"jsonrpc": "2.0", "id": number, "error": error if data is None else {**error, "data": data}}


def _int(value: Any) -> int:
    n = value if isinstance(value, int) else int(value, 16)
    if n < 0 or n >= 1 << 256:
        raise ValueError(f"{value} is not a number of the chain")
    return n


def _address(text: str) -> bytes:
    return raw(text)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    to = message.get("to")
    return {
        "sender": _address(message["from"]) if message.get("from") else bytes(20),
        "to": _address(to) if to else None,
        "data": shape.unhexed(message.get("input") or message.get("data") or "0x"),
        "value": _int(message.get("value") or 0),
    }
