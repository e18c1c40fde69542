"""Errors of the engine: the families live with the reasoners, which may not import the engine."""

from reasoners.errors import (
    BusyError,
    DappopsError,
    InputError,
    IntegrityError,
    NotAvailableError,
    did_you_mean,
)

__all__ = ["BusyError", "DappopsError", "InputError", "IntegrityError", "NotAvailableError", "did_you_mean"]
