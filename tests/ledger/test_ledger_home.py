"""Chains of a home: made whole or not at all, found again, told apart; and the contracts on them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anvil_node import Anvil
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError, IntegrityError
from engine.graph.keys import KeyRing
from engine.ledger import home as homes
from engine.ledger.chain import Address, Reverted, Wei
from engine.ledger.contracts import Contract, Interface, artifact, emitted, interface
from engine.ledger.embedded.schedule import Genesis

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, keys: KeyRing, account: Address) -> Path:
    """One with its default chain."""
    folder = tmp_path_factory.mktemp("home")
    homes.ensure(folder, keys, account).close()
    return folder


def test_default_chain_has_our_contracts_when_it_is_made(home: Path, keys: KeyRing, account: Address) -> None:
    again = homes.ensure(home, keys, account)
    assert [r.name for r in homes.records(home)] == ["main"]
    assert set(again.record.contracts) == set(homes.SYSTEM)
    assert all(again.chain.code(a) for a in again.record.contracts.values())
    assert again.chain.balance(account) == homes.SUPPLY
    registry = again.contract("GraphRegistry")
    done = registry.send(account, "anchorHead", b"\1" * 32, b"\2" * 32)
    assert [e.args["head"] for e in emitted(done, registry, "HeadAnchored")] == [b"\2" * 32]
    other = homes.connect(home, keys=keys)
    assert other.contract("GraphRegistry").call("headOf", account, b"\1" * 32) == b"\2" * 32
    with pytest.raises(InputError, match="did you mean 'GraphRegistry'"):
        again.contract("GraphRegistri")


def test_one_chain_is_made_when_several_ask_at_once(tmp_path: Path, keys: KeyRing, account: Address) -> None:
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: homes.ensure(tmp_path, keys, account), range(3)))
    assert len({c.record.chain_id for c in found}) == 1
    assert {c.chain.header().hash for c in found} == {found[0].chain.header().hash}
    assert sorted(p.name for p in homes.chains_folder(tmp_path).iterdir()) == [".lock", "main"]


@pytest.mark.parametrize(
    ("name", "told"), [("main", "already"), ("Main", "not a name"), ("../x", "not a name"), ("", "not a name")]
)
def test_chain_is_not_made_when_its_name_cannot_be(
    name: str, told: str, home: Path, keys: KeyRing, account: Address
) -> None:
    with pytest.raises(InputError, match=told):
        homes.create(home, name, keys=keys, account=account)


def test_nothing_is_left_when_making_fails(tmp_path: Path, keys: KeyRing, account: Address) -> None:
    stranger = "0x" + "77" * 20
    with pytest.raises(InputError, match="no key"):
        homes.create(tmp_path, "a", keys=keys, account=stranger)
    with pytest.raises(InputError, match="no GraphRegistry at"):
        homes.create(tmp_path, "a", keys=keys, account=account, contracts={"GraphRegistry": stranger})
    with pytest.raises(InputError, match="belongs to a json-rpc chain"):
        homes.create(tmp_path, "a", keys=keys, account=account, rpc="http://127.0.0.1:1")
    with pytest.raises(InputError, match="did you mean 'embedded'"):
        homes.create(tmp_path, "a", keys=keys, account=account, kind="embeded")
    assert list(homes.chains_folder(tmp_path).iterdir()) == []
    with pytest.raises(InputError, match="no chain 'a'"):
        homes.connect(tmp_path, "a", keys=keys)


def test_replica_begins_like_the_chain_it_follows(home: Path, keys: KeyRing, account: Address, tmp_path: Path) -> None:
    original = homes.connect(home, keys=keys)
    begin = Genesis.of(original.record.genesis)
    made = homes.create(
        tmp_path, "copy", keys=keys, account=account, genesis=begin, contracts=original.record.contracts
    )
    assert made.genesis == original.record.genesis
    assert made.chain_id == original.record.chain_id
    replica = homes.connect(tmp_path, "copy", keys=keys)
    for number in range(1, original.chain.header().number + 1):
        replica.chain.import_block(original.chain.block_rlp(number))  # type: ignore[attr-defined]
    assert replica.chain.header() == original.chain.header()
    assert replica.contract("ServiceAgreement").address == original.contract("ServiceAgreement").address


def test_network_is_taken_up_with_contracts_that_are_there(
    tmp_path: Path, anvil: Anvil, keys: KeyRing, account: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_NODE", anvil.url)
    first = homes.create(
        tmp_path, "net", keys=keys, account=account, kind="json-rpc", rpc="env:OUR_NODE",
        settings={"confirmations": 2},
    )  # fmt: skip
    text = (first.folder / "chain.json").read_text()
    assert anvil.url not in text
    second = homes.create(
        tmp_path, "again", keys=keys, account=account, kind="json-rpc", rpc=anvil.url, contracts=first.contracts,
    )  # fmt: skip
    assert second.contracts == first.contracts
    connected = homes.connect(tmp_path, "net", keys=keys)
    assert connected.chain.final() == connected.chain.header().number - 2
    with pytest.raises(InputError, match="on chain 31337, not 5"):
        homes.create(tmp_path, "c", keys=keys, account=account, kind="json-rpc", rpc=anvil.url, chain_id=5)
    monkeypatch.delenv("OUR_NODE")
    with pytest.raises(InputError, match="OUR_NODE"):
        homes.connect(tmp_path, "net", keys=keys)


def test_network_is_refused_when_it_is_not_the_recorded_one(
    tmp_path: Path, anvil: Anvil, keys: KeyRing, account: Address
) -> None:
    made = homes.create(tmp_path, "net", keys=keys, account=account, kind="json-rpc", rpc=anvil.url)
    body = json.loads((made.folder / "chain.json").read_text())
    body["genesis"]["hash"] = "0x" + "00" * 32
    (made.folder / "chain.json").write_text(json.dumps(body))
    with pytest.raises(IntegrityError, match="genesis hash"):
        homes.connect(tmp_path, "net", keys=keys)
    (made.folder / "chain.json").write_text("{}")
    with pytest.raises(IntegrityError, match="not the description"):
        homes.records(tmp_path)


def test_contract_is_remembered_when_it_was_added(home: Path, keys: KeyRing, account: Address) -> None:
    connected = homes.connect(home, keys=keys)
    gateway = Contract.deploy(connected.chain, account, "Gateway", [])
    homes.remember(home, "main", {"Gateway": gateway.address.upper().replace("0X", "0x")})
    assert homes.connect(home, keys=keys).contract("Gateway").address == gateway.address


# -- contracts -----------------------------------------------------------------------------------------------------


def test_refusal_is_decoded_with_its_arguments(home: Path, keys: KeyRing, account: Address) -> None:
    names = homes.connect(home, keys=keys).contract("NameRegistry")
    with pytest.raises(Reverted) as refused:
        names.send(account, "register", "Not A Name", 10**7, account, "http://x")
    assert (refused.value.error, refused.value.arguments) == ("BadName", {"name": "Not A Name"})
    assert "BadName(name=Not A Name)" in str(refused.value)


def test_struct_comes_back_as_a_tuple(home: Path, keys: KeyRing, account: Address) -> None:
    names = homes.connect(home, keys=keys).contract("NameRegistry")
    names.send(account, "register", "shop", 40 * 86_400, account, "http://a\nhttp://b")
    [event] = names.events("NameRegistered", owner=account)
    assert event.args["name"] == "shop"
    record = names.call("record", event.args["node"])
    assert isinstance(record, tuple)
    assert (record[0], record[-1]) == (account, "http://a\nhttp://b")
    assert names.call("resolve", "shop")[0] == "http://a\nhttp://b"


@pytest.mark.parametrize(
    ("function", "args", "told"),
    [
        ("headof", ("0x" + "11" * 20, bytes(32)), "did you mean 'headOf'"),
        ("headOf", ("0x" + "11" * 20,), r"takes \(address submitter, bytes32 graph\)"),
        ("headOf", ("0x11", bytes(32)), "does not fit"), ("headOf", ("0x" + "11" * 20, bytes(33)), "does not fit"),
        ("headOf", ("0x" + "11" * 20, 5), "does not fit"),
    ],
)  # fmt: skip
def test_call_is_refused_when_it_does_not_fit_the_abi(
    function: str, args: tuple[object, ...], told: str, home: Path, keys: KeyRing
) -> None:
    registry = homes.connect(home, keys=keys).contract("GraphRegistry")
    with pytest.raises(InputError, match=told):
        registry.call(function, *args)


def test_contract_is_missed_when_nothing_is_at_its_address(home: Path, keys: KeyRing, account: Address) -> None:
    chain = homes.connect(home, keys=keys).chain
    with pytest.raises(InputError, match="no GraphRegistry at this address"):
        Contract(chain, Address("0x" + "99" * 20), "GraphRegistry").call("headOf", account, bytes(32))
    with pytest.raises(InputError, match="did you mean 'GraphRegistry'"):
        artifact("GraphRegistr")
    with pytest.raises(InputError, match="did you mean 'submitter'"):
        interface("GraphRegistry").topics("HeadAnchored", {"submiter": account})


def test_abi_words_are_those_of_the_specification() -> None:
    """The examples of https://docs.soliditylang.org/en/latest/abi-spec.html#examples."""

    def function(name: str, *kinds: str) -> dict[str, object]:
        inputs = [{"name": f"a{i}", "type": kind} for i, kind in enumerate(kinds)]
        return {"type": "function", "name": name, "inputs": inputs, "outputs": []}

    foo = Interface("Foo", [function("baz", "uint32", "bool"), function("sam", "bytes", "bool", "uint256[]")])
    assert foo.encode("baz", [69, True]).hex() == "cdcd77c0" + f"{69:064x}{1:064x}"
    sam = foo.encode("sam", [b"dave", True, [1, 2, 3]]).hex()
    assert sam[:8] == "a5643bf2"
    words = [sam[8 + i * 64 : 72 + i * 64] for i in range(9)]
    assert words[:3] == [f"{0x60:064x}", f"{1:064x}", f"{0xA0:064x}"]
    assert words[3:5] == [f"{4:064x}", "64617665".ljust(64, "0")]
    assert words[5:] == [f"{n:064x}" for n in (3, 1, 2, 3)]
    with pytest.raises(InputError, match="whole signature"):
        Interface("X", [function("f", "uint8"), function("f", "address")]).encode("f", [1])
    assert (
        Interface("X", [function("f", "uint8"), function("f", "bytes")]).encode("f(uint8)", [1])[4:]
        == bytes(31) + b"\1"
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("08c379a0" + f"{32:064x}{2:064x}" + "6e6f".ljust(64, "0"), "refused: no"),
        ("4e487b71" + f"{0x11:064x}", "failed: overflow"), ("4e487b71" + f"{0x99:064x}", "0x99"),
        ("", "without a known reason"), ("deadbeef", "without a known reason"),
    ],
)  # fmt: skip
def test_builtin_errors_are_told_in_words(data: str, told: str) -> None:
    from engine.ledger.contracts import refused

    assert told in str(refused(interface("GraphRegistry"), "anchorHead", bytes.fromhex(data)))


def test_money_is_refused_when_the_function_takes_none(home: Path, keys: KeyRing, account: Address) -> None:
    registry = homes.connect(home, keys=keys).contract("GraphRegistry")
    with pytest.raises(Reverted):
        registry.send(account, "anchorHead", b"\1" * 32, b"\2" * 32, value=Wei(1))


def test_chains_are_listed_without_loading_an_evm(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.ledger import home;"
        f"assert [r.name for r in home.records(Path({str(home)!r}))] == ['main'];"
        "heavy = {'eth', 'web3', 'eth_abi', 'rlp', 'trie', 'requests'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["bytes32", "address", "uint8", "uint64", "uint256"]), st.binary(min_size=32, max_size=32)
        )
    )
)
def test_words_are_decoded_as_the_general_decoder_does(parts: list[tuple[str, bytes]]) -> None:
    from engine.ledger.contracts import _decode, _decode_any

    outputs = [{"name": f"a{i}", "type": kind} for i, (kind, _) in enumerate(parts)]
    small = {"address": 20, "uint8": 1, "uint64": 8}
    for data in (
        b"".join(word for _, word in parts),
        b"".join(word[-small.get(kind, 32) :].rjust(32, b"\0") for kind, word in parts),
    ):
        try:
            wanted = _decode_any("x", outputs, data)
        except InputError:
            with pytest.raises(InputError):
                _decode("x", outputs, data)
        else:
            assert _decode("x", outputs, data) == wanted
