"""Who asks, what they may see and change, and what was asked: sign-in, tokens, permissions, writes, the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Blueprint


def routes(site: Any) -> Blueprint:
    """The routes of identity over a `site` (`call`, `settings`); see `engine.server.identity.web`."""
    from engine.server.identity.web import blueprint

    return blueprint(site)


__all__ = ["routes"]
