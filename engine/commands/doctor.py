"""Commands about the installation: doctor, docs, completion."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from engine.commands.output import Context, command, count, line, table
from engine.errors import DappopsError, InputError

# what may be there, what for, and how to get it
PACKAGES = (
    ("highspy", "plan", "optimal plans"), ("moto", "catalogue", "EC2 types"), ("libcloud", "catalogue", "prices of EC2 and Azure"),
    ("codecarbon", "catalogue", "carbon and power"), ("owlready2", "ontology", "consistency of the ontology (HermiT)"),
    ("sentence_transformers", "search", "search by meaning"), ("faiss", "search", "vector index"), ("web3", "ledger", "chains"),
    ("pyopencl", "accelerators", "OpenCL devices"), ("flask", "serve", "page and API"), ("granian", "serve", "HTTP server"),
    ("a2wsgi", "serve", "pages beside the endpoint"), ("uvloop", "serve", "event loop of the endpoint"),
    ("itsdangerous", "serve", "tokens"), ("prometheus_client", "serve", "metrics"),
)  # fmt: skip
PROGRAMS = (
    ("java", "HermiT: consistency and DL profile", "install a Java runtime, 11 or later"),
    ("node", "contract tools", "install Node.js"), ("git", "development", "install git"),
)  # fmt: skip


@command()
@click.option("--rebuild", is_flag=True, help="Drop every view and make it anew from the log.")
@click.option("--audit", is_flag=True, help="Recompute log and views and compare (time in proportion to the log).")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where `serve` would listen.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port that `serve` would take."
)
def doctor(context: Context, rebuild: bool, audit: bool, host: str, port: int) -> None:
    """What this machine has, whether an endpoint can run on it, and whether the knowledge base is well.

    Exit code 1 when a check failed (warnings do not count), 6 when log and views disagree.
    """
    from engine.commands import checks

    report: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": [
            {"name": n, "extra": extra, "for": what, "available": importlib.util.find_spec(n) is not None}
            for n, extra, what in PACKAGES
        ],
        "programs": [
            {"name": n, "for": what, "available": shutil.which(n) is not None, "remedy": remedy}
            for n, what, remedy in PROGRAMS
        ],
    }
    with context.open() as kb:
        if rebuild:
            kb.call("rebuild")
        report["knowledgeBase"] = {k: v for k, v in kb.info().items() if k != "graphs"} | {"owner": kb.is_owner}
        if kb.home is not None:
            size = int(kb.select("SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }").rows[0][0].value)  # type: ignore[union-attr]
            report["checks"] = [c.json() for c in checks.machine(kb.home, host, port, size)]
        if audit or rebuild:
            report["audit"] = kb.call("audit")

    def text() -> None:
        line(f"Python {report['python']}")
        rows = [
            (p["name"], p["for"], "yes" if p["available"] else f'no: pip install "dappops[{p["extra"]}]"')
            for p in report["packages"]
        ]
        rows += [(p["name"], p["for"], "yes" if p["available"] else f"no: {p['remedy']}") for p in report["programs"]]
        table("", ["component", "for", "available"], rows)
        if "checks" in report:
            table("", ["check", "", "seen"], [(c["name"], c["status"], c["seen"]) for c in report["checks"]])
            for each in report["checks"]:
                if each["remedy"]:
                    line(f"{each['name']}: {each['remedy']}")
        base = report["knowledgeBase"]
        recovered = ", ".join(base["recovered"]) or "nothing to do"
        line(
            f"knowledge base {base['home']}: {count(base['head'], 'transaction')}, node {base['node']}, recovered: {recovered}"
        )
        if not base["owner"]:
            line("another process owns it and answers")
        if "audit" in report:
            line("log and views agree: " + ", ".join(f"{v:,} {k}" for k, v in report["audit"].items()))

    context.emit(report, text)
    if any(c["status"] == checks.FAIL for c in report.get("checks", ())):
        raise click.exceptions.Exit(1)


@command()
@click.option("--check", is_flag=True, help="Only say whether they are up to date (exit code 1 when not).")
def docs(context: Context, check: bool) -> None:
    """Regenerate the generated parts of the documentation: table of shapes, table of rules, command reference."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "docs").is_dir():
        raise InputError(
            "the documentation is not here", place=str(root), remedy="run it in a checkout of the repository"
        )
    stale = []
    for path, body in generated().items():
        target = root / path
        if not target.is_file() or target.read_text(encoding="utf-8") != body:
            stale.append(path)
            if not check:
                target.write_text(body, encoding="utf-8")
    context.emit(
        {"stale": stale}, lambda: line(("stale: " if check else "written: ") + (", ".join(stale) or "nothing"))
    )
    if check and stale:
        raise click.exceptions.Exit(1)


def generated() -> dict[str, str]:
    """Path in the repository -> text of each generated document."""
    import engine
    from engine.docs import command_reference, rule_table, shape_table

    with engine.open(":memory:") as kb:
        assert kb.kernel is not None
        gate = kb.kernel.gate
        return {
            "docs/shapes.md": shape_table(gate),
            "docs/rules.md": rule_table(gate),
            "docs/commands.md": command_reference(),
        }


@command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(context: Context, shell: str) -> None:
    """Print a completion script, e.g. `dappops completion bash > ~/.local/share/bash-completion/completions/dappops`."""
    program = shutil.which("dappops") or sys.argv[0]
    environment = {**os.environ, "_DAPPOPS_COMPLETE": f"{shell}_source"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise DappopsError(f"no completion for {shell}: {done.stderr.strip()}")
    context.emit({"shell": shell, "script": done.stdout}, lambda: click.echo(done.stdout, nl=False))
