// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApplication} from "./IApplication.sol";

/// @title Digests of what an application made, in batches: who had what, and when at the latest
/// @notice A batch is the root of a Merkle tree and costs one slot. Whoever keeps a digest and its path can show that it was
/// in a batch; the chain says who logged the batch and when.
/// @dev Leaf: keccak256(bytes.concat(keccak256(abi.encode(digest)))), inner nodes hash their sorted children, as
/// OpenZeppelin's MerkleProof takes them.
interface IDigestLog is IApplication {
    /// @notice What is known of a batch.
    struct Batch {
        address writer;
        uint64 time; // Unix seconds of the block
        uint32 count; // digests in the batch, as the writer says
    }

    /// @notice `writer` logged the batch with this root.
    event BatchLogged(bytes32 indexed root, bytes32 indexed stream, address indexed writer, uint32 count);

    /// @notice A batch is logged once: the first time counts.
    error AlreadyLogged(bytes32 root);
    /// @notice A root of zero, or no digests.
    error EmptyBatch();

    /// @notice By an operator. @param stream what the digests are of, such as keccak256 of a unit's IRI
    function append(bytes32 stream, bytes32 root, uint32 count) external;
    /// @notice The batch with this root, of this contract or of its predecessors; no writer: there is none.
    function batchOf(bytes32 root) external view returns (Batch memory);
    /// @notice Whether a digest is in the batch with this root.
    function includes(bytes32 root, bytes32 digest, bytes32[] calldata path) external view returns (bool);
}
