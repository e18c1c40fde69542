"""Commands for whoever keeps a knowledge base: backup and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.commands.output import Context, command, count, line, progress
from engine.errors import InputError


@command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--with-keys", is_flag=True, help="Copy the signing keys, too: whoever has the copy can then sign as you."
)
def backup(context: Context, target: Path, with_keys: bool) -> None:
    """Write a copy of the knowledge base to TARGET, while it runs: a file when its name ends in .tar, else a new folder.

    The copy is of one moment; commits go on meanwhile. It holds private graphs as well, readable only by you.
    Views are not copied: `dappops restore` makes them anew.
    """
    from engine.graph import backup as copies

    with progress("copying", quiet=context.json) as bar:
        made = copies.backup(_folder(context), target, with_keys=with_keys, tell=bar)
    size = sum(f["bytes"] for f in made["files"])
    report = {"target": str(target.absolute()), "bytes": size, **{k: v for k, v in made.items() if k != "heads"}}

    def text() -> None:
        line(f"{report['target']}: transaction {made['head']:,}, {count(len(made['files']), 'file')}, {size:,} bytes")
        if not with_keys:
            line("keys are not in it: keep a copy of the folder `keys`, or add --with-keys")

    context.emit(report, text)


@command()
@click.argument("source", type=click.Path(path_type=Path))
def restore(context: Context, source: Path) -> None:
    """Make a knowledge base from the copy SOURCE in a new folder: `dappops restore kb.tar --home NEW`.

    Compares every digest, makes the views anew and verifies every signature, hash and root of the log. Never overwrites.
    """
    from engine.graph import backup as copies

    if context.home is None:
        raise InputError("where to?", rule="restore SOURCE --home NEW", remedy="name a new folder with --home")
    with progress("restoring", quiet=context.json) as bar:
        made = copies.restore(source, _folder(context), tell=bar)
    report: dict[str, Any] = {
        "home": str(context.folder),
        **{k: v for k, v in made.items() if k not in ("files", "heads")},
    }

    def text() -> None:
        verified = made["verified"]
        line(f"{report['home']}: transaction {made['head']:,}, {count(verified['commits'], 'commit')} verified")
        if not made["keys"]:
            line("the copy has no keys: put the folder `keys` back, or nothing can be signed as this node")

    context.emit(report, text)


def _folder(context: Context) -> Path:
    if context.home == ":memory:":
        raise InputError("a knowledge base in memory has no files", remedy="name a folder with --home")
    return context.folder
