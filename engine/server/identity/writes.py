"""Who signs what a caller writes. A graph is written by the key in its IRI; the node signs only for whom it may.

- Nobody signed in, on a server that only this machine reaches: whoever can reach it may write as `--author`, else as the
  node, as the command line may. On a public server nobody writes without signing in.
- Signed in with a key that the node's key ring holds: the node signs for them on a server that only this machine reaches;
  on a public one only for the address it was started with (`--author`), because a stolen token must not be a key.
- Everybody else signs themselves: two steps at `/api/changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.server.caller import Caller
from engine.server.identity.signing_in import refused
from engine.server.problem import Problem
from engine.server.settings import Settings


def author_for(caller: Caller, settings: Settings, info: Mapping[str, Any]) -> str:
    """The address that signs at once for this caller; Problem 401 or 403 when the node may not.

    `info` is the service method's: `node` and `keys` count.
    """
    if not caller.signed_in:
        if settings.public:
            raise refused("changes need a sign-in here", {"remedy": "sign in with your key (POST /api/sign-in/nonce)"})
        return settings.author or str(info["node"])
    if signs_for(caller, settings, info):
        return caller.address
    raise Problem(
        403, "signature", "the node does not sign for you here", more={
            "rule": "a graph is written by the key in its IRI", "remedy": "send the change to POST /api/changes and sign what it answers",
        },
    )  # fmt: skip


def signs_for(caller: Caller, settings: Settings, info: Mapping[str, Any]) -> bool:
    """Whether the node signs for a signed-in caller: it holds the key, and may use it on this kind of server."""
    held = caller.address in {str(k).lower() for k in info["keys"]}
    return held and (not settings.public or caller.address == settings.author)


__all__ = ["author_for", "signs_for"]
