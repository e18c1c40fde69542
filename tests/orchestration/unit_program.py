"""A unit for tests, on the standard library: answers, keeps a journal of its starts, and does what its state folder asks.

Files in `DAPPOPS_STATE`: `sick` makes /healthz answer 503; `DAPPOPS_UNIT` beginning with `bad` ends at once with words.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATE = Path(os.environ["DAPPOPS_STATE"])


class Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.reply(503 if (STATE / "sick").exists() else 200, {"unit": os.environ["DAPPOPS_UNIT"]})
        elif self.path == "/environment":
            known = {k: v for k, v in os.environ.items() if k.startswith(("DAPPOPS_", "HOME", "SECRET"))}
            self.reply(200, known | {"cwd": os.getcwd(), "pid": os.getpid()})
        elif self.path == "/peers":
            self.reply(200, json.loads(Path(os.environ["DAPPOPS_PEERS"]).read_text()))
        elif self.path.startswith("/exists/"):
            path = "/" + self.path.removeprefix("/exists/")
            self.reply(200, {"exists": os.path.exists(path), "writable": os.access(path, os.W_OK)})
        elif self.path.startswith("/bytes/"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * int(self.path.removeprefix("/bytes/")))
        else:
            self.reply(404, {})

    def reply(self, status: int, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    if os.environ["DAPPOPS_UNIT"].startswith("bad"):
        sys.exit("this unit was made to fail")
    with (STATE / "journal").open("a") as journal:
        journal.write(f"{os.getpid()}\n")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    address, _, port = os.environ["DAPPOPS_LISTEN"].rpartition(":")
    ThreadingHTTPServer((address, int(port)), Door).serve_forever()


if __name__ == "__main__":
    main()
