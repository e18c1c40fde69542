"""Two verifiers that share only the document agree on every file, true or altered."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import verifier
from verifier import Trust

VECTORS = 1_000
HEX = "0123456789abcdef"


def altered(file: Any, chance: random.Random) -> Any:
    """A file with something changed, exchanged, left out or doubled somewhere."""
    file = copy.deepcopy(file)
    inside, key = file, None
    path: list[Any] = []
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        if not keys:
            break
        key = chance.choice(keys)
        path.append(inside)
        if not isinstance(inside[key], dict | list) or not inside[key] or chance.random() < 0.08:
            break
        inside = inside[key]
    if key is None:
        return file
    value, how = inside[key], chance.random()
    if isinstance(inside, list) and how < 0.3:
        chance.choice(
            [lambda: inside.pop(key), lambda: inside.insert(key, copy.deepcopy(value)), lambda: chance.shuffle(inside)]
        )()
    elif isinstance(value, str) and value:
        at = chance.randrange(len(value))
        inside[key] = value[:at] + chance.choice(HEX + ' ."é') + value[at + 1 :]
    elif isinstance(value, int):
        inside[key] = chance.choice([value + 1, value - 1, value ^ 64, float(value), 2**53, -value, value + 0.5, True])
    else:
        inside[key] = chance.choice([None, [], {}, 0, "", value])
    return file


def test_verifiers_agree_on_each_vector(
    kinds: dict[str, Any], world: Any, repo_verifier: Path, effort: int, tmp_path: Path
) -> None:
    chance = random.Random(7)
    trusted = frozenset({world.kb.author})
    whole = {name: {**file} for name, file in kinds.items()}
    whole["shipped"] = world.kb.call("prove_file", graph=world.kb.info()["graphs"][0]["iri"])
    vectors: list[tuple[str, dict[str, Any]]] = []
    for number in range(VECTORS * effort):
        file = whole[sorted(whole)[number % len(whole)]]
        if number >= 3 * len(whole):
            file = altered(file, chance)
            if chance.random() < 0.2:
                file = altered(file, chance)
        else:
            file = copy.deepcopy(file)
            if number % 3 == 1:  # what only the node vouches for
                for head in file["heads"]:
                    head["step"] = head["next"] = None
        vectors.append((json.dumps(file), {"trust": sorted(trusted)} if number % 2 else {}))
    lines = "".join(json.dumps([text, options]) + "\n" for text, options in vectors)
    done = subprocess.run(
        ["node", str(repo_verifier), "--lines"], input=lines, capture_output=True, text=True, check=True, timeout=240 * effort
    )  # fmt: skip
    answers = [json.loads(x) for x in done.stdout.splitlines()]
    assert len(answers) == len(vectors)
    held = 0
    for (text, options), answer in zip(vectors, answers, strict=True):
        report = verifier.verify(text.encode(), trust=Trust(frozenset(options.get("trust", ()))))
        if report.holds != answer["holds"]:
            (tmp_path / "disagreed.json").write_text(text, encoding="utf-8")
        assert report.holds == answer["holds"], (report.text(), answer, str(tmp_path / "disagreed.json"))
        held += report.holds
    assert 30 < held < len(vectors) // 2


def test_second_verifier_says_0_1_or_2(kinds: dict[str, Any], repo_verifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(kinds["history"]), encoding="utf-8")

    def run(*arguments: str) -> int:
        return subprocess.run(
            ["node", str(repo_verifier), *arguments], capture_output=True, check=False, timeout=60
        ).returncode

    assert run(str(path)) == 0
    path.write_text(json.dumps({**kinds["history"], "answer": {}}), encoding="utf-8")
    assert run(str(path)) == 1
    assert run(str(tmp_path / "none.json")) == 2
    assert run() == 2
