"""The command `serve`: the page and the SPARQL endpoint of this knowledge base, on this machine."""

from __future__ import annotations

import sys
import webbrowser

import click

from engine.commands.output import Context, command, line, print_json


@command()
@click.option("--host", default=None, metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--open/--no-open", "open_", default=False, show_default=True, help="Open the page in a browser.")
@click.option("--plain", is_flag=True, help="Use Flask's own server, even where Granian is installed.")
def serve(context: Context, host: str | None, port: int, open_: bool, plain: bool) -> None:
    """Serve the page and a SPARQL endpoint on this machine, until Ctrl-C.

    Whoever reaches the address reads everything that is public in this knowledge base, without a password; nothing can be
    changed through it. Other commands work beside it.
    """
    from engine.server import run

    address = host or "127.0.0.1"
    if not run.is_loopback(address):
        line(
            f"warning: {address} is not this machine alone: everybody who reaches it can read this knowledge base",
            "bold yellow",
            stderr=True,
        )

    def ready(url: str, how: str) -> None:
        if context.json:
            print_json({"url": url, "server": how})
        else:
            line(f"{url}  ({how}; Ctrl-C ends it)")
        sys.stdout.flush()  # whoever started this waits for the line
        if open_:
            webbrowser.open(url)

    home = None if context.home == ":memory:" else context.folder
    run.serve(home, host=address, port=port, author=context.author, safe=context.safe, plain=plain, ready=ready)
