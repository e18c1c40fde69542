"""Classical OWL 2 DL reasoning over the T-Box: is the ontology in the profile, has it a model, can its classes be.

HermiT and the OWL API come inside the `owlready2` package and run in a child process, the one home of both. Meant for
the ontology and a handful of individuals: 100 individuals take seconds, 1,000 do not end. Data is the matter of
`reasoners.validate` and `reasoners.derive`.
"""

from reasoners.classify.hermit import Consistency, consistency, profile_violations

__all__ = ["Consistency", "consistency", "profile_violations"]
