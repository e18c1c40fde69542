"""How sealer and replicas talk: further methods on a chain's JSON-RPC server, loopback only, and the client that asks them.

An error keeps its family, place, rule and remedy on the way (in `data` of the error object), so that "not yet" and "never" stay
apart: https://www.jsonrpc.org/specification#error_object
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.errors import BusyError, DappopsError, InputError, IntegrityError, NotAvailableError

if TYPE_CHECKING:
    from engine.ledger.embedded.chain import EmbeddedChain

Method = Callable[..., Any]
_FAMILIES: dict[str, type[DappopsError]] = {
    c.__name__: c for c in (InputError, BusyError, NotAvailableError, IntegrityError)
}
_REFUSED = -32000  # "server error" of the specification


class Served:
    """A chain's JSON-RPC with `methods` beside Ethereum's own, in threads until `close`. Port 0 takes a free one."""

    def __init__(self, chain: EmbeddedChain, methods: Mapping[str, Method], port: int = 0) -> None:
        from engine.ledger.embedded.serve import RpcServer

        self._server = RpcServer(chain, port)
        self._server.rpc.methods.update({name: _told(method) for name, method in methods.items()})
        self.url = self._server.url
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until it is closed, or the waiting is interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop listening; calls under way are dropped."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _told(method: Method) -> Method:
    from engine.ledger.embedded.rpc import Problem

    def answered(*params: Any) -> Any:
        try:
            return method(*params)
        except DappopsError as error:
            family = next((n for n, c in _FAMILIES.items() if isinstance(error, c)), "InputError")
            data = {"family": family, "place": error.place, "rule": error.rule, "remedy": error.remedy}
            raise Problem(_REFUSED, error.message, json.dumps(data)) from error

    return answered


def call(url: str, method: str, *params: Any, timeout: float = 5.0) -> Any:
    """Call a method. BusyError when nobody answers in time; what the other side refuses keeps its family."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port or 80, timeout=timeout)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
    try:
        connection.request("POST", where.path or "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        problem = answer.get("error")
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        raise BusyError(f"no answer: {error}", place=f"{url} {method}", remedy="is it running?") from error
    finally:
        connection.close()
    if problem is None:
        return answer.get("result")
    try:
        data = json.loads(problem["data"])
        family, told = _FAMILIES[data["family"]], {k: str(data[k]) for k in ("place", "rule", "remedy")}
    except (KeyError, TypeError, ValueError):
        family, told = InputError, {"place": f"{url} {method}"}
    raise family(str(problem.get("message", "refused")) if isinstance(problem, dict) else str(problem), **told)
