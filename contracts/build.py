"""Compiles every contract in src/ and writes artifacts/<Name>.json; --check compares instead and writes nothing.

The artifacts are committed, since whoever deploys needs neither Node nor compiler. The same sources give the same bytes:
compiler and settings are fixed below, source names are relative, and metadata carries no hash of the paths. The compiler is
npm's `solc` (https://docs.soliditylang.org/en/v0.8.37/using-the-compiler.html#compiler-input-and-output-json-description).

    .venv/bin/python contracts/build.py [--check]

--check remembers in cache/ for which sources, compiler and artifacts it found no difference, and compiles anew only when one of
them changed.

Exit code 0: written, or all as committed; 1: --check found differences; 2: cannot compile here, or the sources do not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 200},
    "metadata": {"bytecodeHash": "none"},
}
OUTPUT = {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"], "": ["ast"]}}
# `leave` is a keyword only of compilers to come; ours is pinned, and participants leave
IGNORED = {"6335"}
IMPORT = re.compile(r"""^\s*import\s[^;]*?["']([^"']+)["']""", re.MULTILINE)


class BuildError(Exception):
    """Nothing was written; the text says why."""


def ready() -> str | None:
    """Why nothing can be compiled here, or None."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not (HERE / "node_modules" / "solc").is_dir():
        return "npm's solc is not installed (make contracts/node_modules/.ready)"
    return None


def sources() -> dict[str, str]:
    """Text of each file in src/ and of each that they import, by its name for the compiler."""
    found: dict[str, str] = {}
    wanted = [str(file.relative_to(HERE)) for file in sorted((HERE / "src").rglob("*.sol"))]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        file = HERE / name if name.startswith("src/") else HERE / "node_modules" / name
        if not file.is_file():
            raise BuildError(f"{name}: no such file")
        found[name] = file.read_text()
        for path in IMPORT.findall(found[name]):
            wanted.append(str((file.parent / path).resolve().relative_to(HERE)) if path.startswith(".") else path)
            if wanted[-1].startswith("node_modules/"):
                wanted[-1] = wanted[-1].removeprefix("node_modules/")
    return dict(sorted(found.items()))


def compile_all() -> tuple[str, dict[str, Any]]:
    """The compiler's full version and its standard JSON output; BuildError with its own words when a source is wrong."""
    shim = ["node", str(HERE / "tools" / "solc.cjs")]
    version = subprocess.run([*shim, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources().items()},
        "settings": {**SETTINGS, "outputSelection": OUTPUT},
    }
    run = subprocess.run(
        [*shim, "--standard-json"], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    output = json.loads(run.stdout)
    wrong = [error["formattedMessage"] for error in output.get("errors", ()) if error.get("errorCode") not in IGNORED]
    if wrong:
        raise BuildError("\n".join(wrong))
    return version, output


def artifacts() -> dict[str, str]:
    """Text of each artifact by its file name: one for each contract in src/ that can be deployed."""
    version, output = compile_all()
    made: dict[str, str] = {}
    for source, unit in output["sources"].items():
        if not source.startswith("src/"):
            continue
        for node in unit["ast"]["nodes"]:
            if node["nodeType"] != "ContractDefinition" or node["contractKind"] != "contract" or node["abstract"]:
                continue
            name = node["name"]
            compiled = output["contracts"][source][name]
            if f"{name}.json" in made:
                raise BuildError(f"{source}: a second contract is called {name}")
            artifact = {
                "contractName": name,
                "compiler": version,
                "settings": SETTINGS,
                "abi": compiled["abi"],
                "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
                "deployedBytecode": "0x" + compiled["evm"]["deployedBytecode"]["object"],
            }
            made[f"{name}.json"] = json.dumps(artifact, indent=1, sort_keys=False) + "\n"
    return dict(sorted(made.items()))


def differences(made: dict[str, str]) -> list[str]:
    """Names of the artifacts that are not as committed, missing and superfluous ones too."""
    folder = HERE / "artifacts"
    there = {file.name: file.read_text() for file in folder.glob("*.json")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def checked() -> list[str]:
    """`differences(artifacts())`, without compiling when nothing changed since they were found equal."""
    seal = hashlib.sha256()
    compiler = (HERE / "node_modules" / "solc" / "package.json").read_text()
    committed = [file.name + file.read_text() for file in sorted((HERE / "artifacts").glob("*.json"))]
    for part in (Path(__file__).read_text(), compiler, json.dumps(sources()), *committed):
        seal.update(hashlib.sha256(part.encode()).digest())
    known = HERE / "cache" / "artifacts.sha256"
    if known.is_file() and known.read_text() == seal.hexdigest():
        return []
    different = differences(artifacts())
    if not different:
        known.parent.mkdir(exist_ok=True)
        known.write_text(seal.hexdigest())
    return different


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is committed; write nothing")
    check = parser.parse_args(arguments).check
    reason = ready()
    if reason is not None:
        print(f"not available: {reason}", file=sys.stderr)
        return 2
    try:
        if check:
            different = checked()
        else:
            made = artifacts()
            different = differences(made)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    if check:
        print(f"different: {', '.join(different)}" if different else "all artifacts are as the sources make them")
        return 1 if different else 0
    folder = HERE / "artifacts"
    folder.mkdir(exist_ok=True)
    for name in different:
        if name in made:
            (folder / name).write_text(made[name])
        else:
            (folder / name).unlink()
    print(f"{len(made)} artifacts, written: {', '.join(different) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
