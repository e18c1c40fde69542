"""Where a witness hands in what it signed, and sees who else has sealed: the owner's socket, or a folder that is carried.

A witness never opens the knowledge base. Through the socket its statements are commits to its graph `witness`, signed here
with its own key. In a folder they are signed graphs (`exchange`), which `collect` takes over. Both come to the same: the
statements lie under the witness's own authority.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyoxigraph as ox

from engine.errors import BusyError, DappopsError, InputError
from engine.graph import names
from engine.graph.keys import Key
from engine.graph.owner import OwnerClient, OwnerGoneError
from engine.graph.wire import decode_term, encode_triples
from engine.ledger.agreements.exchange import checked, load, sealed
from reasoners.vocab import DAPP

if TYPE_CHECKING:
    from engine.kb import KnowledgeBase

GRAPH = "witness"


class Desk(Protocol):
    """What a witness can do beyond measuring. BusyError when it cannot be done now."""

    def publish(self, step: str, triples: Sequence[ox.Triple], message: str) -> None:
        """Hand in statements; the same again is no change. `step` names them: seal, vote, abstention, reading."""
        ...

    def settled(self, version: str) -> set[str]:
        """Witnesses (IRIs) that have sealed a vote on a version, or said that they abstain."""
        ...


class SocketDesk:
    """Through the socket of the process that owns a knowledge base."""

    def __init__(self, home: Path, key: Key, graph: str) -> None:
        self.home, self.key, self.graph = home, key, graph
        self._client: OwnerClient | None = None

    def _call(self, method: str, **params: Any) -> Any:
        def sign(address: str, digest: bytes) -> bytes:
            if address.lower() != self.key.address:
                raise InputError("asked to sign for somebody else", place=address)
            return self.key.sign(digest)

        for attempt in (1, 2):
            try:
                if self._client is None:
                    self._client = OwnerClient(self.home)
                return self._client.call(method, params, sign=sign)
            except (OwnerGoneError, OSError) as error:
                self._client = None
                if attempt == 2:
                    raise BusyError(
                        "no process has this knowledge base open", place=str(self.home),
                        remedy="start one (`dappops serve`), or give the witness a --spool folder",
                    ) from error  # fmt: skip
        raise AssertionError("not reached")

    def publish(self, step: str, triples: Sequence[ox.Triple], message: str) -> None:
        """See `Desk`."""
        changes = {self.graph: {"removed": "", "added": encode_triples(triples)}}
        self._call("commit", changes=changes, author=self.key.address, message=message)

    def settled(self, version: str) -> set[str]:
        """See `Desk`."""
        answer = self._call("view", name="sla-votes", bindings={"version": f"<{version}>"})
        rows = [dict(zip(answer["variables"], row, strict=True)) for row in answer["rows"]]
        return {decode_term(r["witness"]).value for r in rows if r["seal"] is not None or r["abstention"] is not None}


class SpoolDesk:
    """Through a folder that all witnesses and the node can reach, or that somebody carries."""

    def __init__(self, folder: Path, key: Key, base: str, name: str) -> None:
        self.folder, self.key, self.base, self.name = folder, key, base, name
        folder.mkdir(parents=True, exist_ok=True)

    def publish(self, step: str, triples: Sequence[ox.Triple], message: str) -> None:
        """See `Desk`. A file appears whole or not at all, and is never replaced by another."""
        graph = names.graph_iri(self.key.address, f"{GRAPH}-{self.name}-{step}", self.base)
        text = json.dumps(sealed(graph, triples, self.key.sign).as_json(), indent=1)
        path = self.folder / f"{self.key.address}-{self.name}-{step}.json"
        if path.exists():
            return
        draft = path.with_suffix(f".{os.getpid()}")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def settled(self, version: str) -> set[str]:
        """See `Desk`. Files that are no signed graphs, or are forged, count for nobody."""
        found: set[str] = set()
        for triples in _graphs(self.folder, lambda path, error: None).values():
            about = {
                t.subject for t in triples if t.predicate == DAPP.forAgreement and t.object == ox.NamedNode(version)
            }
            said = {t.subject for t in triples if t.predicate in (DAPP.sealHash, DAPP.abstention)} & about
            found |= {t.object.value for t in triples if t.subject in said and t.predicate == DAPP.castBy}  # type: ignore[union-attr]
        return found


def _graphs(folder: Path, refused: Callable[[Path, DappopsError], None]) -> dict[Path, list[ox.Triple]]:
    found = {}
    for path in sorted(folder.glob("0x*.json")):
        try:
            found[path] = load(path.read_text(encoding="utf-8"), str(path)).triples()
        except DappopsError as error:
            refused(path, error)
    return found


def collect(kb: KnowledgeBase, folder: Path) -> tuple[list[str], list[str]]:
    """Take every signed graph of a folder into the knowledge base: (graphs that were new, what was refused and why).

    Seals come before votes, as they were signed. Repeating it changes nothing.
    """
    new: list[str] = []
    refused: list[str] = []
    paths = sorted(folder.glob("0x*.json"), key=lambda p: (not p.stem.endswith("-seal"), p.name))
    for path in paths:
        try:
            graph = checked(json.loads(path.read_text(encoding="utf-8")), str(path))
            receipt = kb.call("adopt_graph", graph=graph.as_json())
        except (DappopsError, json.JSONDecodeError) as error:
            refused.append(f"{path.name}: {error}")
            continue
        if receipt["sequence"] is not None:
            new.append(graph.graph)
    return new, refused


__all__ = ["GRAPH", "Desk", "SocketDesk", "SpoolDesk", "collect"]
