"""Validation of documents that a request brings, in a process that can be ended."""
