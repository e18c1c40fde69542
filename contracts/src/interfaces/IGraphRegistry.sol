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
    /// @notice `from` handed `graph` to `to`, if it was theirs.
    event GraphTransferred(bytes32 indexed graph, address indexed from, address indexed to);
    /// @notice From this block on nothing signed by `key` counts any more.
    event KeyRevoked(address indexed key);

    /// @notice A head or root of zero cannot be told from none.
    error ZeroHead();
    /// @notice Nobody can hold the zero address.
    error ZeroAddress();
    /// @notice The caller handed this graph to `to` before.
    error AlreadyTransferred(bytes32 graph, address to);
    /// @notice The caller revoked its key before.
    error AlreadyRevoked(address key);

    /// @notice One storage slot: `heads[msg.sender][graph] = head`.
    function anchorHead(bytes32 graph, bytes32 head) external;
    /// @notice One storage slot: `batches[msg.sender] = root`. `count` is the submitter's word, for readers.
    function anchorBatch(bytes32 root, uint32 count) external;
    /// @notice `transfers[graph][msg.sender] = to`, once. Whether msg.sender was the owner, readers decide by following
    /// the chain of transfers from the address in the graph's IRI.
    function transferGraph(bytes32 graph, address to) external;
    /// @notice `revokedAt[msg.sender] = block.number`, once.
    function revokeKey() external;

    /// @notice The newest head that `submitter` recorded for `graph`; zero for none.
    function headOf(address submitter, bytes32 graph) external view returns (bytes32);
    /// @notice Root of the newest batch that `submitter` recorded; zero for none.
    function batchOf(address submitter) external view returns (bytes32);
    /// @notice Whether the newest batch of `submitter` gives `graph` this `head`.
    /// @param bits one byte for each sibling: the first bit in which the graphs below differ
    /// @param siblings hashes beside the way from the leaf up to the root
    function batchHolds(
        address submitter,
        bytes32 graph,
        bytes32 head,
        bytes calldata bits,
        bytes32[] calldata siblings
    ) external view returns (bool);
    /// @notice To whom `from` handed `graph`; zero for nobody.
    function transferOf(bytes32 graph, address from) external view returns (address);
    /// @notice The block in which `key` was revoked; zero for never.
    function revokedAt(address key) external view returns (uint256);
}
