"""A web3.py provider in process: `Web3(EmbeddedProvider(chain))` speaks to the chain without a socket."""

from __future__ import annotations

from typing import Any

from web3.providers.base import BaseProvider

from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.rpc import Rpc


class EmbeddedProvider(BaseProvider):
    """https://web3py.readthedocs.io/en/stable/providers.html"""

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__()
        self._rpc = Rpc(chain)

    def make_request(self, method: Any, params: Any) -> Any:
        """A JSON-RPC response."""
        return self._rpc.answer({"jsonrpc": "2.0", "id": 1, "method": str(method), "params": list(params)})

    def is_connected(self, show_traceback: bool = False) -> bool:
        """It always is: there is no connection."""
        return True
