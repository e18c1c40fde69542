"""The child process around HermiT: triples in through its standard input, facts out, nothing left on disk."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from reasoners.errors import BusyError, InputError, NotAvailableError
from reasoners.vocab import OWL, RDF

SOURCE = Path(__file__).with_name("HermitProcess.java")
ONTOLOGY = ox.NamedNode("urn:dappops:merged")


@dataclass(frozen=True, slots=True)
class Consistency:
    """Whether an ontology has a model, and the classes that can have no instance in any."""

    consistent: bool
    unsatisfiable: tuple[str, ...]


def merged(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """The triples of several ontologies as one ontology: their headers (imports, versions) replaced by one."""
    kept = set(triples)
    headers = {t.subject for t in kept if t.predicate == RDF.type and t.object == OWL.Ontology}
    return [
        ox.Triple(ONTOLOGY, RDF.type, OWL.Ontology),
        *sorted((t for t in kept if t.subject not in headers), key=str),
    ]


def profile_violations(triples: Iterable[ox.Triple], *, seconds: float = 120.0) -> list[str]:
    """Sorted violations of OWL 2 DL, one text each; empty when the ontology is in the profile.

    Source: https://www.w3.org/TR/owl2-syntax/#Ontologies. `seconds` bounds the run. Raises as `consistency` does.
    """
    return sorted(value for key, value in _facts("profile", triples, seconds) if key == "violation")


def consistency(triples: Iterable[ox.Triple], *, seconds: float = 120.0) -> Consistency:
    """Whether the ontology has a model, by HermiT's hypertableau calculus.

    `seconds` bounds the run. Raises NotAvailableError without Java's compiler or owlready2, BusyError when the time
    is over, InputError when HermiT cannot read the ontology (such as a datatype outside OWL 2).
    Source: https://www.w3.org/TR/owl2-direct-semantics/#Inference_Problems.
    """
    facts = _facts("consistency", triples, seconds)
    return Consistency(
        consistent=("consistent", "true") in facts,
        unsatisfiable=tuple(sorted(value for key, value in facts if key == "unsatisfiable")),
    )


def _facts(question: str, triples: Iterable[ox.Triple], seconds: float) -> list[tuple[str, str]]:
    java, jar = _java(), _jar()
    document = ox.serialize(merged(triples), format=ox.RdfFormat.RDF_XML)
    command = [java, "-Xmx1g", "-cp", str(jar), str(SOURCE), question]
    try:
        run = subprocess.run(command, input=document, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise BusyError(
            f"HermiT did not answer the question of {question} in {seconds:g} s",
            place="reasoners.classify",
            remedy="give it fewer individuals or more seconds",
        ) from error
    facts: list[tuple[str, str]] = []
    for line in run.stdout.decode().splitlines():
        key, _, value = line.partition("\t")
        facts.append((key, value))
    if run.returncode != 0 or ("done", "") not in facts:
        raise InputError(
            f"HermiT cannot work on this ontology: {_reason(run.stderr.decode(errors='replace'))}",
            place="reasoners.classify",
            remedy="keep to OWL 2 DL and its datatypes (https://www.w3.org/TR/owl2-syntax/#Datatype_Maps)",
        )
    return facts


def _reason(errors: str) -> str:
    """The message of the Java exception, without its stack."""
    lines = itertools.takewhile(lambda line: not line.startswith("\tat "), errors.strip().splitlines())
    return " ".join(line.strip() for line in lines) or "no output"


def _java() -> str:
    java, compiler = shutil.which("java"), shutil.which("javac")
    if java is None or compiler is None:
        raise NotAvailableError(
            "OWL 2 DL reasoning needs Java with its compiler, and there is no "
            + ("java" if java is None else "javac")
            + " on the path",
            place="reasoners.classify",
            remedy="install a JDK (17 or newer)",
        )
    return java


def _jar() -> Path:
    spec = importlib.util.find_spec("owlready2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        jar = Path(folder) / "hermit" / "HermiT.jar"
        if jar.is_file():
            return jar
    raise NotAvailableError(
        "OWL 2 DL reasoning needs the HermiT that owlready2 carries",
        place="reasoners.classify",
        remedy="pip install 'dappops[ontology]'",
    )
