"""The verification in the order of docs/proof-format.md: anchors, heads, sets, histories, the answer; then what was believed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from verifier import trees
from verifier.evm import (
    BadProofError,
    Block,
    batch_slot,
    check_anchor,
    head_slot,
    revoked_slot,
    slot_value,
    transfer_slot,
)
from verifier.hashes import checkpoint_digest, commit_digest, keccak, recover, word
from verifier.reading import Anchor, Extension, File, Head, Malformed, SetProof, parse
from verifier.report import Report, short
from verifier.rpc import HttpRpc, Rpc, RpcError, block, quantity, storage

SHIPPED = "https://w3id.org/dappops/policy/shipped/"
_GRAPH = re.compile(r"[a-z][a-z0-9+.-]*://[^?#]*/g/(0x[0-9a-f]{40})/[a-z0-9][a-z0-9._-]{0,63}").fullmatch
_HEAD = keccak(b"dappops/head/1")
MAX_TRANSFERS = 64
SHOWN_LINES = 50  # of one set, in the report


@dataclass(frozen=True, slots=True)
class Trust:
    """What the checker brings along: whom it believes, and what it knows of the chain."""

    nodes: frozenset[str] = frozenset()  # addresses whose seals it believes
    co_signers: frozenset[str] = frozenset()
    quorum: int | None = None  # of the co-signers; None: all
    block_hash: bytes | None = None  # known to be on the chain
    depth: int | None = None  # blocks that must follow an anchor's


@dataclass(slots=True)
class _Work:
    file: File
    report: Report
    rpc: Rpc | None
    trust: Trust
    blocks: list[Block | None] = field(default_factory=list)
    fetched: dict[int, dict[bytes, int]] = field(default_factory=dict)
    needed: set[tuple[int, bytes]] = field(default_factory=set)  # (anchor, slot) that some check read


def verify(source: bytes | str | Mapping[str, Any], rpc: str | Rpc | None = None, trust: Trust | None = None) -> Report:
    """Check a proof file: bytes, text, or parsed JSON. Never raises on what the file or the node says; asks nobody but `rpc`.

    `rpc` is a node's address or a function (method, params) -> result. ValueError when it is no address.
    """
    report = Report()
    node: Rpc | None = HttpRpc(rpc) if isinstance(rpc, str) else rpc
    try:
        file = parse(source)
    except Malformed as error:
        report.judge("the file is of the format", error.place, error.message)
        return report
    report.judge("the file is of the format", "file", None)
    work = _Work(file, report, node, trust or Trust())
    for number, anchor in enumerate(file.anchors):
        work.blocks.append(_anchor(work, anchor, f"anchors[{number}]"))
    complete: dict[int, list[SetProof]] = {}
    for proof in file.sets:
        if proof.pattern == (None, None, None):
            complete.setdefault(proof.head, []).append(proof)
    for number, head in enumerate(file.heads):
        _head(work, head, f"heads[{number}]", complete.get(number, []))
    for number, anchor in enumerate(file.anchors):
        idle = [item.slot for item in anchor.storage if (number, item.slot) not in work.needed]
        report.judge("nothing idle", f"anchors[{number}]", f"nothing needs slot {idle[0].hex()}" if idle else None)
    good: set[int] = set()
    for number, proof in enumerate(file.sets):
        if report.judge("statements", f"sets[{number}]", check_set(proof, file.heads[proof.head])):
            good.add(number)
            if file.answer is None:  # else the rows say it
                _show_set(report, proof, file.heads[proof.head])
    for number, extension in enumerate(file.extends):
        fault = check_history(extension, file.heads)
        if report.judge("history only grew", f"extends[{number}]", fault):
            old, new = file.heads[extension.old], file.heads[extension.new]
            report.show(f"commits 1 to {old.sequence} of <{old.graph}> are the first of commits 1 to {new.sequence}")
    if file.answer is not None:
        _answer(work, good)
    if report.holds:
        report.believe("nobody", "that these are the newest heads: a proof speaks of the state under its head")
    return report


def _answer(work: _Work, good: Collection[int]) -> None:
    """Section Answers: the rows' verdicts, by `verifier.answers`."""
    file, report = work.file, work.report
    try:
        from verifier import answers
    except ImportError as error:
        report.judge("answer", "answer", f"this verifier cannot check answers here: {error}")
        return
    try:
        found = answers.check(file.answer, file.heads, file.sets, lambda number: number in good)
    except Malformed as error:
        report.judge("answer", error.place, error.message)
        return
    for problem in found.problems:
        report.judge("answer", "answer", problem)
    for number, row in enumerate(found.rows):
        if row.status == answers.FAILED:
            report.judge("row", f"answer.rows[{number}]", "; ".join(row.labels) or "it is not proven")
    counts = ", ".join(f"{found.count(s)} {s}" for s in (answers.PROVEN, answers.CONDITIONAL, answers.UNPROVEN))
    if report.judge("rows of the answer", "answer", None if found.holds else "not every row is what it claims to be"):
        report.show(f"answer to {short(found.query)}: {len(found.rows)} rows, {counts}")
        for row in found.rows[:SHOWN_LINES]:
            values = " ".join(short(v) if v is not None else "-" for v in row.values)
            labels = f" ({short('; '.join(row.labels))})" if row.labels else ""
            report.show(f"  {row.status}: {values}{labels}")
        for text in found.trust:
            report.believe("the node that answered", text.removesuffix(": of the node"))


# -- heads -----------------------------------------------------------------------------------------------------------
def head_hash(head: Head) -> bytes:
    """Section Heads, 7."""
    return _head_hash(head.graph, head.sequence, head.parent, head.set_root, head.log_root, head.policy_root)


def _head_hash(graph: str, sequence: int, *fields: bytes) -> bytes:
    return keccak(_HEAD, keccak(graph.encode()), word(sequence), *fields)


def _head(work: _Work, head: Head, place: str, complete: list[SetProof]) -> None:
    report = work.report
    owner = named_owner(head.graph)
    if not report.judge(
        "the graph's name gives its owner", place, None if owner == head.genesis.owner else "it names another owner"
    ):
        return
    anchored = _anchored(work, head, place)
    if anchored is not None and owner != "shipped":
        owner = _authority(work, head, anchored, place)
    if owner == "shipped":
        owner = head.seal.signer
    for what, fault in check_head(head, owner, complete, work.trust.nodes):
        report.judge(what, place, fault)
    if head.genesis.owner == "shipped":
        report.believe(head.seal.signer, f"that <{head.graph}> is the product's shipped vocabulary")
    elif owner != head.seal.signer:
        told = "in what order and at what time it accepted commits, and that it applied the policy under policyRoot"
        report.believe(head.seal.signer, told)
        if vouched_by(head, owner, complete, work.trust.nodes) == "node":
            report.believe(head.seal.signer, f"that the statements of <{head.graph}> follow from what its owner signed")
    else:
        report.believe(owner, "the time it wrote into its own seals")
    if anchored is None and head.genesis.owner != "shipped":
        why = "the head is anchored nowhere" if head.anchor is None else "its anchor does not hold"
        report.skip("the owner's key was not revoked, the graph not transferred", place, why)


def named_owner(graph: str) -> str | None:
    """Whose a graph is by its name: an address, `shipped`, or None for a name that certifies nobody."""
    if graph.startswith(SHIPPED):
        return "shipped"
    match = _GRAPH(graph)
    return match[1] if match else None


def genesis_hash(head: Head) -> bytes:
    """Section Heads, 2."""
    told = head.genesis
    parts = [keccak(text.encode()) for text in (head.graph, told.owner, told.kind, told.audience)]
    return keccak(b"dappops/genesis/1", *parts, told.policy)


def check_head(
    head: Head, owner: str | None, complete: list[SetProof], nodes: Collection[str] = ()
) -> list[tuple[str, str | None]]:
    """Section Heads, 2 to 9: (check, None or why it fails). `owner`: who may sign (after transfers; the node, if shipped)."""
    genesis, digest = genesis_hash(head), head_hash(head)
    commit, seal = head.commit, head.seal
    first = head.seal.signer if head.genesis.owner == "shipped" else head.genesis.owner
    found: list[tuple[str, str | None]] = []

    def note(what: str, holds: bool, fault: str) -> None:
        found.append((what, None if holds else fault))

    note("genesis", recover(genesis, head.genesis.signature) == first, "the owner did not sign this genesis")
    note(
        "parent", head.sequence > 1 or (head.sequence == 1 and head.parent == genesis),
        "the first commit does not stand on the genesis",
    )  # fmt: skip
    signed = commit_digest(genesis, head.graph, head.sequence, head.parent, commit.delta, commit.expires)
    note("commit signature", recover(signed, commit.signature) == commit.author, "the author did not sign this commit")
    entry = keccak(commit.delta, commit.signature)
    root = trees.log_root(entry, head.sequence - 1, head.sequence, head.log_path)
    note("log", root == head.log_root, "the commit is not the last in this log")
    sealed = keccak(b"dappops/seal/1", digest, keccak(seal.time.encode()), seal.gate)
    note("seal", recover(sealed, seal.signature) == seal.signer, "the node did not seal this head")
    step = step_fault(head, digest) if head.step is not None else None
    following = next_fault(head, genesis, digest, owner) if head.next is not None else None
    if head.step is not None:
        found.append(("step from the set before", step))
    if head.next is not None:
        found.append(("next commit", following))
    author = commit.author == owner or (commit.author == seal.signer and head.next is not None and following is None)
    note("author", author, f"{commit.author} is not the owner {owner}")
    if step is None and following is None:
        note(
            "vouched by the owner", vouched_by(head, owner, complete, nodes) is not None,
            f"only the node {seal.signer} says that this set root follows from what the owner signed (--trust believes it)",
        )  # fmt: skip
    return found


def vouched_by(head: Head, owner: str | None, complete: list[SetProof], nodes: Collection[str] = ()) -> str | None:
    """Section Heads, 9: what ties the set root to the owner, given that a step or next that is there holds."""
    commit = head.commit
    if commit.author == owner == head.seal.signer:
        return "seal"
    if head.step is not None and commit.author == owner:
        return "step"
    if head.next is not None:
        return "next"
    if head.sequence == 1 and commit.author == owner:
        for proof in complete:
            leaves = trees.leaves_of(proof)
            if not isinstance(leaves, str) and trees.delta_hash([], leaves) == commit.delta:
                return "delta"
    return "node" if head.seal.signer in nodes else None


def step_fault(head: Head, digest: bytes) -> str | None:
    """Section step."""
    step = head.step
    assert step is not None
    if not step.added and not step.removed:
        return "a commit changes something"
    if trees.delta_hash(step.removed, step.added) != head.commit.delta:
        return "these leaves are not the delta that was signed"
    before = step.parent
    if before is None:
        if head.sequence != 1 or step.tree:
            return "only the first commit has nothing before it"
        return trees.step_fault(head.graph, step, trees.empty_root(head.graph), head.set_root)
    if head.sequence < 2 or not head.log_path:
        return "the first commit has nothing before it"
    fields = (before.parent, before.set_root, before.log_root, before.policy_root)
    if _head_hash(head.graph, head.sequence - 1, *fields) != head.parent:
        return "this is not the head before"
    if trees.log_root_before(head.log_path) != before.log_root:
        return "the log before is another"
    return trees.step_fault(head.graph, step, before.set_root, head.set_root)


def next_fault(head: Head, genesis: bytes, digest: bytes, owner: str | None) -> str | None:
    """That the owner signed a commit whose parent is this head."""
    later = head.next
    assert later is not None
    signed = commit_digest(genesis, head.graph, head.sequence + 1, digest, later.delta, later.expires)
    if recover(signed, later.signature) != later.author:
        return "the next commit is not signed by its author"
    return None if later.author == owner else "the next commit is not the owner's"


# -- sets and histories ----------------------------------------------------------------------------------------------
def check_set(proof: SetProof, head: Head) -> str | None:
    """Section Sets: None, or why the proof does not hold under its head."""
    return "it is of another graph" if proof.graph != head.graph else trees.set_fault(proof, head.set_root)


def check_history(extension: Extension, heads: list[Head]) -> str | None:
    """Section History."""
    old, new = heads[extension.old], heads[extension.new]
    if old.graph != new.graph or not 0 < old.sequence < new.sequence:
        return "it does not lead from a head to a later one of the same graph"
    if not trees.consistent(old.sequence, new.sequence, extension.path, old.log_root, new.log_root):
        return "the later history does not begin with the earlier"
    return None


def _show_set(report: Report, proof: SetProof, head: Head) -> None:
    pattern = " ".join("?" if term is None else short(term) for term in proof.pattern)
    found = f"exactly {len(proof.lines)}" if proof.lines else "no"
    noun = "statement" if len(proof.lines) == 1 else "statements"
    report.show(f"<{head.graph}> at commit {head.sequence} holds {found} {noun} of the form {pattern}")
    for line in proof.lines[:SHOWN_LINES]:
        report.show(f"  {line}")
    if len(proof.lines) > SHOWN_LINES:
        report.show(f"  … and {len(proof.lines) - SHOWN_LINES} more")


# -- chain -----------------------------------------------------------------------------------------------------------
def _anchor(work: _Work, anchor: Anchor, place: str) -> Block | None:
    try:
        found = check_anchor(anchor)
    except BadProofError as error:
        work.report.judge("the registry held it", place, str(error))
        return None
    work.report.judge("the registry held it", place, None)
    _on_chain(work, found, place)
    named = "nobody" if not int(found.beneficiary, 16) else found.beneficiary
    sealer = f"whoever seals chain {found.chain} (block {found.number} names {named})"
    work.report.believe(
        sealer, "the order and time of its blocks; of a chain that the party under check seals, no more than order"
    )
    return found


def _on_chain(work: _Work, found: Block, place: str) -> None:
    """That the block is on the chain: by the RPC, a hash that the checker knows, or co-signers it names."""
    report, trust, known = work.report, work.trust, False
    what, which = "the block is on the chain", f"block {found.number} of chain {found.chain}"
    number = int(place[8:-1])
    for at, point in enumerate(work.file.checkpoints):
        if point.anchor != number:
            continue
        digest = checkpoint_digest(point.gateway_chain, point.gateway, found.chain, found.number, found.hash)
        signers = [recover(digest, signature) for signature in point.signatures]
        good = None not in signers and len(set(signers)) == len(signers) and bool(signers)
        if not report.judge("co-signers signed the block", f"checkpoints[{at}]", None if good else "bad signatures"):
            continue
        named = trust.co_signers & {signer for signer in signers if signer}
        quorum = len(trust.co_signers) if trust.quorum is None else trust.quorum
        if named and len(named) >= max(quorum, 1):
            known = True
            report.believe(", ".join(sorted(named)), f"that they executed the chain up to {which} themselves")
        else:
            others = ", ".join(str(signer) for signer in signers)
            report.skip("co-signers are known", f"checkpoints[{at}]", f"signed by {others}: name those you know")
    if trust.block_hash is not None:
        same = trust.block_hash == found.hash
        known = report.judge(what, place, None if same else f"its hash is {found.hash.hex()}") or known
        if same:
            report.believe("the checker's own knowledge", f"the hash of {which}")
    if work.rpc is not None:
        try:
            known = _ask(work, work.rpc, found, place) or known
        except RpcError as error:
            report.judge(what, place, f"the node does not say so: {error}")
    elif trust.depth is not None:
        report.judge("enough blocks follow", place, "this needs a node (--rpc)")
    if not known and work.rpc is None and trust.block_hash is None:
        report.skip(what, place, f"no node was asked about {which}")
        report.believe("nobody", f"that {which} has the hash {found.hash.hex()}: ask a node (--rpc)")


def _ask(work: _Work, rpc: Rpc, found: Block, place: str) -> bool:
    report, depth = work.report, work.trust.depth
    chain = quantity(rpc("eth_chainId", []))
    if not report.judge(
        "the node is of this chain", place, None if chain == found.chain else f"it is of chain {chain}"
    ):
        return False
    held = block(rpc, hex(found.number))
    on_chain = held is not None and held == (found.number, found.hash)
    fault = None if on_chain else f"the node has {'another' if held else 'no'} block {found.number}"
    if not report.judge("the block is on the chain", place, fault):
        return False
    newest = block(rpc, "latest")
    follow = (newest[0] if newest else found.number) - found.number
    final: tuple[int, bytes] | None = None
    try:
        final = block(rpc, "finalized")
    except RpcError:
        final = None  # not every node knows the word
    is_final = final is not None and final[0] >= found.number
    if depth is not None:
        report.judge(
            "enough blocks follow", place, None if follow >= depth else f"{follow} follow, {depth} were asked for"
        )
    report.show(
        f"block {found.number} of chain {found.chain} (Unix time {found.time}) is on the chain, {follow} blocks follow, "
        f"{'final' if is_final else 'not final'} by the node's word"
    )
    report.believe("the node that was asked", f"that block {found.number} of chain {found.chain} is on the chain")
    return True


def _anchored(work: _Work, head: Head, place: str) -> Block | None:
    """The block that holds the head; None without an anchor that holds."""
    if head.anchor is None:
        return None
    anchor, found = work.file.anchors[head.anchor], work.blocks[head.anchor]
    if found is None:
        return None
    digest = head_hash(head)
    if anchor.kind == "single":
        slot = _slot(work, head.anchor, found, head_slot(anchor.submitter, keccak(head.graph.encode())))
        fault = None
        if head.path is not None:
            fault = "a head that is anchored singly has no way in a batch"
        elif anchor.root != digest or slot != int.from_bytes(digest, "big"):
            fault = "the registry holds another head"
    elif head.path is None:
        fault = "the head's way in the batch is missing"
    else:
        work.needed.add((head.anchor, batch_slot(anchor.submitter)))
        fault = None if trees.batch_root(head.graph, digest, head.path) == anchor.root else "it leads to another root"
    if not work.report.judge("the head is anchored", place, fault):
        return None
    work.report.show(
        f"commit {head.sequence} of <{head.graph}> was made by block {found.number} of chain {found.chain}, "
        f"recorded by {anchor.submitter} in {found.contract}"
    )
    return found


def _authority(work: _Work, head: Head, found: Block, place: str) -> str | None:
    """Who owns the graph at the anchor's block; notes transfers, and whether the author's key was revoked."""
    report, graph = work.report, keccak(head.graph.encode())
    assert head.anchor is not None
    owner, seen = head.genesis.owner, {head.genesis.owner}
    while len(seen) <= MAX_TRANSFERS:
        to = _slot(work, head.anchor, found, transfer_slot(graph, owner))
        if to is None:
            report.skip("the graph was not transferred", place, "the file lacks the proof, and no node was asked")
            break
        if to == 0:
            break
        owner = "0x" + to.to_bytes(32, "big")[12:].hex()
        if owner in seen or to >> 160:
            report.judge("transfers", place, "they lead in a circle")
            return None
        seen.add(owner)
    else:
        report.judge("transfers", place, f"there are more than {MAX_TRANSFERS}")
        return None
    if len(seen) > 1:
        report.show(f"<{head.graph}> was transferred to {owner}")
    revoked = _slot(work, head.anchor, found, revoked_slot(head.commit.author))
    if revoked is None:
        report.skip("the author's key was not revoked", place, "the file lacks the proof, and no node was asked")
    else:
        since = f"{head.commit.author} was revoked in block {revoked}"
        report.judge("the author's key was not revoked", place, since if 0 < revoked <= found.number else None)
    return owner


def _slot(work: _Work, number: int, found: Block, slot: bytes) -> int | None:
    """A slot's proven value at the anchor's block: from the file, else from the node; None when neither has it."""
    work.needed.add((number, slot))
    if slot in found.slots:
        return found.slots[slot]
    known = work.fetched.setdefault(number, {})
    if slot not in known and work.rpc is not None:
        try:
            known[slot] = slot_value(
                found.storage_root, slot, storage(work.rpc, found.contract, [slot], found.number)[slot]
            )
        except (RpcError, BadProofError) as error:
            work.report.judge("the node proves a slot", f"anchors[{number}]", str(error))
    return known.get(slot)


__all__ = ["Trust", "batch_slot", "check_head", "check_history", "check_set", "head_hash", "named_owner", "verify"]
