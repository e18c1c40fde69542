"""A web3.py provider in process: `Web3(EmbeddedProvider(chain))` speaks to the chain without a socket."""

from __future__ import annotations

import json
from typing import Any

from web3.providers.base import JSONBaseProvider

from engine.ledger.embedded.chain import EmbeddedChain
from engine.ledger.embedded.rpc import Rpc


class EmbeddedProvider(JSONBaseProvider):
    """https://web3py.readthedocs.io/en/stable/providers.html"""

    def __init__(self, chain: EmbeddedChain) -> None:
        super().__init__()
        self._rpc = Rpc(chain)

    def make_request(self, method: Any, params: Any) -> Any:
        """A JSON-RPC response. The question goes through web3's encoder, so that it is what a socket would have carried."""
        return self._rpc.answer(json.loads(self.encode_rpc_request(method, params)))

    def is_connected(self, show_traceback: bool = False) -> bool:
        """It always is: there is no connection."""
        return True
