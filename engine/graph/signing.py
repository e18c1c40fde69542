"""Commits that somebody signs elsewhere, in two calls: what there is to sign, then the signatures. No lock is held between.

The first call normalises the changes, judges them as the gate would, and takes everything back; it writes nothing that
anybody can read. The second finds the same digests again and commits, unless something moved: then it says what. The
author's key stays with the author; what is signed is EIP-712 data (`engine.graph.keys`), and a new graph's genesis hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import pyoxigraph as ox

from engine.errors import InputError, IntegrityError
from engine.graph import names
from engine.graph.commit import Attempt, Part, check_fixed, delta_hash, prepare
from engine.graph.gate import result_json
from engine.graph.kernel import Kernel, now_utc
from engine.graph.keys import commit_digest, recover, typed_data
from engine.graph.log import GraphInfo, genesis_hash
from engine.graph.service import Caller, Json, method
from engine.graph.tree import leaf_of
from engine.graph.wire import decode_triples

AUDIENCES = ("public", "private")
MAX_STATEMENTS = 200_000  # that one change may remove and add


class _MovedError(Exception):
    """Something to be signed is not what was signed."""

    def __init__(self, graph: str, what: str) -> None:
        super().__init__(what)
        self.graph, self.what = graph, what


@method
def signing_needed(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """What `author` has to sign for `changes`: graph -> {"removed", "added"} as N-Triples, or {"added", "replace": True}.

    `audience` is that of graphs that this makes, `expires` Unix seconds. Answers {"parts", "sign", "added", "removed",
    "warnings"}; give `parts` back to `commit_signed`. InputError, or Refused with the report, as a commit would.
    """
    author, expires = str(params["author"]).lower(), int(params.get("expires") or 0)
    audience = params.get("audience") or "public"
    if audience not in AUDIENCES:
        raise InputError(f"no audience {audience!r}", rule=" or ".join(AUDIENCES))
    with kernel.lock.held():
        parts, known = [], []
        for iri, (removed, added) in sorted(_changes(kernel, params["changes"], author).items()):
            info = kernel.log.graphs.get(iri)
            fresh = info is None
            if info is None:
                info = _new(kernel, iri, author, audience, secrets.token_bytes(32))
            _check_owner(info, author)
            part = _signed_part(kernel, info, removed, added)
            if part.removed or part.added or (fresh and audience == "private"):
                check_fixed(kernel, info, expires)
                parts.append(part)
                known.append(not fresh)
        warnings = _judged(kernel, [p for p in parts if p.removed or p.added])
        return {
            "parts": [_part_json(p, there) for p, there in zip(parts, known, strict=True)],
            "sign": [x for p, there in zip(parts, known, strict=True) for x in _to_sign(p, there, expires)],
            "added": sum(len(p.added) for p in parts), "removed": sum(len(p.removed) for p in parts),
            "warnings": warnings,
        }  # fmt: skip


@method
def commit_signed(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Commit what `signing_needed` was asked for: the same parameters, its `parts`, and `signatures` (digest -> signature, hex).

    Answers {"receipt", "tx"}, or {"moved": [{"graph", "what"}]} when what was signed is not what is there now.
    InputError when a signature is missing or another's.
    """
    author, expires = str(params["author"]).lower(), int(params.get("expires") or 0)
    given = {k.removeprefix("0x").lower(): _signature(v) for k, v in params["signatures"].items()}
    with kernel.lock.held():
        try:
            changes = _changes(kernel, params["changes"], author)
            fresh = [_checked(kernel, p, author, given, expires) for p in params["parts"]]
            for info in fresh:
                if info is not None:
                    kernel.log.add_graph(info)

            def sign(digest: bytes) -> bytes:
                if digest.hex() not in given:
                    raise _MovedError("", "the statements it changes")
                return given[digest.hex()]

            receipt = kernel.commit(
                changes, author=author, sign=sign, message=params.get("message", ""), expires=expires
            )
        except _MovedError as error:
            return {"moved": [{"graph": error.graph, "what": error.what}]}
        return {"receipt": receipt.as_json(), "tx": kernel.log.head_tx()}


@method
def make_graph(kernel: Kernel, params: Json, caller: Caller) -> Json:
    """Make an empty graph (IRI or short name) of the author's for an `audience`; nothing when it is there already.

    InputError when it is there for another audience: the genesis binds it for ever.
    """
    author = (params.get("author") or kernel.node).lower()
    audience = params.get("audience") or "public"
    if audience not in AUDIENCES:
        raise InputError(f"no audience {audience!r}", rule=" or ".join(AUDIENCES))
    with kernel.lock.held():
        iri = kernel.resolve(params["graph"], author)
        if audience == "private" and names.kind_of(iri) == "policy":
            raise InputError("a policy graph is public: everybody is judged by it", place=iri)
        made = iri not in kernel.log.graphs
        info = kernel.graph_for(iri, author, lambda digest: caller.sign(author, digest), audience=audience)
        if info.audience != audience:
            raise InputError(
                f"this graph is {info.audience}", place=iri, rule="a graph's audience is fixed by its genesis",
                remedy="make another graph and move the statements",
            )  # fmt: skip
        return {"graph": iri, "audience": info.audience, "made": made}


# -- parts -----------------------------------------------------------------------------------------------------------
def _changes(
    kernel: Kernel, given: Mapping[str, Json], author: str
) -> dict[str, tuple[list[ox.Triple], list[ox.Triple]]]:
    out = {}
    for graph, change in given.items():
        iri = kernel.resolve(graph, author)
        removed, added = decode_triples(change.get("removed", "")), decode_triples(change.get("added", ""))
        if change.get("replace"):
            if names.owner_of(iri) != author:
                raise _no_authority(iri, author)
            coming = set(added)
            held = (q.triple for q in kernel.store.store.quads_for_pattern(None, None, None, ox.NamedNode(iri)))
            removed += [t for t in held if t not in coming]
        if len(removed) + len(added) > MAX_STATEMENTS:
            raise InputError(
                f"this changes {len(removed) + len(added):,} statements at once", place=iri,
                rule=f"at most {MAX_STATEMENTS:,}", remedy="send it in parts",
            )  # fmt: skip
        out[iri] = (removed, added)
    return out


def _new(kernel: Kernel, iri: str, author: str, audience: str, salt: bytes) -> GraphInfo:
    """A graph as its genesis will make it, if its owner signs that."""
    if names.owner_of(iri) != author:
        raise _no_authority(iri, author)
    kind, policy = names.kind_of(iri), kernel.policy_root({})
    if kind == "policy" and audience != "public":
        raise InputError("a policy graph is public: everybody is judged by it", place=iri)
    genesis = genesis_hash(iri, author, kind, audience, policy)
    return GraphInfo(
        iri, author, kind, audience, genesis, policy, b"", None if audience == "public" else salt, now_utc()
    )


def _no_authority(iri: str, author: str) -> InputError:
    return InputError(
        f"{author} has no authority over this graph", place=iri,
        rule="authority: a graph is written by the key in its IRI", remedy="write to a graph of your own",
    )  # fmt: skip


def _check_owner(info: GraphInfo, author: str) -> None:
    if info.owner != author:
        raise _no_authority(info.iri, author)


def _signed_part(kernel: Kernel, info: GraphInfo, removed: Sequence[ox.Triple], added: Sequence[ox.Triple]) -> Part:
    """The part of a commit that the author signs; as `engine.graph.commit.commit` makes it."""
    part = prepare(kernel, info, removed, added)
    part.leaves = ([leaf_of(t, info.salt) for t in part.removed], [leaf_of(t, info.salt) for t in part.added])
    head = kernel.log.head_of(info.iri)
    part.sequence = head.sequence + 1 if head else 1
    part.parent = head.head if head else info.genesis
    part.delta_hash = delta_hash(*part.leaves)
    return part


def _judged(kernel: Kernel, parts: list[Part]) -> list[Json]:
    """Try the changes as a commit would, and take them back: warnings, or Refused. They are judged again when committed."""
    if not parts:
        return []
    attempt = Attempt(kernel, parts, kernel.gate, now_utc())
    try:
        found, _ = attempt.run()
    finally:
        attempt.undo()
    return [result_json(r) for r in found]


def _part_json(part: Part, there: bool) -> Json:
    info = part.info
    return {
        "graph": info.iri, "new": not there, "audience": info.audience, "created": info.created,
        "salt": info.salt.hex() if info.salt is not None and not there else "", "policy": info.policy.hex(),
        "genesis": info.genesis.hex(), "parent": part.parent.hex(), "sequence": part.sequence,
        "delta": part.delta_hash.hex(), "empty": not (part.removed or part.added),
    }  # fmt: skip


def _to_sign(part: Part, there: bool, expires: int) -> list[Json]:
    """The digests of a part, with the typed data that wallets show. A genesis is a bare hash, signed as it is."""
    info, out = part.info, []
    if not there:
        out.append({"graph": info.iri, "purpose": "genesis", "digest": "0x" + info.genesis.hex(), "typedData": None})
    if part.removed or part.added:
        said = (info.genesis, info.iri, part.sequence, part.parent, part.delta_hash, expires)
        out.append(
            {
                "graph": info.iri, "purpose": "commit", "digest": "0x" + commit_digest(*said).hex(),
                "typedData": _plain(typed_data(*said)),
            }
        )  # fmt: skip
    return out


def _plain(value: Any) -> Any:
    """Typed data as JSON for `eth_signTypedData_v4`: bytes as hex, numbers as decimal text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, int) else value


def _signature(text: str) -> bytes:
    try:
        raw = bytes.fromhex(str(text).removeprefix("0x"))
    except ValueError as error:
        raise InputError("a signature is no hexadecimal text", place="signatures") from error
    if len(raw) != 65 or raw[64] not in (0, 1, 27, 28):
        raise InputError("not a signature", place="signatures", rule="65 bytes r || s || v")
    return raw[:64] + bytes([raw[64] % 27])


def _checked(kernel: Kernel, part: Json, author: str, given: Mapping[str, bytes], expires: int) -> GraphInfo | None:
    """Check the signatures of a part and that its parent still stands; the graph to be made first, if it is new."""
    iri = part["graph"]
    info = kernel.log.graphs.get(iri)
    made = None
    if part["new"]:
        if info is not None:
            raise _MovedError(iri, "the graph is there by now")
        info = made = _new(kernel, iri, author, part["audience"], bytes.fromhex(part["salt"] or "00" * 32))
        if info.genesis.hex() != part["genesis"]:
            raise _MovedError(iri, "the policy it is made under")
        signature = _of(given, info.genesis, iri, author)
        made = GraphInfo(
            info.iri,
            info.owner,
            info.kind,
            info.audience,
            info.genesis,
            info.policy,
            signature,
            info.salt,
            info.created,
        )
    if info is None:
        raise _MovedError(iri, "the graph is gone")
    _check_owner(info, author)
    head = kernel.log.head_of(iri)
    if (head.head if head else info.genesis).hex() != part["parent"]:
        raise _MovedError(iri, "its head")
    if not part["empty"]:
        said = (info.genesis, iri, int(part["sequence"]), bytes.fromhex(part["parent"]), bytes.fromhex(part["delta"]))
        _of(given, commit_digest(*said, expires), iri, author)
    return made


def _of(given: Mapping[str, bytes], digest: bytes, graph: str, author: str) -> bytes:
    signature = given.get(digest.hex())
    if signature is None:
        raise InputError(f"no signature for 0x{digest.hex()}", place=graph, remedy="sign each digest of the answer")
    try:
        signer = recover(digest, signature)
    except IntegrityError as error:
        raise InputError(error.message, place=graph, rule=error.rule) from error
    if signer != author:
        raise InputError("the signature is not the author's", place=graph, rule=f"recovers to {author}")
    return signature


__all__ = ["commit_signed", "make_graph", "signing_needed"]
