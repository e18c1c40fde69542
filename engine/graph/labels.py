"""Labels for blank nodes that depend on what is said, never on how the input called them.

The unit is the *description*: blank nodes connected by triples between them. A label is a hash of its description and
of the node's place in it. Hence an edit renames the nodes of the description it touches and no others, equal input
gives equal labels on every machine, and two descriptions get the same labels only when they are isomorphic. Nothing
less than the whole description would be sound: with labels made of a node's own subtree and the path to it,
`s q [p [v 1]; r 1], [p [v 1]; r 2]` would make one node of the two inner ones, which says more than the author did.

Lean merges, the only ones: isomorphic descriptions are one description (importing a file twice changes nothing), and
inside a description two nodes with the same incoming triples and the same outgoing ones (followed through nodes that
nothing else points to) are one node. Both are equivalent to the input under RDF's simple entailment
(https://www.w3.org/TR/rdf11-mt/#dfn-lean). Beyond that the input graph is kept up to isomorphism.

Hashing bottom-up, then top-down, tells the nodes of nearly every description apart in linear time; what it leaves
tied is refined, and what symmetry still leaves tied goes to RDFC-1.0 in a bounded child process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.hashing import new
from reasoners.graph import Term

MAX_COMPONENT = 10_000  # blank nodes in one description: bounds what one small edit can rewrite
_MAX_REFINEMENTS = 200_000  # node hashes in one refinement, about a second; then RDFC-1.0 may try
_CHILD_CPU, _CHILD_WALL, _CHILD_SPACE = 2, 5.0, 1 << 30  # seconds, seconds, bytes
_CHILD = str(Path(__file__).with_name("rdfc_child.py"))
_STABLE = re.compile("b[0-9a-f]{40}").fullmatch
_GENID = re.compile(r"https?://[^/?#]+/\.well-known/genid/(b[0-9a-f]{40})").fullmatch

Existing = Callable[[Term | None, ox.NamedNode | None, Term | None], Iterable[ox.Triple]]


def stable_labels(triples: Iterable[ox.Triple], *, limit: int = MAX_COMPONENT) -> list[ox.Triple]:
    """The distinct triples of one graph with stable blank-node labels (`b` and 40 hex digits), lean duplicates merged.

    Raises InputError when a description has more than `limit` blank nodes, or is so symmetric that its canonical form
    cannot be found within two seconds.
    """
    ground: list[ox.Triple] = []
    bound: list[ox.Triple] = []
    for triple in dict.fromkeys(triples):
        blank = type(triple.subject) is ox.BlankNode or type(triple.object) is ox.BlankNode
        (bound if blank else ground).append(triple)
    if not bound:
        return ground
    named: list[ox.Triple] = []
    tied: list[_Description] = []
    for description in _descriptions(bound):
        if len(description.nodes) > limit:
            raise _too_large(limit, description.example())
        description.merge_duplicates()
        colours = description.colours()
        if colours is None:
            tied.append(description)
        else:
            named += description.named(colours)
    named += _canonicalised(tied)
    return ground + list(dict.fromkeys(named))


def relabel_delta(
    existing: Existing, removed: Iterable[ox.Triple], added: Iterable[ox.Triple], *, limit: int = MAX_COMPONENT
) -> tuple[list[ox.Triple], list[ox.Triple]]:
    """The effective delta, with stable labels, that a delta with blank nodes means for one graph.

    `existing(s, p, o)` yields the graph's triples of a pattern (None: any); its blank nodes have stable labels. A label
    of `removed` or `added` that the graph holds means that node; any other is a fresh node. The result applied to the
    graph gives `stable_labels` of (graph - removed) + added. Errors as in `stable_labels`.
    """
    gone, come = dict.fromkeys(removed), dict.fromkeys(added)
    touched = {node for triple in (*gone, *come) for node in _blanks(triple) if _STABLE(node.value)}
    old = _connected(existing, touched, limit)
    state = {triple: None for triple in old if triple not in gone}
    state.update((triple, None) for triple in come if any(True for _ in _blanks(triple)))
    wanted = dict.fromkeys(stable_labels(state, limit=limit))
    out = [triple for triple in old if triple not in wanted]
    out += [triple for triple in gone if triple not in come and triple not in old and _holds(existing, triple)]
    into = [triple for triple in wanted if triple not in old and not _holds(existing, triple)]
    into += [t for t in come if not any(True for _ in _blanks(t)) and not _holds(existing, t)]
    return out, into


def skolem(node: ox.BlankNode, base: str) -> ox.NamedNode:
    """The IRI by which a client may name a blank node (https://www.w3.org/TR/rdf11-concepts/#section-skolemization).

    `base` is any http(s) IRI of the server; the genid path is at the root of its authority (RFC 8615).
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{base!r} has no http authority", rule="RFC 8615", remedy="give the server's http(s) address")
    return ox.NamedNode(f"{parts.scheme}://{parts.netloc}/.well-known/genid/{node.value}")


def unskolem(node: Term) -> Term:
    """The blank node that a genid IRI of `skolem` names; any other term unchanged."""
    if isinstance(node, ox.NamedNode):
        match = _GENID(node.value)
        if match:
            return ox.BlankNode(match[1])
    return node


# One description ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Description:
    """Blank nodes connected by triples between them, with all triples that mention one of them."""

    triples: list[ox.Triple]
    nodes: dict[str, None] = field(init=False)  # a set that keeps its order
    ground_out: dict[str, list[str]] = field(init=False)
    ground_in: dict[str, list[str]] = field(init=False)
    children: dict[str, list[tuple[str, str]]] = field(init=False)  # node -> (predicate, node)
    parents: dict[str, list[tuple[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self._index()

    def _index(self) -> None:
        self.nodes = {node.value: None for triple in self.triples for node in _blanks(triple)}
        self.ground_out = {node: [] for node in self.nodes}
        self.ground_in = {node: [] for node in self.nodes}
        self.children = {node: [] for node in self.nodes}
        self.parents = {node: [] for node in self.nodes}
        for triple in self.triples:
            subject, predicate, obj = triple.subject, str(triple.predicate), triple.object
            if isinstance(subject, ox.BlankNode) and isinstance(obj, ox.BlankNode):
                self.children[subject.value].append((predicate, obj.value))
                self.parents[obj.value].append((predicate, subject.value))
            elif isinstance(subject, ox.BlankNode):
                self.ground_out[subject.value].append(f"{predicate} {obj}")
            elif isinstance(obj, ox.BlankNode):
                self.ground_in[obj.value].append(f"{subject} {predicate}")

    def example(self) -> str:
        """A triple to name the description by in an error: one from an IRI into it when there is any."""
        return str(min(self.triples, key=lambda t: (isinstance(t.subject, ox.BlankNode), str(t))))[:200]

    def merge_duplicates(self) -> None:
        """Drop nodes that say nothing another does not, until none is left.

        Sound: sending the dropped node, with what only it points to, onto the kept one maps every triple to a triple.
        Independent of the labels: each pass looks only at equality, and those it finds equal can be exchanged.
        """
        while True:
            shape = self._shapes()
            kept: dict[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]], str] = {}
            dropped = set()
            for node in self.nodes:
                key = (shape[node], tuple(sorted(self.ground_in[node])), tuple(sorted(self.parents[node])))
                if kept.setdefault(key, node) != node:
                    dropped.add(node)
            if not dropped:
                return
            stack = list(dropped)
            while stack:
                for _, child in self.children[stack.pop()]:
                    if child not in dropped and self._private(child):
                        dropped.add(child)
                        stack.append(child)
            self.triples = [t for t in self.triples if not any(node.value in dropped for node in _blanks(t))]
            self._index()

    def _private(self, node: str) -> bool:
        return len(self.parents[node]) == 1 and not self.ground_in[node]

    def _shapes(self) -> dict[str, str]:
        """Hash of what a node says; a child is followed when nothing else points to it, else taken as itself."""
        shape: dict[str, str] = {}
        for node in self._bottom_up():
            lines = list(self.ground_out[node])
            for predicate, child in self.children[node]:
                followed = child in shape and self._private(child)
                lines.append(f"{predicate} {shape[child] if followed else '_:' + child}")
            shape[node] = _hash("shape", sorted(set(lines)))
        for node in self.nodes:  # on the way to a cycle
            if node not in shape:
                lines = [*self.ground_out[node], *(f"{p} _:{child}" for p, child in self.children[node])]
                shape[node] = _hash("shape", sorted(lines))
        return shape

    def _bottom_up(self) -> Iterator[str]:
        """Nodes after all their children; those that reach a cycle never come."""
        return _peel(self.nodes, self.children, self.parents)

    def colours(self) -> dict[str, str] | None:
        """A hash for each node that no other node has and that the input's labels do not enter; None: symmetry."""
        content: dict[str, str] = {}
        for node in self._bottom_up():
            lines = [f"{predicate} _:{content[child]}" for predicate, child in self.children[node]]
            content[node] = _hash("content", sorted(self.ground_out[node] + lines))
        colour: dict[str, str] = {}
        if len(content) == len(self.nodes):
            for node in _peel(self.nodes, self.parents, self.children):
                lines = [f"_:{colour[parent]} {predicate}" for predicate, parent in self.parents[node]]
                colour[node] = _hash("colour", [content[node], *sorted(self.ground_in[node] + lines)])
        else:
            for node in self.nodes:
                below = [f"{p} _:{content.get(child, '')}" for p, child in self.children[node]]
                lines = [*sorted(self.ground_out[node] + below), "", *sorted(self.ground_in[node])]
                colour[node] = _hash("cyclic", [*lines, content.get(node, "")])
        return colour if self._refine(colour) else None

    def _refine(self, colour: dict[str, str]) -> bool:
        """Mix in the neighbours' colours, in place, until all differ (True) or nothing changes (False)."""
        work = 0
        while True:
            classes: dict[str, list[str]] = defaultdict(list)
            for node, value in colour.items():
                classes[value].append(node)
            tied = [node for members in classes.values() if len(members) > 1 for node in members]
            if not tied:
                return True
            work += len(tied)
            if work > _MAX_REFINEMENTS:
                return False
            fresh = {}
            for node in tied:
                below = sorted(f"{p} {colour[child]}" for p, child in self.children[node])
                above = sorted(f"{p} {colour[parent]}" for p, parent in self.parents[node])
                fresh[node] = _hash("refine", [colour[node], *below, "", *above])
            colour.update(fresh)
            if len(set(colour.values())) == len(classes):
                return False

    def named(self, colour: Mapping[str, str]) -> list[ox.Triple]:
        """The triples with final labels: hash of the whole description and of the node's colour in it."""
        provisional = {node: ox.BlankNode("b" + value) for node, value in colour.items()}
        return _sealed(_renamed(self.triples, provisional))


def _descriptions(triples: Iterable[ox.Triple]) -> Iterator[_Description]:
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        root = node
        while leader.setdefault(root, root) != root:
            root = leader[root]
        while leader[node] != root:
            leader[node], node = root, leader[node]
        return root

    placed: list[tuple[str, ox.Triple]] = []
    for triple in triples:
        first, *rest = _blanks(triple)
        for other in rest:
            leader[find(first.value)] = find(other.value)
        placed.append((first.value, triple))
    groups: dict[str, list[ox.Triple]] = defaultdict(list)
    for node, triple in placed:
        groups[find(node)].append(triple)
    for members in groups.values():
        yield _Description(members)


def _peel(
    nodes: Iterable[str], needs: Mapping[str, list[tuple[str, str]]], needed_by: Mapping[str, list[tuple[str, str]]]
) -> Iterator[str]:
    """Nodes in an order in which what each needs comes first, without those on or behind a cycle (Kahn)."""
    waiting = {node: len(needs[node]) for node in nodes}
    ready = [node for node, count in waiting.items() if not count]
    while ready:
        node = ready.pop()
        yield node
        for _, other in needed_by[node]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)


def _sealed(triples: list[ox.Triple]) -> list[ox.Triple]:
    """Final labels for a description whose provisional labels are canonical already."""
    whole = _hash("description", sorted(map(str, triples)))
    nodes = {node.value for triple in triples for node in _blanks(triple)}
    return _renamed(triples, {node: ox.BlankNode("b" + _hash("label", [whole, node])[:40]) for node in nodes})


def _renamed(triples: Iterable[ox.Triple], name: Mapping[str, ox.BlankNode]) -> list[ox.Triple]:
    result = []
    for triple in triples:
        subject, obj = triple.subject, triple.object
        if isinstance(subject, ox.BlankNode):
            subject = name[subject.value]
        if isinstance(obj, ox.BlankNode):
            obj = name[obj.value]
        result.append(ox.Triple(subject, triple.predicate, obj))
    return result


def _hash(kind: str, lines: Iterable[str]) -> str:
    """Lines hold canonical terms, which have no line feed: joining them loses nothing."""
    return new(f"dappops/label/{kind}\n{chr(10).join(lines)}".encode()).hexdigest()


def _blanks(triple: ox.Triple) -> Iterator[ox.BlankNode]:
    """Its blank subject and its blank object, as far as there are any."""
    if isinstance(triple.subject, ox.BlankNode):
        yield triple.subject
    if isinstance(triple.object, ox.BlankNode):
        yield triple.object


# Symmetric descriptions --------------------------------------------------------------------------------------------


def _canonicalised(tied: list[_Description]) -> list[ox.Triple]:
    """RDFC-1.0 for the descriptions that refinement leaves tied, all in one child that cannot outlive its limits."""
    if not tied:
        return []
    text = "\n\n".join("\n".join(f"{t} ." for t in description.triples) for description in tied)
    command = [sys.executable, "-I", _CHILD, str(_CHILD_CPU), str(_CHILD_SPACE)]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_CHILD_WALL, check=False)
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        output = expired.stdout or b""
    blocks = output.split(b"\n\n")[:-1]
    if len(blocks) != len(tied):
        raise InputError(
            "these blank nodes are too much alike to be told apart",
            place=tied[len(blocks)].example(),
            rule=f"RDFC-1.0 within {_CHILD_CPU} CPU seconds and {_CHILD_SPACE >> 30} GiB",
            remedy="give them IRIs, or a property that differs",
        )
    result: list[ox.Triple] = []
    for block in blocks:
        result += _sealed([quad.triple for quad in ox.parse(block, format=ox.RdfFormat.N_TRIPLES)])
    return result


# Deltas ------------------------------------------------------------------------------------------------------------


def _connected(existing: Existing, touched: Iterable[ox.BlankNode], limit: int) -> dict[ox.Triple, None]:
    """All triples of the descriptions in the graph that hold one of these nodes."""
    found: dict[ox.Triple, None] = {}
    seen = set(touched)
    stack = list(seen)
    while stack:
        node = stack.pop()
        for triple in (*existing(node, None, None), *existing(None, None, node)):
            found[triple] = None
            for other in _blanks(triple):
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        if len(seen) > limit:
            raise _too_large(limit, str(next(iter(found), node))[:200])
    return found


def _holds(existing: Existing, triple: ox.Triple) -> bool:
    subject, obj = triple.subject, triple.object
    if isinstance(subject, ox.Triple) or isinstance(obj, ox.Triple):
        return False  # never past the door
    return any(True for _ in existing(subject, triple.predicate, obj))


def _too_large(limit: int, place: str) -> InputError:
    return InputError(
        "the blank nodes connected to each other are too many for one description",
        place=place,
        rule=f"at most {limit} blank nodes in one description",
        remedy="give IRIs to the nodes that hold it together",
    )
