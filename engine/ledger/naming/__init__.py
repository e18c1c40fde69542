"""Names of applications on a chain, and who answers when somebody asks for one."""

from engine.ledger.naming.registry import (
    NameEvent,
    NameRecord,
    events,
    move,
    names,
    record,
    register,
    renew,
    resolve,
    set_operator,
    transfer,
)
from engine.ledger.naming.statements import follow, state_name

__all__ = [
    "NameEvent",
    "NameRecord",
    "events",
    "follow",
    "move",
    "names",
    "record",
    "register",
    "renew",
    "resolve",
    "set_operator",
    "state_name",
    "transfer",
]
