"""Shared floor for reasoners that read through SPARQL: property paths, footprints, and the index over them."""
