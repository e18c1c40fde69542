"""JSON-RPC of the embedded chain: web3.py in process and over HTTP, a pool for early transactions, errors as clients know them."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from chain_compliance import INIT, TOPIC, ZERO_HEAD, deployed, word
from eth_account import Account

from engine.errors import InputError
from engine.graph.keys import KeyRing
from engine.ledger.chain import Address, Message
from engine.ledger.contracts import Contract
from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.rpc import Problem, Rpc
from engine.ledger.embedded.serve import RpcServer
from engine.ledger.headers import from_json


def transaction(keys: KeyRing, account: Address, nonce: int, **fields: object) -> str:
    whole = {
        "type": 2, "chainId": 7001, "nonce": nonce, "gas": 300_000, "value": 0, "data": b"", "to": "0x" + "12" * 20,
        "maxFeePerGas": 0, "maxPriorityFeePerGas": 0, **fields,
    }  # fmt: skip
    return Account.sign_transaction(whole, keys.unlock(account).private.secret).raw_transaction.to_0x_hex()


def test_web3_finds_what_it_expects_when_it_asks_in_process(embedded: EmbeddedChain, account: Address) -> None:
    web3 = pytest.importorskip("web3", reason='web3 is not installed: pip install "dappops[ledger]"')
    from engine.ledger.embedded.provider import EmbeddedProvider

    w3 = web3.Web3(EmbeddedProvider(embedded))
    contract = deployed(embedded, account)
    sent = embedded.send(Message(account, contract, word(7)))
    there, me = w3.to_checksum_address(contract), w3.to_checksum_address(account)
    assert (w3.is_connected(), w3.eth.chain_id, w3.eth.block_number, w3.eth.gas_price) == (True, 7001, 2, 0)
    assert w3.eth.get_transaction_count(me) == 2
    block = w3.eth.get_block("latest", True)
    assert (bytes(block["hash"]), block["transactions"][0]["from"]) == (embedded.header().hash, me)
    receipt = w3.eth.get_transaction_receipt(sent.transaction)
    assert (receipt["status"], receipt["gasUsed"], len(receipt["logs"])) == (1, sent.gas_used, 1)
    assert bytes(receipt["logsBloom"]) == bytes(block["logsBloom"])
    assert w3.eth.get_transaction(sent.transaction)["nonce"] == 1
    assert bytes(w3.eth.call({"to": there})) == word(7)
    assert int.from_bytes(w3.eth.get_storage_at(there, 0), "big") == 7
    assert int.from_bytes(w3.eth.get_storage_at(there, 0, 1), "big") == 0
    needed = w3.eth.estimate_gas({"from": me, "to": there, "data": word(9)})
    assert sent.gas_used - 25_000 < needed < sent.gas_used
    assert len(w3.eth.get_logs({"address": there, "topics": [TOPIC], "fromBlock": 0})) == 1
    assert w3.eth.get_logs({"blockHash": embedded.header(1).hash}) == []
    assert w3.eth.fee_history(2, "latest", [50])["baseFeePerGas"] == [0, 0, 0]
    assert w3.eth.get_proof(there, [0], "latest")["storageProof"][0]["value"] == bytes([7])


def test_gas_is_estimated_when_a_message_keeps_less_than_it_takes(embedded: EmbeddedChain, account: Address) -> None:
    """Clearing a slot gives gas back, so it needs more than it uses; the estimate is enough, and not much more."""
    contract = deployed(embedded, account)
    embedded.send(Message(account, contract, word(1)))
    needed = embedded.view().estimate(sender=bytes(20), to=bytes.fromhex(contract[2:]), data=bytes(32), value=0)
    done = embedded.send(Message(account, contract, bytes(32), gas=needed))
    assert done.succeeded
    assert done.gas_used < needed < done.gas_used * 1.5
    embedded.send(Message(account, contract, word(1)))
    assert not embedded.send(Message(account, contract, bytes(32), gas=done.gas_used)).succeeded


def test_transaction_waits_when_it_comes_before_its_turn(
    embedded: EmbeddedChain, keys: KeyRing, account: Address
) -> None:
    rpc = Rpc(embedded)
    late = [rpc.call("eth_sendRawTransaction", [transaction(keys, account, n)]) for n in (2, 1)]
    assert rpc.call("eth_getTransactionReceipt", [late[0]]) is None
    assert rpc.call("eth_getTransactionCount", [account, "pending"]) == "0x0"
    rpc.call("eth_sendRawTransaction", [transaction(keys, account, 0)])
    assert [rpc.call("eth_getTransactionReceipt", [h])["status"] for h in late] == ["0x1", "0x1"]
    assert rpc.call("eth_getTransactionCount", [account, "latest"]) == "0x3"
    for raw, told in (
        (transaction(keys, account, 0), "already known"),
        (transaction(keys, account, 1, value=1), "too low"),
    ):
        with pytest.raises(Problem, match=told):
            rpc.call("eth_sendRawTransaction", [raw])
    for n in range(4, 4 + 64):
        rpc.call("eth_sendRawTransaction", [transaction(keys, account, n)])
    with pytest.raises(Problem, match="too many wait"):
        rpc.call("eth_sendRawTransaction", [transaction(keys, account, 100)])


def test_revert_has_code_3_and_its_data(embedded: EmbeddedChain, account: Address) -> None:
    registry = Contract.deploy(embedded, account, "GraphRegistry")
    data = "0x" + registry.message(account, "anchorHead", word(1), bytes(32)).data.hex()
    for method in ("eth_call", "eth_estimateGas"):
        answer = Rpc(embedded).answer({"id": 1, "method": method, "params": [{"to": registry.address, "data": data}]})
        assert (answer["error"]["code"], answer["error"]["data"]) == (3, "0x" + ZERO_HEAD.hex())


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_sendTransaction", [], -32601), ("eth_getBalance", [], -32602), ("eth_getBalance", ["0x12"], -32000),
        ("eth_getProof", ["0x" + "11" * 20, ["zz"]], -32602), ("eth_call", [{"to": 5}], -32602),
        ("eth_getLogs", [{"topics": [[]] * 5}], -32000), ("eth_getBalance", ["0x" + "11" * 20, "0x99"], -32000),
        ("eth_sendRawTransaction", ["0x"], -32000), ("eth_sendRawTransaction", ["junk"], -32602),
        ("eth_chainId", {"a": 1}, -32602), ("eth_call", [{"to": "0x" + "11" * 20, "value": "-0x1"}], -32602),
        ("eth_getStorageAt", ["0x" + "11" * 20, "0x" + "f" * 65], -32602),
    ],
)  # fmt: skip
def test_rpc_names_the_problem_when_a_question_is_bad(
    method: str, params: Any, code: int, embedded: EmbeddedChain
) -> None:
    answer = Rpc(embedded).answer({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert (answer["id"], answer["error"]["code"]) == (7, code)
    assert answer["error"]["message"]


def test_header_is_rebuilt_when_the_rules_change(embedded: EmbeddedChain) -> None:
    embedded.schedule(2, "prague")
    for _ in range(3):
        embedded.mine()
    rpc = Rpc(embedded)
    for number in range(4):
        told = rpc.call("eth_getBlockByNumber", [hex(number)])
        assert from_json(told) == embedded.header(number)
        assert rpc.call("debug_getRawHeader", [hex(number)]) == "0x" + embedded.header(number).rlp.hex()
        assert rpc.call("debug_getRawBlock", [hex(number)]) == "0x" + embedded.block_rlp(number).hex()
    assert rpc.call("eth_getBlockByNumber", ["0x9"]) is None


def post(served: RpcServer, body: bytes, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("POST", "/", body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, json.loads(data) if data else None


def test_http_answers_a_batch_and_refuses_what_is_none(served: RpcServer) -> None:
    one = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    assert post(served, json.dumps([one, {**one, "id": "b"}, 5]).encode())[1] == [
        {"jsonrpc": "2.0", "id": 1, "result": "0x1b59"}, {"jsonrpc": "2.0", "id": "b", "result": "0x1b59"},
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "not a JSON-RPC request"}},
    ]  # fmt: skip
    del one["id"]
    assert post(served, json.dumps(one).encode()) == (204, None)
    assert post(served, b"{]")[1]["error"]["code"] == -32700
    assert post(served, b"[" * 100_000)[1]["error"]["code"] in (-32700, -32600)
    assert post(served, b"[]")[1]["error"]["code"] == -32600


def test_http_refuses_when_the_request_was_for_somebody_else(served: RpcServer) -> None:
    body = json.dumps({"id": 1, "method": "eth_chainId"}).encode()
    assert post(served, body, Host="evil.example")[0] == 403
    assert post(served, body, Host=f"localhost:{served.port}")[0] == 200
    assert post(served, b"", **{"Content-Length": "99999999"})[0] == 413


def test_server_is_refused_when_its_port_is_taken(served: RpcServer) -> None:
    with pytest.raises(InputError, match=str(served.port)):
        RpcServer(served.rpc.chain, served.port)


def test_init_code_is_taken_when_a_call_has_no_address(embedded: EmbeddedChain) -> None:
    rpc = Rpc(embedded)
    runtime = rpc.call("eth_call", [{"data": "0x" + INIT.hex()}])
    assert INIT.hex().endswith(runtime[2:])
    assert len(runtime) > 2
