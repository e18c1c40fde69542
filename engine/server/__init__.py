"""The page, the SPARQL endpoint and the graph store of a knowledge base, for people and programs.

`serve` listens until it is stopped; `make_app` is the WSGI application of the pages for anybody else's server.
"""

from __future__ import annotations

from engine.server.app import make_app
from engine.server.run import serve

__all__ = ["make_app", "serve"]
