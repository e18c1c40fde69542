"""Anchoring: heads of graphs on a chain, batched, within a budget, resumable; and their proofs."""

from engine.ledger.anchoring.anchorer import Anchorer, Outcome
from engine.ledger.anchoring.batch import Batch
from engine.ledger.anchoring.parts import Anchors
from engine.ledger.anchoring.settings import Settings
from engine.ledger.anchoring.store import AnchorStore

__all__ = ["AnchorStore", "Anchorer", "Anchors", "Batch", "Outcome", "Settings"]
