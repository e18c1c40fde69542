"""The command `serve`: the page, the SPARQL endpoint and the graphs of this knowledge base over HTTP."""

from __future__ import annotations

import sys
import webbrowser

import click

from engine.commands.output import Context, command, line, print_json
from engine.replicas.limits import Limits
from engine.server.settings import DATASETS, Settings

USUAL = Limits()


@command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port to listen on.")
@click.option("--open/--no-open", "open_", default=False, show_default=True, help="Open the page in a browser.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Front processes.")
@click.option("--writable", is_flag=True, help="Accept updates and graphs, each as a changeset through the gate.")
@click.option(
    "--dataset", type=click.Choice(DATASETS), default="union", show_default=True,
    help="What a query reads: the union of readable graphs by default, or a standard dataset with free graph names.",
)  # fmt: skip
@click.option("--public", is_flag=True, help="Let others reach it: insists on TLS or a stated proxy.")
@click.option("--tls-certificate", default="", metavar="FILE", help="PEM file with the certificate chain.")
@click.option("--tls-key", default="", metavar="FILE", help="PEM file with the certificate's key.")
@click.option("--proxy", default="", metavar="ADDRESS", help="The proxy whose Forwarded headers count.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="A host name to answer for; repeatable.")
@click.option("--origin", "origins", multiple=True, metavar="ORIGIN", help="A page elsewhere that may ask; repeatable.")
@click.option("--replica", default="", metavar="URL", help="Read from this SPARQL 1.1 store instead of own replicas.")
@click.option("--replica-update", default="", metavar="URL", help="Its update address, where that is another.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=USUAL.seconds,
    show_default=True,
    help="Seconds a query may take.",
)
@click.option(
    "--memory", type=click.IntRange(16), default=USUAL.memory_mib, show_default=True, help="MiB a query may add."
)
@click.option("--rows", type=click.IntRange(1), default=USUAL.rows, show_default=True, help="Rows an answer may have.")
@click.option(
    "--answer-size", type=click.IntRange(1), default=USUAL.mib, show_default=True, help="MiB an answer may have."
)
@click.option(
    "--anonymous",
    type=click.IntRange(0),
    default=USUAL.anonymous,
    show_default=True,
    help="Queries at once, not signed in.",
)
@click.option(
    "--signed-in",
    type=click.IntRange(0),
    default=USUAL.signed_in,
    show_default=True,
    help="Queries at once, signed in.",
)
@click.option(
    "--per-caller",
    type=click.IntRange(1),
    default=USUAL.per_caller,
    show_default=True,
    help="Queries at once of one caller.",
)
@click.option(
    "--token-minutes", type=click.IntRange(1, 1440), default=60, show_default=True, help="How long a sign-in lasts."
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Form of the log.",
)
def serve(
    context: Context, host: str, port: int, open_: bool, workers: int, writable: bool, dataset: str, public: bool,
    tls_certificate: str, tls_key: str, proxy: str, names: tuple[str, ...], origins: tuple[str, ...], replica: str,
    replica_update: str, timeout: float, memory: int, rows: int, answer_size: int, anonymous: int, signed_in: int,
    per_caller: int, token_minutes: int, log_format: str,
) -> None:  # fmt: skip
    """Serve the page, the SPARQL endpoint and the graphs over HTTP, until Ctrl-C.

    Without options only this machine reaches it and nothing can be changed through it. Queries run on replicas in
    processes of their own, so that a deadline or a memory bound ends exactly one. Other commands work beside it.
    """
    from engine.server import run

    settings = Settings(
        home=":memory:" if context.home == ":memory:" else str(context.folder), host=host, port=port, workers=workers,
        author=(context.author or "").lower(), safe=context.safe, writable=writable, dataset=dataset, public=public,
        tls_certificate=tls_certificate, tls_key=tls_key, proxy=proxy, names=names, origins=origins, replica=replica,
        replica_update=replica_update, token_minutes=token_minutes, log=log_format,
        limits=Limits(
            seconds=timeout, memory_mib=memory, rows=rows, mib=answer_size, anonymous=anonymous, signed_in=signed_in,
            per_caller=per_caller,
        ),
    )  # fmt: skip

    def ready(url: str, how: str) -> None:
        if context.json:
            print_json({"url": url, "server": how})
        else:
            line(f"{url}  ({how}; Ctrl-C ends it)")
        sys.stdout.flush()  # whoever started this waits for the line
        if open_:
            webbrowser.open(url)

    run.serve(settings, ready=ready)
