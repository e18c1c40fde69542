"""Who may ask at all: host names against DNS rebinding, origins of pages elsewhere, and the answers to preflights.

https://fetch.spec.whatwg.org/#http-cors-protocol, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

from engine.server.identity import exposure
from engine.server.problem import Problem
from engine.server.protocol.messages import Reply, Request
from engine.server.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
METHODS = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"
SENT = "Accept, Authorization, Content-Type, If-Match, If-None-Match, X-Requested-With"  # headers a page may send
SHOWN = "ETag, Location, Retry-After, DAppOps-Version"  # headers a page may read
SECONDS = "7200"  # how long a browser may keep the answer to a preflight
SAFE = ("GET", "HEAD", "OPTIONS")
KEPT = 1000


class Guard:
    """Judges requests by where they come from; one for the front and the pages behind it."""

    def __init__(self, settings: Settings) -> None:
        self.hosts = {*LOOPBACK, *exposure.own_names(settings)}
        self.any_origin = "*" in settings.origins
        self.origins = frozenset(o.rstrip("/").lower() for o in settings.origins)
        self._known: dict[str, bool] = {}  # Host headers seen

    def answers_for(self, host: str) -> bool:
        """Whether this server goes by the name in a Host header."""
        found = self._known.get(host)
        if found is None:
            name = host.lower()
            if not name.endswith("]"):
                name = name.rsplit(":", 1)[0]
            found = name in self.hosts or name.strip("[]") in self.hosts
            if len(self._known) < KEPT:
                self._known[host] = found
        return found

    def allowed(self, origin: str) -> bool:
        """Whether a page of that origin may ask."""
        return self.any_origin or origin.lower() in self.origins

    def check(self, request: Request) -> None:
        """Problem 403 for a foreign host name, or a page of another site that was not let in."""
        headers = request.headers
        host = headers.get("host", "")
        if not self.answers_for(host):
            raise Problem(
                403, "host", f"this server does not answer for {host[:100]!r}",
                more={"rule": ", ".join(sorted(self.hosts)), "remedy": "name it with --name when it is yours"},
            )  # fmt: skip
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site")
        if origin is None and site is None:
            return
        if origin is not None and (self.allowed(origin) or self._same(request, origin)):
            return
        navigates = headers.get("sec-fetch-mode") == "navigate" and request.method in SAFE
        if (site == "cross-site" and not navigates) or (origin is not None and request.method not in SAFE):
            raise Problem(
                403, "cross-site", "pages of other sites may not ask this server",
                more={"remedy": "let the page's origin in with --origin"},
            )  # fmt: skip

    @staticmethod
    def _same(request: Request, origin: str) -> bool:
        host = request.headers.get("host", "")
        return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())

    def headers(self, request: Request) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer says to a page of another origin; nothing where the origin is not let in."""
        origin = request.headers.get("origin")
        if origin is None or not self.allowed(origin):
            return ((b"cross-origin-resource-policy", b"same-origin"),)
        shown = b"*" if self.any_origin else origin.encode("latin-1")
        return (
            (b"access-control-allow-origin", shown), (b"access-control-expose-headers", SHOWN.encode()),
            (b"cross-origin-resource-policy", b"cross-origin"),
        )  # fmt: skip

    def preflight(self, request: Request, allow: str) -> Reply:
        """The answer to OPTIONS: what the route allows, and for a page let in, what it may send."""
        headers = {"Allow": allow}
        origin = request.headers.get("origin")
        if origin is not None and "access-control-request-method" in request.headers and self.allowed(origin):
            headers |= {
                "Access-Control-Allow-Methods": allow, "Access-Control-Allow-Headers": SENT,
                "Access-Control-Max-Age": SECONDS,
            }  # fmt: skip
        return Reply(204, headers=headers)


__all__ = ["Guard"]
