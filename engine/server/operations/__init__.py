"""What whoever runs the server asks of it: is it alive, is it ready, what does it do; and its log lines.

`routes(site)` are `/healthz`, `/readyz` and `/metrics`. `metrics` counts, `logs` writes lines, `standing` judges
readiness. Importing this opens nothing and needs neither Flask nor prometheus_client.
"""

from __future__ import annotations

from engine.server.operations.routes import routes

__all__ = ["routes"]
