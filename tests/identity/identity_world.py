"""One home, the application over it, and keys that sign in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.graph.keys import Key, KeyRing
from engine.kb import KnowledgeBase
from engine.server.identity.message import signed_digest

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.test import TestResponse


@dataclass(eq=False)
class World:
    """`held` has its key in the node's key ring, `far` and `other` sign elsewhere."""

    home: Path
    kb: KnowledgeBase
    app: Flask
    held: Key
    far: Key
    other: Key

    def ask(
        self, method: str, path: str, data: Any = None, token: str = "", headers: dict[str, str] | None = None, peer: str = "127.0.0.1"
    ) -> TestResponse:  # fmt: skip
        """One request, without cookies of earlier ones."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        body = data if isinstance(data, str | bytes) or data is None else json.dumps(data)
        client = self.app.test_client(use_cookies=False)
        return client.open(path, method=method, data=body, headers=sent, environ_overrides={"REMOTE_ADDR": peer})

    def invited(self, key: Key, peer: str = "127.0.0.1") -> dict[str, Any]:
        """A nonce and the message to be signed."""
        answer = self.ask("POST", "/api/sign-in/nonce", {"address": key.address}, peer=peer)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def enter(self, key: Key, message: str = "", peer: str = "127.0.0.1") -> TestResponse:
        """Sign in with a message (the one proposed)."""
        text = message or self.invited(key, peer)["message"]
        signature = "0x" + key.sign(signed_digest(text)).hex()
        return self.ask("POST", "/api/sign-in", {"message": text, "signature": signature}, peer=peer)

    def token(self, key: Key) -> str:
        """A token of a key."""
        answer = self.enter(key)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["token"])

    def graph(self, key: Key, name: str) -> str:
        """A graph of a key."""
        return self.kb.graph_iri(name, key.address)


def keys(folder: Path, number: int) -> list[Key]:
    """Keys that no node holds."""
    ring = KeyRing(folder)
    return [ring.create() for _ in range(number)]
