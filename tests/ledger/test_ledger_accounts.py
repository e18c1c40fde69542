"""Who may sign where, that signatures are Ethereum's, and that secrets and addresses of nodes are told to nobody."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import pytest
from anvil_node import Anvil
from chain_compliance import INIT
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BusyError, InputError
from engine.graph.hashing import keccak256
from engine.graph.keys import KeyRing
from engine.ledger.accounts import Accounts, Transaction, adopt, signed
from engine.ledger.chain import Address, Message, lower
from engine.ledger.network import NetworkChain, Settings
from engine.ledger.node import Node, is_loopback, shown

UINT = st.integers(0, 2**64 - 1)


@given(
    UINT,
    UINT,
    UINT,
    st.integers(0, 2**256 - 1),
    st.none() | st.binary(min_size=20, max_size=20),
    st.binary(max_size=80),
)
def test_signature_is_the_one_of_another_library(
    keys: KeyRing, account: Address, nonce: int, fee: int, gas: int, value: int, to: bytes | None, data: bytes
) -> None:
    key = keys.unlock(account)
    address = None if to is None else Address("0x" + to.hex())
    ours = signed(key, Transaction(7001, nonce, fee // 2, fee, gas, address, value, data))
    whole = {
        "type": 2, "chainId": 7001, "nonce": nonce, "maxPriorityFeePerGas": fee // 2, "maxFeePerGas": fee, "gas": gas,
        "value": value, "data": data, **({} if to is None else {"to": to}),
    }  # fmt: skip
    theirs = Account.sign_transaction(whole, key.private.secret)
    assert ours == bytes(theirs.raw_transaction)
    assert keccak256(ours) == bytes(theirs.hash)


def test_dev_key_signs_nothing_when_the_network_is_external(
    tmp_path: Path, anvil: Anvil, keys: KeyRing, account: Address
) -> None:
    # an address that is this machine's, yet does not say so, as a name or a tunnel would
    url = anvil.url.replace("127.0.0.1", "127.1")
    assert not is_loopback(url)
    chain = NetworkChain(url, 31337, keys)
    assert chain.accounts() == []
    head = chain.header()
    with pytest.raises(InputError, match="dev key") as refused:
        chain.send(Message(account, None, INIT))
    assert keys.unlock(account).private.secret.hex() not in str(refused.value)
    with pytest.raises(InputError, match="dev key"):
        chain.send_all([Message(account, None, INIT)])
    assert chain.header() == head
    allowed = NetworkChain(url, 31337, keys, Settings(dev_keys=True))
    assert account in allowed.accounts()
    assert allowed.send(Message(account, None, INIT)).succeeded
    ring = KeyRing(tmp_path / "keys")
    stored = ring.create(passphrase="a long one")
    allowed.send(Message(account, Address(stored.address), value=10**18))  # type: ignore[arg-type]
    with_keystore = NetworkChain(url, 31337, ring)
    assert with_keystore.accounts() == [stored.address]
    assert with_keystore.send(Message(Address(stored.address), None, INIT)).succeeded


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8545", True), ("http://localhost", True), ("http://[::1]:1/x", True), ("http://127.9.9.9", True),
        ("http://10.0.0.1", False), ("https://node.example/v3/key", False), ("http://localhost.example", False),
        ("http://0.0.0.0:1", False), ("http://127.0.0.1.example", False), ("http://u@10.0.0.1:127", False),
    ],
)  # fmt: skip
def test_node_is_on_this_machine_only_when_its_address_says_so(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_keystore_is_taken_when_its_passphrase_fits(tmp_path: Path) -> None:
    secret = random.Random("keystore").randbytes(32)
    text = json.dumps(Account.encrypt(secret, "right", kdf="pbkdf2", iterations=10))
    ring = KeyRing(tmp_path)
    for bad, passphrase in ((text, "wrong"), ("{}", "right"), ("[]", "right"), ("no JSON", "right")):
        with pytest.raises(InputError, match="does not open") as refused:
            adopt(ring, bad, passphrase)
        assert passphrase not in str(refused.value)
    key = adopt(ring, text, "right")
    assert key.address == lower(Account.from_key(secret).address)
    [file] = tmp_path.iterdir()
    assert secret.hex() not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="locked"):
        Accounts(KeyRing(tmp_path)).key(key.address)


def test_address_of_a_node_is_told_to_nobody_when_it_holds_a_key(
    served, keys: KeyRing, account: Address, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors and logs, the libraries' debug logs too, show the host only."""
    caplog.set_level(logging.DEBUG)
    secrets = ("s3cret-path", "s3cret-token", "s3cret-user", "s3cret-word")
    url = f"http://{secrets[2]}:{secrets[3]}@127.0.0.1:{served.port}/v3/{secrets[0]}?token={secrets[1]}"
    assert shown(url) == served.url
    chain = NetworkChain(url, served.rpc.chain.chain_id, keys)
    chain.send(Message(account, None, INIT))
    gone = url.replace(str(served.port), "1")
    told = []
    for broken in (gone, url.replace("/v3", "/other/v3"), "ftp://" + url[7:]):
        try:
            Node(broken, attempts=1).ask("eth_nothing")
        except Exception as error:
            told += [str(error), repr(error), repr(error.__cause__), json.dumps(vars(error), default=repr)]
    with pytest.raises(BusyError) as away:
        Node(gone, attempts=2, sleep=lambda _: None).ask("eth_chainId")
    told += [str(away.value), repr(away.value.__cause__)]
    assert len(told) == 14
    assert len(caplog.records) > 5, "the libraries said something"
    told += [record.getMessage() for record in caplog.records]
    private = keys.unlock(account).private.secret.hex()
    assert not [text for text in told if any(s in text for s in (*secrets, private))]


@pytest.mark.parametrize("text", ["0x12", "", "12" * 20, "0x" + "zz" * 20, "0x" + "12" * 21])
def test_address_is_refused_when_it_is_none(text: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        lower(text)
