"""Classical OWL 2 DL reasoning over the T-Box: profile, consistency, hierarchy, and why something cannot be.

HermiT and the OWL API come inside the `owlready2` package and run in a child process, the one home of both. Meant for
the ontology and a handful of individuals: 100 individuals take seconds, 1,000 do not end. Data is the matter of
`reasoners.validate` and `reasoners.derive`.
"""

from reasoners.classify.classification import Axiom, Classification, Justification, classify, terminology
from reasoners.classify.conversion import SYNTAXES, Converted, convert, sniff
from reasoners.classify.hermit import VERSION, Bounds, Consistency, consistency, profile_violations

__all__ = [
    "SYNTAXES",
    "VERSION",
    "Axiom",
    "Bounds",
    "Classification",
    "Consistency",
    "Converted",
    "Justification",
    "classify",
    "consistency",
    "convert",
    "profile_violations",
    "sniff",
    "terminology",
]
