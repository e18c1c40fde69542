"""What Granian's worker process imports: opens the knowledge base that the environment names and makes the application."""

from __future__ import annotations

import os
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

import engine
from engine.server.app import make_app
from engine.server.run import ANY_HOST, AUTHOR, HOME, SAFE

if TYPE_CHECKING:
    from flask import Flask


def application() -> Flask:
    """The WSGI application over the knowledge base in DAPPOPS_SERVE_HOME, which is closed when the process ends."""
    said = os.environ
    kb = engine.open(said[HOME], author=said.get(AUTHOR) or None, safe=bool(said.get(SAFE)))
    Finalize(kb, kb.close, exitpriority=0)  # a worker process ends without running what atexit holds
    return make_app(kb, any_host=bool(said.get(ANY_HOST)))
