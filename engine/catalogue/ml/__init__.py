"""DAppOps-ML, the description language: YAML (a subset of YAML-LD) and JSON-LD to triples and back.

`load` reads, `dump` writes; the rest of the package is how. Descriptions are checked here as far as one file can be;
the gate has the last word.
"""

from __future__ import annotations

from engine.catalogue.ml.document import Document, load
from engine.catalogue.ml.positions import MlError, Position
from engine.catalogue.ml.write import dump

__all__ = ["Document", "MlError", "Position", "dump", "load"]
