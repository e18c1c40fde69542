"""Talking to a node: JSON-RPC over HTTP with patience, and without telling anybody the node's address.

An address can hold a key of its provider, so errors and logs show the host only. What is lost on the way (no connection, 429,
5xx) is asked again with growing pauses; everything asked here can be asked twice, a signed transaction too.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.errors import BusyError, DappopsError, InputError, IntegrityError, NotAvailableError
from engine.ledger.chain import Reverted

PAUSE_S = 0.1  # doubled with each try
LONGEST_PAUSE_S = 5.0
_TALKATIVE = (
    "web3.providers.HTTPProvider", "web3._utils.http_session_manager.HTTPSessionManager", "urllib3.connectionpool",
)  # fmt: skip
_REVERTED = 3  # error code of a revert: https://github.com/ethereum/execution-apis (geth, Anvil, Besu, Erigon)


class Refusal(DappopsError):
    """The node answered with an error: https://www.jsonrpc.org/specification#error_object"""

    def __init__(self, code: int, message: str, data: Any, *, place: str) -> None:
        super().__init__(message, place=place)
        self.code, self.data = code, data


class _HideSecrets(logging.Filter):
    """Takes addresses out of what libraries log."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for secret, shown in self.hidden.items():
            text = text.replace(secret, shown)
        record.msg, record.args = text, ()
        return True


_hide = _HideSecrets()


def shown(url: str) -> str:
    """An address without what may be secret in it: scheme, host, port."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"


def is_loopback(url: str) -> bool:
    """Whether the node runs on this machine, as far as its address tells. A name other than localhost does not."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Node:
    """One node. `attempts` tries for each question, each `timeout_s` long at most."""

    def __init__(
        self, url: str, *, timeout_s: float = 10.0, attempts: int = 6, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        try:
            from web3 import HTTPProvider
        except ImportError as error:
            raise NotAvailableError("web3 is not installed", remedy='pip install "dappops[ledger]"') from error
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                "not an address of a node", rule="http:// or https:// and a host", remedy="check the RPC address"
            )
        self.shown = shown(url)
        self._attempts, self._sleep = attempts, sleep
        for secret in (url, parts.path.rstrip("/"), parts.query, parts.password or "", parts.username or ""):
            if secret.strip("/"):
                _hide.hidden[secret] = self.shown if secret == url else "…"
        for name in _TALKATIVE:
            if _hide not in logging.getLogger(name).filters:
                logging.getLogger(name).addFilter(_hide)
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s, "allow_redirects": False}, exception_retry_configuration=None
        )

    def ask(self, method: str, *params: Any) -> Any:
        """The result. Refusal when the node says no, BusyError when it cannot be reached."""
        for attempt in range(self._attempts):
            try:
                return self._once(method, params)
            except BusyError:
                if attempt + 1 == self._attempts:
                    raise
                pause = min(PAUSE_S * 2**attempt, LONGEST_PAUSE_S)
                self._sleep(pause * random.uniform(0.75, 1.25))  # many clients of one node do not come back together
        raise AssertionError("unreachable")

    def _once(self, method: str, params: tuple[Any, ...]) -> Any:
        import requests

        try:
            answer: Mapping[str, Any] = self._provider.make_request(method, list(params))
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == 429 or status >= 500:
                raise BusyError(f"the node is busy (HTTP {status})", place=self.shown, remedy="try again") from None
            raise InputError(
                f"the node turns us away (HTTP {status})", place=self.shown, remedy="check the address and its key"
            ) from None
        except (requests.RequestException, OSError) as error:
            # without the cause: its text holds the address
            raise BusyError(
                f"the node cannot be reached ({type(error).__name__})", place=self.shown, remedy="try again"
            ) from None
        except (ValueError, UnicodeDecodeError) as error:
            raise BusyError("the node's answer is not JSON", place=self.shown, remedy="try again") from error
        if not isinstance(answer, Mapping):
            raise IntegrityError("the node's answer is not a JSON-RPC answer", place=self.shown)
        problem = answer.get("error")
        if problem is not None:
            told = problem if isinstance(problem, Mapping) else {"message": str(problem)}
            refusal = Refusal(
                int(told.get("code", 0)),
                str(told.get("message", "no reason given")),
                told.get("data"),
                place=self.shown,
            )
            if refusal.code in (-32005, 429):  # limit exceeded: EIP-1474
                raise BusyError(f"the node is busy: {refusal.message}", place=self.shown, remedy="try again")
            raise refusal
        return answer.get("result")


def reverted(refusal: Refusal) -> Reverted | None:
    """The revert that a refusal tells of; None when it is about something else."""
    data = refusal.data
    while isinstance(data, Mapping):
        data = data.get("data") or data.get("result")
    text = data if isinstance(data, str) else ""
    if "0x" in text:
        text = text[text.index("0x") :].split()[0]
    is_hex = text.startswith("0x") and all(c in "0123456789abcdefABCDEF" for c in text[2:]) and len(text) % 2 == 0
    if refusal.code == _REVERTED or "revert" in refusal.message.lower() or "vm exception" in refusal.message.lower():
        return Reverted("the contract refused", data=bytes.fromhex(text[2:]) if is_hex else b"", place=refusal.place)
    if "out of gas" in refusal.message.lower() or "invalid opcode" in refusal.message.lower():
        return Reverted(f"the contract failed: {refusal.message}", place=refusal.place)
    return None
