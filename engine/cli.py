"""The command line: parse, call one public function, print, exit by family.

Commands live in `engine.commands` and are imported when they are called, so that `dappops --help` stays quick.
Exit codes: 0 ok, 1 findings, 2 usage, 3 input at fault, 4 busy or out of budget, 5 not available here, 6 integrity.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from reasoners.errors import DappopsError, did_you_mean

# name -> (module:function, one-line help): the help is here so that listing commands imports none of them
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("graph:init", "Make a knowledge base: a key, the log, the shipped policy."),
    "run": ("main_job:run", "Describe, check and place an application on the real cloud catalogue, and explain it."),
    "check": ("describe:check", "Check DAppOps-ML or RDF files; writes nothing."),
    "commit": ("graph:commit", "Commit DAppOps-ML, RDF or rule files to a graph."),
    "import": ("catalogue:import_", "Import offers and RDF: ec2, azure, cloud, or files."),
    "query": ("graph:query", "Answer a SPARQL query (text, file or -)."),
    "view": ("views:view", "Answer a named view of the graph, or list them."),
    "update": ("graph:update", "Evaluate a SPARQL Update to its delta and commit it."),
    "show": ("graph:show", "What is stated and derived about a node."),
    "plan": ("planning:plan", "Place an application's units on offers and commit the decision."),
    "why": ("planning:why", "Explain a decision, or why a triple holds."),
    "why-not": ("planning:why_not", "Explain why an offer was not chosen for a unit."),
    "search": ("search:search", "Find components and functions by meaning."),
    "recommend": ("search:recommend", "Recommend components for a need or a unit, with reasons."),
    "devices": ("accelerators:devices", "Discover this host's accelerators and publish them."),
    "function": ("accelerators:function", "List, measure, choose, package and call functions."),
    "deploy": ("orchestration:deploy", "Start an application's units as its plan says, and keep them so."),
    "chain": ("chains:chain", "Make, measure, choose, upgrade and co-sign chains; relay heads between them."),
    "contract": ("contracts:contract", "Contracts of an application: forecast, deploy, pause, patch, hand over."),
    "name": ("naming:name", "Register, resolve, move and serve names of applications."),
    "status": ("orchestration:status", "What runs where, and how it is."),
    "events": ("orchestration:events", "What happened to what runs."),
    "simulate": ("operation:simulate", "What an action would lead to, before it is taken."),
    "sla": ("sla:sla", "Agreements: propose, sign, open, settle; reputation."),
    "witness": ("witness:witness", "Measure for an agreement and vote; attest readings."),
    "serve": ("server:serve", "Serve the page, the SPARQL endpoint and the graphs over HTTP."),
    "login": ("access:login", "Sign in at an endpoint with your key; prints a short-lived token."),
    "access": ("access:access", "Who may read a graph: list, grant, revoke; the audit trail."),
    "backup": ("operations:backup", "Write a copy of the knowledge base while it runs."),
    "restore": ("operations:restore", "Make a knowledge base from a backup."),
    "demo": ("demo:demo", "Play the whole story: describe, discover, plan, package, run, break, cure."),
    "rules": ("graph:rules", "The rules in force, and what they did."),
    "findings": ("graph:findings", "What coherence shapes found and is still so."),
    "classify": ("classify:classify", "Consistency, unsatisfiable classes and the inferred hierarchy of the terms."),
    "validate": ("describe:validate", "Validate data files against shapes, or the whole knowledge base."),
    "log": ("history:log", "Transactions, newest first."),
    "diff": ("history:diff", "What changed between two transactions."),
    "revert": ("history:revert", "Commit the reverse of a transaction."),
    "redact": ("history:redact", "Remove statements and erase their text from the log."),
    "export": ("graph:export", "Write a graph, or the union, as RDF."),
    "anchor": ("proofs:anchor", "Record heads of graphs on a chain, in batches and within a budget."),
    "prove": ("proofs:prove", "A proof that statements are (not) in a graph, for anybody."),
    "verify": ("proofs:verify", "Recompute every signature, hash and root; or check a proof file."),
    "canonicalize": ("proofs:canonicalize", "Print a document's canonical N-Quads (RDFC-1.0), bounded."),
    "keys": ("graph:keys", "List, make or import keys."),
    "doctor": ("doctor:doctor", "What this machine has and how the knowledge base is."),
    "docs": ("doctor:docs", "Regenerate the generated parts of the documentation."),
    "completion": ("doctor:completion", "Print a shell completion script."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"engine.commands.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # click would import every command for its help line
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--home", metavar="DIR", envvar="DAPPOPS_HOME", help="Folder of the knowledge base.  [default: .dappops]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option(
    "--author",
    metavar="ADDRESS",
    envvar="DAPPOPS_AUTHOR",
    help="Key that signs what is committed.  [default: the node's]",
)
@click.option("--safe", is_flag=True, help="Open without local rules and shapes.")
@click.option("--no-color", is_flag=True, help="Plain text; so does the environment variable NO_COLOR.")
@click.version_option(package_name="dappops")
def cli(**options: Any) -> None:
    """The life of quality-critical decentralised applications in one signed, explained RDF graph.

    Start with `dappops demo` (the whole story) or `dappops run` (a plan), then `dappops why`, `dappops why-not OFFER`,
    `dappops query "SELECT …"`.

    These options may stand before or after the command's name.
    """
    click.get_current_context().obj = options


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the `dappops` command; always ends by SystemExit."""
    given = list(sys.argv[1:] if args is None else args)
    try:
        # click gives back the code of an Exit instead of raising it; commands return None
        sys.exit(cli(args=given, prog_name="dappops", standalone_mode=False) or 0)
    except click.ClickException as error:
        code = 2 if isinstance(error, click.UsageError) else error.exit_code
        if "--json" in given:
            click.echo(json.dumps({"error": usage_json(error)}, indent=2, ensure_ascii=False))
        else:
            error.show()
        sys.exit(code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        drop_stdout()
        sys.exit(0)
    except DappopsError as error:
        fail(error, as_json="--json" in given)
    except OSError as error:
        # a full disk, a folder that may not be written: nothing that the code could have known
        place = str(error.filename or "")
        told = DappopsError(
            error.strerror or str(error), place=place, remedy="make room or permission there, or choose another --home"
        )
        fail(told, as_json="--json" in given)


def fail(error: DappopsError, *, as_json: bool) -> None:
    """Print one error and end with its family's exit code."""
    from engine.commands.output import show_error

    show_error(error, as_json=as_json)
    sys.exit(error.exit_code)


def usage_json(error: click.ClickException) -> dict[str, Any]:
    """A mistake in the command line, in the one shape that every error has."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "dappops"
    return {
        "family": "UsageError", "message": error.format_message(), "place": path, "rule": "",
        "remedy": f"see `{path} --help`", "details": None,
    }  # fmt: skip


def drop_stdout() -> None:
    """Send what is still to be printed nowhere: the reader has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
