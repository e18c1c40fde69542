"""The child process around HermiT and the OWL API: a document in through its standard input, facts out.

Bounded in time (it is ended) and memory (the heap has a limit, and the process ends when it is full). It has no network to
ask: imports are not followed, external entities of XML are refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from reasoners.errors import BusyError, InputError, NotAvailableError
from reasoners.vocab import OWL, RDF

SOURCE = Path(__file__).with_name("OntologyProcess.java")
VERSION = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16] + "-1"
"""Of the child's program and of what is made of its answers: for caches of these."""
ONTOLOGY = ox.NamedNode("urn:dappops:merged")
SECONDS, MEMORY_MIB = 120.0, 2048
OUT_OF_MEMORY = 3  # exit status of -XX:+ExitOnOutOfMemoryError
LONGEST = 1 << 20  # characters of the child's error output that are kept
JAVA = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto", "-Djava.awt.headless=true",
    "-Djavax.xml.accessExternalDTD=", "-Djavax.xml.accessExternalSchema=", "-DentityExpansionLimit=100000",
    "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8",
)  # fmt: skip

Progress = Callable[[int, int, str], None]
Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Whether an ontology has a model, and the classes that can have no instance in any."""

    consistent: bool
    unsatisfiable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child process may use. `classes`: a folder for the compiled program, so that it is compiled once."""

    seconds: float = SECONDS
    memory_mib: int = MEMORY_MIB
    classes: Path | None = None


def merged(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """The triples of several ontologies as one ontology: their headers (imports, versions) replaced by one."""
    kept = set(triples)
    headers = {t.subject for t in kept if t.predicate == RDF.type and t.object == OWL.Ontology}
    return [
        ox.Triple(ONTOLOGY, RDF.type, OWL.Ontology),
        *sorted((t for t in kept if t.subject not in headers), key=str),
    ]


def profile_violations(triples: Iterable[ox.Triple], *, seconds: float = SECONDS) -> list[str]:
    """Sorted violations of OWL 2 DL, one text each; empty when the ontology is in the profile.

    Source: https://www.w3.org/TR/owl2-syntax/#Ontologies. `seconds` bounds the run. Raises as `consistency` does.
    """
    found = facts(("profile",), document(triples), Bounds(seconds))
    return sorted(value.partition("\t")[2] for key, value in found if key == "violation")


def consistency(triples: Iterable[ox.Triple], *, seconds: float = SECONDS) -> Consistency:
    """Whether the ontology has a model, by HermiT's hypertableau calculus.

    `seconds` bounds the run. Raises NotAvailableError without Java's compiler or owlready2, BusyError when the time
    is over, InputError when HermiT cannot read the ontology (such as a datatype outside OWL 2).
    Source: https://www.w3.org/TR/owl2-direct-semantics/#Inference_Problems.
    """
    found = facts(("consistency",), document(triples), Bounds(seconds))
    return Consistency(
        consistent=("consistent", "true") in found,
        unsatisfiable=tuple(sorted(value for key, value in found if key == "unsatisfiable")),
    )


def document(triples: Iterable[ox.Triple]) -> bytes:
    """Triples as one RDF/XML ontology. InputError for a predicate that RDF/XML cannot write."""
    try:
        return ox.serialize(merged(triples), format=ox.RdfFormat.RDF_XML) or b""
    except (ValueError, OSError) as error:
        raise InputError(
            f"a statement cannot be written as RDF/XML: {error}", place="reasoners.classify",
            remedy="give the property an IRI that ends in a name",
        ) from error  # fmt: skip


def facts(command: tuple[str, ...], body: bytes, bounds: Bounds, progress: Progress | None = None) -> list[Fact]:
    """What the child tells about a document, as (key, value) lines; errors as `consistency` says."""
    java = [_java(), f"-Xmx{bounds.memory_mib}m", *JAVA]
    if bounds.classes is not None:
        java += ["-cp", f"{_jar()}{os.pathsep}{_compiled(bounds.classes)}", SOURCE.stem]
    else:
        java += ["-cp", str(_jar()), str(SOURCE)]
    process = subprocess.Popen(
        [*java, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(bounds.seconds, end)
    errors: list[bytes] = []
    threads = [
        threading.Thread(target=_feed, args=(process, body), daemon=True),
        threading.Thread(target=_drain, args=(process, errors), daemon=True),
    ]
    told: list[Fact] = []
    timer.start()
    try:
        for thread in threads:
            thread.start()
        assert process.stdout is not None
        for raw in process.stdout:
            key, _, value = raw.decode(errors="replace").rstrip("\n").partition("\t")
            if key == "progress":
                if progress is not None:
                    done, total, task = value.split("\t", 2)
                    progress(int(done), int(total), task)
            else:
                told.append((key, value))
        process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        for thread in threads:
            thread.join()
    if late.is_set():
        raise BusyError(
            f"the reasoner did not finish within {bounds.seconds:g} s",
            place=f"reasoners.classify, {command[0]}",
            remedy="give it fewer individuals or axioms, or more seconds",
        )
    _check(process.returncode, told, b"".join(errors), bounds)
    return told


def _check(status: int, told: list[Fact], errors: bytes, bounds: Bounds) -> None:
    failure = next((value for key, value in told if key == "error"), None)
    if failure is not None:
        kind, _, message = failure.partition("\t")
        raise InputError(
            f"the ontology cannot be {'read' if kind == 'syntax' else 'reasoned about'}: {_plain(kind, message)}",
            place="reasoners.classify",
            rule="https://www.w3.org/TR/owl2-syntax/",
            remedy=_REMEDIES.get(
                kind, "keep to OWL 2 DL and its datatypes (https://www.w3.org/TR/owl2-syntax/#Datatype_Maps)"
            ),
        )
    if status == OUT_OF_MEMORY:
        raise BusyError(
            f"the reasoner needed more than {bounds.memory_mib:,} MiB",
            place="reasoners.classify",
            remedy="give it fewer individuals or axioms, or more memory",
        )
    if status != 0 or ("done", "") not in told:
        raise InputError(
            f"the reasoner ended without an answer (status {status}): {_reason(errors.decode(errors='replace'))}",
            place="reasoners.classify",
            remedy="keep to OWL 2 DL and its datatypes (https://www.w3.org/TR/owl2-syntax/#Datatype_Maps)",
        )


def _plain(kind: str, message: str) -> str:
    """HermiT's paragraph about datatypes in one sentence."""
    found = re.search(r"The datatype '([^']*)'", message)
    if kind.startswith("UnsupportedDatatype") and found:
        return f"the datatype <{found[1]}> is not one of OWL 2"
    return re.sub(r"\s+", " ", message)


_REMEDIES = {
    "syntax": "correct the document; the parser that understood most of it is named",
    "depth": "name the inner class expressions by classes of their own",
}


def _feed(process: subprocess.Popen[bytes], body: bytes) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(body)
    except OSError:
        pass  # it ended before it had read everything: its status tells why


def _drain(process: subprocess.Popen[bytes], into: list[bytes]) -> None:
    assert process.stderr is not None
    size = 0
    with process.stderr as pipe:
        while block := pipe.read(1 << 16):
            if size < LONGEST:
                into.append(block)
            size += len(block)


def _compiled(folder: Path) -> Path:
    """The folder with the compiled program, named by its source and compiler; made whole or not at all."""
    digest = hashlib.sha256(SOURCE.read_bytes() + str(_jar()).encode() + os.path.realpath(_java()).encode()).hexdigest()
    target = folder / digest[:32]
    if (target / f"{SOURCE.stem}.class").is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        out = Path(made) / "classes"
        command = [
            str(Path(_java()).with_name("javac")),
            "-nowarn",
            "-proc:none",
            "-cp",
            str(_jar()),
            "-d",
            str(out),
            str(SOURCE),
        ]
        if not Path(command[0]).exists():
            command[0] = shutil.which("javac") or "javac"
        run = subprocess.run(command, capture_output=True, timeout=120, check=False)
        if run.returncode != 0:
            raise NotAvailableError(
                f"Java's compiler does not compile {SOURCE.name}: {_reason(run.stderr.decode(errors='replace'))}",
                place="reasoners.classify",
                remedy="install a JDK (17 or newer)",
            )
        try:
            out.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


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
