"""Room of the ledger; see its README."""
