"""Rules of an embedded chain: which EVM runs at which height, and what a block must be.

The EVM's rules are py-evm's (shanghai, cancun, prague). Three things are this chain's own, the same for whoever makes a block
and whoever checks one:

- gas is free: the base fee is 0 in every block, so a full block does not price out the next one (EIP-1559 would);
- a block may have its parent's timestamp: several blocks fit into a second and no clock runs ahead; it may not be earlier;
- there are no withdrawals, uncles, blobs, deposits or system contracts, and the gas limit never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.shanghai import ShanghaiVM
from eth_hash.auto import keccak

from engine.errors import IntegrityError
from engine.graph.hashing import keccak256
from engine.ledger.embedded.depth import settle
from engine.ledger.embedded.schedule import name_at

settle()
setattr(keccak, "hasher", keccak256)  # five times as fast as the default, pycryptodome  # noqa: B010

FREE = 0


def _ours(base: Any) -> Any:
    make = base.create_header_from_parent

    def create_header_from_parent(parent: Any, **fields: Any) -> Any:
        fields.pop("base_fee_per_gas", None)
        return make(parent, **fields).copy(base_fee_per_gas=FREE)

    return type(f"Embedded{base.__name__}", (base,), {
        "create_header_from_parent": staticmethod(create_header_from_parent),
    })  # fmt: skip


VMS: dict[str, Any] = {"shanghai": _ours(ShanghaiVM), "cancun": _ours(CancunVM), "prague": _ours(PragueVM)}


def vm_class(rules: Sequence[tuple[int, str]], height: int) -> Any:
    """The EVM of a block of this height."""
    return VMS[name_at(rules, height)]


def next_header(rules: Sequence[tuple[int, str]], parent: Any, *, time: int, coinbase: bytes, extra: bytes) -> Any:
    """The header that a child of `parent` starts from, before its transactions."""
    header = vm_class(rules, parent.block_number + 1).create_header_from_parent(
        parent, timestamp=time, coinbase=coinbase, extra_data=extra, gas_limit=parent.gas_limit
    )
    if time < parent.timestamp:
        raise IntegrityError("a block is earlier than its parent", place=f"block {header.block_number}")
    if len(extra) > 32:
        raise IntegrityError("extra data has more than 32 bytes", place=f"block {header.block_number}")
    return header
