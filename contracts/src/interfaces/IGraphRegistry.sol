// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Where heads of graphs are recorded, and where ownership of graphs moves
/// @notice A graph is named by keccak256 of its IRI, which carries its first owner's address. The chain gives time and
/// freshness; authenticity comes from the signatures in the log. Anyone may record anything under their own address.
interface IGraphRegistry {
    /// @notice `submitter` recorded that `graph` has `head`.
    event HeadAnchored(address indexed submitter, bytes32 indexed graph, bytes32 head);
    /// @notice `submitter` recorded the root of a map tree graph -> head with `count` graphs (all that it anchors).
    event BatchAnchored(address indexed submitter, bytes32 indexed root, uint32 count);
    event GraphTransferred(bytes32 indexed graph, address indexed from, address indexed to);
    /// @notice From this block on nothing signed by `key` counts any more.
    event KeyRevoked(address indexed key);

    error ZeroHead();
    error ZeroAddress();
    error AlreadyTransferred(bytes32 graph, address to);
    error AlreadyRevoked(address key);

    /// @notice One storage slot: `heads[msg.sender][graph] = head`.
    function anchorHead(bytes32 graph, bytes32 head) external;
    /// @notice One storage slot: `batches[msg.sender] = root`.
    function anchorBatch(bytes32 root, uint32 count) external;
    /// @notice `transfers[graph][msg.sender] = to`, once. Whether msg.sender was the owner, readers decide by following
    /// the chain of transfers from the address in the graph's IRI.
    function transferGraph(bytes32 graph, address to) external;
    /// @notice `revokedAt[msg.sender] = block.number`, once.
    function revokeKey() external;

    function headOf(address submitter, bytes32 graph) external view returns (bytes32);
    function batchOf(address submitter) external view returns (bytes32);
    function transferOf(bytes32 graph, address from) external view returns (address);
    function revokedAt(address key) external view returns (uint256);
}
