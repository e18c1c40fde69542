"""Who asks: nobody in particular, or a participant who has signed in; and which statements that lets them see."""

from __future__ import annotations

from dataclasses import dataclass

PUBLIC = "public"  # the audience of everybody


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller. `audience` is a key of `engine.graph.audiences`."""

    address: str = ""  # 0x and 40 lower hexadecimal digits, or empty for an anonymous caller
    audience: str = PUBLIC
    token: str = ""  # id of the token (never the token itself), for the audit trail
    origin: str = ""  # the peer's address, or what a stated proxy says it is

    @property
    def signed_in(self) -> bool:
        """Whether the caller has proven an address."""
        return bool(self.address)

    @property
    def name(self) -> str:
        """Whose limits count: the address, else where the request comes from."""
        return self.address or self.origin or "anonymous"
