"""The system's package list as components: which list, how it is read, which packages of it an application can use.

The list comes from apt on this machine alone, by its own configuration: the code names no host. What apt holds already is
used; only where it holds nothing are its lists fetched, into a folder of our own. What to do with the components is
`index_file`'s and `searcher`'s.

Formats: https://manpages.debian.org/bookworm/apt/apt-get.8.en.html#indextargets,
https://www.debian.org/doc/debian-policy/ch-controlfields.html, tags: https://wiki.debian.org/Debtags
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotAvailableError

HELPER = Path("/usr/lib/apt/apt-helper")  # prints a list whatever it is compressed with
UPDATE_SECONDS = 120.0
MOST_BYTES = 400 * 2**20  # of lists fetched, and of one list read
KEPT = ("Package", "Version", "Section", "Description", "Tag", "Homepage", "Installed-Size", "Size", "Architecture")
MACHINES = {
    "amd64": "x86_64",
    "i386": "i686",
    "armhf": "armv7l",
}  # Debian's names of architectures, as catalogues say it

# Whole sections an application is made of; packages of the others come in by tag or topic.
SECTIONS = frozenset(("video", "httpd", "database"))
TAGGED = frozenset(
    (
        "admin",
        "comm",
        "devel",
        "graphics",
        "libs",
        "misc",
        "net",
        "oldlibs",
        "python",
        "science",
        "sound",
        "utils",
        "web",
    )
)
TAGS = re.compile(
    r"works-with::(video|audio|image|image:raster|db|network-traffic|semantic-data)$|works-with-format::(mp[34]|mpeg|ogg|avi)"
    r"|use::(transmission|storing|proxying|monitor|routing|synchronizing)$|protocol::(bittorrent|db:|dns|http|nfs|rtp|snmp|ssl|tcp|udp|voip|webdav|zeroconf)"
    r"|network::(server|service|load-balancing|hiavailability|vpn|routing|firewall)|web::(server|appserver|application|cgi)"
    r"|security::(cryptography|integrity|privacy|ids|firewall)|admin::(monitoring|cluster|virtualization)"
)
TOPICS = re.compile(
    r"\b(video|audio|codecs?|webrtc|rt[ms]?p|srt|streaming|transcod\w+|multimedia|camera|computer vision|opencv|gstreamer|ffmpeg|stun|tpm"
    r"|blockchain|bitcoin|cryptocurrency|digital currency|peer-to-peer|distributed (hash|ledger|storage|file|object|database)"
    r"|object stor\w+|key-value|time.series|metrics|prometheus|monitoring|forward error|erasure|message (broker|queue)|mqtt|amqp"
    r"|gateway|relay|tunnel|broker|reverse proxy|sparql|rdf|triple ?store|recommend\w+ (system|engine)|machine learning|opencl"
    r"|container runtime|orchestrat\w+"
    r"|consensus|raft|digital signatures?|timestamp\w*|tamper\w*|load balanc\w+|traffic shap\w+)\b",
    re.IGNORECASE,
)
# Parts of a package that are built for other purposes than running or being linked, by how Debian names them.
ASIDE = re.compile(
    r"-(dev|dbg|dbgsym|debug|doc|docs|l10n|i18n|locales?|lang|langpack|examples?|demos?|tests?|testsuite|headers?|source|prof|man)$"
    r"|-(l10n|locale|i18n|help|hyphen|dict)-|^(fonts|task|education|gir1\.2|node|ruby|elpa|r-cran|r-bioc|golang|librust)-"
    r"|^lib.*-(perl|java|ocaml|cil|php)$|^libghc-|^(tesseract-ocr|pd|purple|ceph-mgr|pcp-(export|import|pmda))-."
)


@dataclass(frozen=True, slots=True)
class Component:
    """One package. Sizes in bytes; `architecture` as catalogues name it, "" where any processor does."""

    name: str
    version: str
    section: str
    description: str
    tags: tuple[str, ...]
    homepage: str
    installed_size: int
    size: int
    architecture: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a list says of itself: origin (Debian), suite name (bookworm), release (12.15), architecture, parts (main)."""

    origin: str
    suite: str
    release: str
    architecture: str
    parts: tuple[str, ...]

    @property
    def label(self) -> str:
        """The source on one line."""
        words = (self.origin, self.suite, self.release, "/".join(self.parts), self.architecture)
        return " ".join(w for w in words if w)


def read_list(*, refresh: bool = False, timeout: float = UPDATE_SECONDS) -> tuple[Source, list[Component]]:
    """Components of this machine's main package list, in order of name, and what the list is.

    `refresh` asks apt for new lists first (into a folder of our own, at most `timeout` seconds). NotAvailableError where
    apt or its lists are missing.
    """
    if shutil.which("apt-get") is None or not HELPER.exists():
        raise NotAvailableError(
            "not available: apt, whose package list is the component repository here",
            remedy="run on a Debian system, or put a stored index file into the search folder",
        )
    targets = [] if refresh else _targets(())
    if targets:
        return _read(targets)
    with tempfile.TemporaryDirectory(prefix="dappops-apt-") as folder:
        state = _private(Path(folder))
        _update(state, Path(folder), timeout)
        targets = _targets(state)
        if not targets:
            raise NotAvailableError(
                "not available: apt has no package list and got none",
                remedy="check the system's apt sources (`apt-get update`), or use a stored index file",
            )
        return _read(targets)


def _private(folder: Path) -> tuple[str, ...]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return (
        *("-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"),
        *("-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="),
        *("-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false"),
        *("-o", "APT::Update::Post-Invoke=", "-o", "Acquire::GzipIndexes=true"),
    )


def _update(options: Iterable[str], folder: Path, timeout: float) -> None:
    command = ["apt-get", *options, "update", "-q"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(
            f"not available: apt did not fetch its lists within {timeout:g} s",
            remedy="try again, or use a stored index file",
        ) from error
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    if size > MOST_BYTES:
        raise NotAvailableError(
            f"not available: apt's lists take {size:,} bytes, more than {MOST_BYTES:,}",
            remedy="give apt fewer sources, or use a stored index file",
        )
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotAvailableError(
            f"not available: apt could not fetch its lists: {''.join(tail)}", remedy="check the system's apt sources"
        )


def _targets(options: Iterable[str]) -> list[dict[str, str]]:
    """Package lists that apt holds, of the one release that has most: updates repeat its packages in other versions."""
    form = "$(ORIGIN)|$(CODENAME)|$(VERSION)|$(ARCHITECTURE)|$(COMPONENT)|$(FILENAME)"
    done = subprocess.run(
        ["apt-get", *options, "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in done.stdout.splitlines():
        parts = line.split("|")
        if len(parts) != 6 or not Path(parts[5]).is_file():
            continue
        target = dict(zip(("origin", "suite", "release", "architecture", "component", "file"), parts, strict=True))
        groups.setdefault((target["origin"], target["suite"]), []).append(target)
    sizes = {key: sum(Path(t["file"]).stat().st_size for t in group) for key, group in groups.items()}
    best = max(sorted(groups), key=lambda key: sizes[key], default=None)
    return [] if best is None else sorted(groups[best], key=lambda t: (t["component"], t["architecture"], t["file"]))


def _read(targets: list[dict[str, str]]) -> tuple[Source, list[Component]]:
    found: dict[str, Component] = {}
    for target in targets:
        with subprocess.Popen(
            [str(HELPER), "cat-file", target["file"]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            lines = (raw.decode("utf-8", "replace") for raw in _bounded(process.stdout))
            for component in select(stanzas(lines)):
                found.setdefault(component.name, component)
        if process.returncode:
            raise NotAvailableError(
                f"not available: apt could not read its list {target['file']}", remedy="run `apt-get update`"
            )
    first = targets[0]
    source = Source(
        first["origin"], first["suite"], first["release"], first["architecture"],
        tuple(sorted({t["component"] for t in targets})),
    )  # fmt: skip
    return source, [found[name] for name in sorted(found)]


def _bounded(lines: Iterable[bytes]) -> Iterator[bytes]:
    read = 0
    for line in lines:
        read += len(line)
        if read > MOST_BYTES:
            raise NotAvailableError(f"not available: a package list has more than {MOST_BYTES:,} bytes")
        yield line


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Stanzas of a control file as fields; continuation lines are joined by a space."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        text = line.rstrip("\n")
        if not text.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif text[0] in " \t":
            if name:
                fields[name] += " " + text.strip()
        else:
            name, _, value = text.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields


def select(packages: Iterable[Mapping[str, str]]) -> Iterator[Component]:
    """The packages an application could be made of, as components; the choice depends on nothing but the stanza.

    Whole sections of video, web servers and databases; of others (media, network, storage, security, tools) what its tags
    or its description say to belong to these topics. Development files, documentation, language packs and the like are
    left out by name.
    """
    for fields in packages:
        name, section = fields.get("Package", ""), fields.get("Section", "").rpartition("/")[2]
        if not name or ASIDE.search(name):
            continue
        tags = tuple(sorted({t.strip() for t in fields.get("Tag", "").split(",") if t.strip()}))
        described = fields.get("Description", "")
        topical = section in TAGGED and (any(TAGS.match(t) for t in tags) or bool(TOPICS.search(described)))
        if section in SECTIONS or topical:
            yield component_of(fields, section, tags)


def component_of(fields: Mapping[str, str], section: str, tags: tuple[str, ...]) -> Component:
    """A stanza as a component; sizes that are no numbers count as 0 (not known)."""
    machine = fields.get("Architecture", "")
    return Component(
        name=fields["Package"], version=fields.get("Version", ""), section=section,
        description=fields.get("Description", "").strip(), tags=tags, homepage=fields.get("Homepage", ""),
        installed_size=_number(fields.get("Installed-Size", "")) * 1024, size=_number(fields.get("Size", "")),
        architecture="" if machine in ("", "all") else MACHINES.get(machine, machine),
    )  # fmt: skip


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
