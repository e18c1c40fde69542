"""SHACL Core and SHACL-SPARQL, compiled to SPARQL and incremental by footprints; what is beyond runs in pySHACL."""

from reasoners.sparql.reads import Affected
from reasoners.validate.results import Result, report
from reasoners.validate.shapes import RootShape, Shapes
from reasoners.validate.validator import Row, Validator

__all__ = ["Affected", "Result", "RootShape", "Row", "Shapes", "Validator", "report"]
