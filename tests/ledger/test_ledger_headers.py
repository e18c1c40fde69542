"""A node's JSON becomes the very bytes that the block's hash is of, or an error."""

from __future__ import annotations

import pytest
from anvil_node import Anvil

from engine.errors import IntegrityError
from engine.ledger.headers import FIELDS, from_json, header_of

ZERO = "0x" + "00" * 32
# https://etherscan.io/block/0
MAINNET_GENESIS = {
    "parentHash": ZERO, "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x" + "00" * 20, "stateRoot": "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": "0x" + "00" * 256, "difficulty": "0x400000000", "number": "0x0", "gasLimit": "0x1388", "gasUsed": "0x0",
    "timestamp": "0x0", "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
    "mixHash": ZERO, "nonce": "0x0000000000000042", "totalDifficulty": "0x400000000", "size": "0x21c",
    "transactions": [], "uncles": [],
    "hash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
}  # fmt: skip


def test_header_has_its_hash_when_it_is_the_first_of_mainnet() -> None:
    header = from_json(MAINNET_GENESIS)
    assert header == header_of(header.rlp)
    assert (header.number, header.time) == (0, 0)


@pytest.mark.parametrize("fork", ["berlin", "london", "shanghai", "cancun", "prague", "osaka"])
def test_header_has_its_hash_when_anvil_follows_a_fork(fork: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Anvil(tmp_path_factory.mktemp(fork), "--hardfork", fork) as node:
        node.ask("anvil_mine", "0x2")
        for number in range(3):
            told = node.ask("eth_getBlockByNumber", hex(number), False)
            assert from_json(told).number == number


@pytest.mark.parametrize("name", [name for name, _ in FIELDS[:15]])
def test_header_is_refused_when_a_field_is_missing_or_another(name: str) -> None:
    with pytest.raises(IntegrityError, match=name):
        from_json({k: v for k, v in MAINNET_GENESIS.items() if k != name})
    value = str(MAINNET_GENESIS[name])
    changed = value[:-1] + ("1" if value[-1] != "1" else "2")
    with pytest.raises(IntegrityError, match="not known here"):
        from_json({**MAINNET_GENESIS, name: changed})


def test_unknown_field_is_named_when_the_hash_does_not_fit() -> None:
    with pytest.raises(IntegrityError, match="l1BlockNumber"):
        from_json({**MAINNET_GENESIS, "l1BlockNumber": "0x1", "hash": ZERO})
    assert from_json({**MAINNET_GENESIS, "l1BlockNumber": "0x1"}).number == 0, "beside the header it may be"
