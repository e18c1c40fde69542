"""`dappops contract …` on the shipped rehearsal, and a forecast for a network that asks for fees."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("eth", reason='py-evm is not installed: pip install "dappops[ledger]"')

import engine
from engine.cli import main
from engine.graph.keys import KeyRing
from engine.ledger import home


def ran(folder: Path, *args: str) -> tuple[int, Any]:
    """A command in this process, with its JSON."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as left, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(["--home", str(folder), "--json", *args])
    assert isinstance(left.value.code, int)
    return left.value.code, json.loads(out.getvalue()) if out.getvalue() else err.getvalue()


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Path]:
    """A home with the rehearsal's description, held open: commands are its clients and need not load it each time."""
    folder = tmp_path_factory.mktemp("rehearsal") / "home"
    with engine.open(folder):
        assert ran(folder, "commit", str(repo / "examples" / "crowd-rehearsal.yaml"))[0] == 0
        yield folder


def test_contract_lives_from_forecast_to_handing_over(described: Path) -> None:
    code, told = ran(described, "contract", "templates", "crowd-rehearsal")
    assert code == 0
    assert {c["template"] for c in told["contracts"]} == {"DigestLog", "ConsentRegister", "RevenueShare"}

    code, forecast = ran(described, "contract", "forecast", "crowd-rehearsal", "--gas-price", "20")
    assert code == 0
    assert "RevenueShare" in forecast["left_out"]
    fees = {c["template"]: c for c in forecast["contracts"]}
    assert int(fees["DigestLog"]["deployment_wei"]) == 20 * 10**9 * fees["DigestLog"]["deployment_gas"]
    assert fees["DigestLog"]["calls_a_month"] == 81_000  # two digests a second, 64 in a batch
    # the chain's own estimate of the largest message is near what was measured
    assert abs(fees["DigestLog"]["logic_gas_told_by_chain"] / fees["DigestLog"]["logic_gas"] - 1) < 0.03

    code, done = ran(described, "contract", "deploy", "crowd-rehearsal", "--template", "DigestLog")
    assert code == 0
    [deployed] = done["deployed"]
    assert abs(deployed["forecast_error"]) < 0.001
    assert ran(described, "contract", "pause", "DigestLog")[0] == 0
    code, signed = ran(described, "contract", "unpause", "DigestLog", "--sign-only")
    assert (code, signed["quorum"], len(signed["signatures"])) == (0, 1, 1)
    [signature] = signed["signatures"].values()
    assert ran(described, "contract", "unpause", "DigestLog", "--signature", signature)[0] == 0
    code, moved = ran(described, "contract", "migrate", "DigestLog")
    assert code == 0
    code, [old] = ran(described, "contract", "status", deployed["address"])
    assert old["successor"]["address"] == moved["successor"]["address"]
    code, [new] = ran(described, "contract", "status", "DigestLog")
    assert (new["address"], new["paused"]) == (moved["successor"]["address"], False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("deploy", "crowd-rehearsal", "--requirement", "smooth-picture"), "no template for this requirement"),
        (("deploy", "crowd-rehearsal", "--template", "RevenueShare"), "cannot be deployed yet"),
        (("forecast", "crowd-rehearsal", "--template", "DigestLogg"), "did you mean"),
        (("deploy", "crowd-rehearsal", "--share", "0x12"), "is no share"),
        (("unpause", "ConsentRegister"), "no contract"),
        (("patch", "DigestLog", "--call", "0xzz"), "not hexadecimal"),
    ],
)
def test_contract_command_is_refused_with_a_reason(described: Path, arguments: tuple[str, ...], message: str) -> None:
    code, told = ran(described, "contract", *arguments)
    assert code == 3
    assert message in told["error"]["message"]


def test_forecast_holds_on_a_network_that_asks_for_fees(described: Path, tmp_path: Path, repo: Path) -> None:
    """Anvil's price of gas changes from block to block; the gas is what was measured on a scratch chain of another code base."""
    sys.path.insert(0, str(repo / "tests" / "ledger"))
    try:
        from anvil_node import RICH, Anvil
    finally:
        sys.path.remove(str(repo / "tests" / "ledger"))
    rich = KeyRing(described / "keys").create(private=RICH).address
    with Anvil(tmp_path) as node:
        home.create(described, "fees", kind="json-rpc", rpc=node.url, keys=KeyRing(described / "keys"), account=rich)
        code, forecast = ran(described, "--author", rich, "contract", "forecast", "crowd-rehearsal", "--chain", "fees")
        assert code == 0, forecast
        assert int(forecast["gas_price_wei"]) > 0
        code, done = ran(
            described,
            "--author",
            rich,
            "contract",
            "deploy",
            "crowd-rehearsal",
            "--template",
            "ConsentRegister",
            "--chain",
            "fees",
        )
        assert code == 0, done
        [deployed] = done["deployed"]
        assert abs(deployed["forecast_error"]) < 0.001
        assert int(deployed["fee_wei"]) > 0
