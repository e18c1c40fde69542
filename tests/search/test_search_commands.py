"""The commands `search` and `recommend` from end to end."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from search_data import APPLICATION, stored_index

from engine.cli import main
from engine.search import embed

for _package in ("sentence_transformers", "faiss", embed.PACKAGE):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"{_package} is not installed: {embed.REMEDY}", allow_module_level=True)


class Shell:
    """Runs commands of one knowledge base in this process, so that the model is loaded once."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home, self.capture = home, capture

    def __call__(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--home", str(self.home), *arguments])
        out, err = self.capture.readouterr()
        assert (ended.value.code or 0) == code, out + err
        return out


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.delenv("DAPPOPS_CACHE", raising=False)
    stored_index(tmp_path / "home/search")
    file = tmp_path / "show.yaml"
    file.write_text(APPLICATION, encoding="utf-8")
    made = Shell(tmp_path / "home", capsys)
    made("commit", str(file), "--graph", "app")
    return made


def test_commands_search_and_recommend_when_an_application_is_described(shell: Shell) -> None:
    told = shell("search", "stabilise", "shaky", "video", "-n", "3")
    assert "steadycam" in told
    assert "13 components of Invented tryout" in told
    hits = json.loads(shell("search", "video", "--section", "video", "--json"))["hits"]
    assert {h["section"] for h in hits} == {"video"}
    assert (
        "did you mean"
        in json.loads(shell("search", "video", "--tag", "role::programm", "--json", code=3))["error"]["message"]
    )

    told = shell("recommend", "--unit", "gateway")
    assert "1  peerbridge" in told
    assert "see `dappops why`" in told
    told = shell("why")
    assert "Media relay  →  peerbridge" in told
    assert "rank 1 of the eligible: similarity of meaning" in told

    result = json.loads(shell("recommend", "--json", code=1))
    assert result["application"]["label"] == "Small show"
    left = {n["need"]["label"]: bool(n["recommended"]) for n in result["needs"]}
    assert left == {"Media relay": True, "Video stabiliser": True, "Blockchain node": False}
    assert "Blockchain node  →  nothing fits" in shell("why", "--unit", "keeper")

    told = shell("recommend", "a", "small", "web", "server")
    assert told.startswith("a small web server\n  1  webfront")
