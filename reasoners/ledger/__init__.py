"""Room; see its README."""
