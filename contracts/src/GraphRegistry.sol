// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGraphRegistry} from "./interfaces/IGraphRegistry.sol";
import {MapProof} from "./lib/MapProof.sol";

/// @title Heads, batches, transfers and revocations, each one storage slot
/// @dev The order of the state variables is part of the proof format: proofs name their slots. Append, never reorder.
contract GraphRegistry is IGraphRegistry {
    mapping(address submitter => mapping(bytes32 graph => bytes32 head)) private _heads; // slot 0
    mapping(address submitter => bytes32 root) private _batches; // slot 1
    mapping(bytes32 graph => mapping(address from => address to)) private _transfers; // slot 2
    mapping(address key => uint256 number) private _revoked; // slot 3

    /// @inheritdoc IGraphRegistry
    function anchorHead(bytes32 graph, bytes32 head) external {
        if (head == 0) revert ZeroHead();
        _heads[msg.sender][graph] = head;
        emit HeadAnchored(msg.sender, graph, head);
    }

    /// @inheritdoc IGraphRegistry
    function anchorBatch(bytes32 root, uint32 count) external {
        if (root == 0) revert ZeroHead();
        _batches[msg.sender] = root;
        emit BatchAnchored(msg.sender, root, count);
    }

    /// @inheritdoc IGraphRegistry
    function transferGraph(bytes32 graph, address to) external {
        if (to == address(0)) revert ZeroAddress();
        address known = _transfers[graph][msg.sender];
        if (known != address(0)) revert AlreadyTransferred(graph, known);
        _transfers[graph][msg.sender] = to;
        emit GraphTransferred(graph, msg.sender, to);
    }

    /// @inheritdoc IGraphRegistry
    function revokeKey() external {
        if (_revoked[msg.sender] != 0) revert AlreadyRevoked(msg.sender);
        _revoked[msg.sender] = block.number;
        emit KeyRevoked(msg.sender);
    }

    /// @inheritdoc IGraphRegistry
    function headOf(address submitter, bytes32 graph) external view returns (bytes32) {
        return _heads[submitter][graph];
    }

    /// @inheritdoc IGraphRegistry
    function batchOf(address submitter) external view returns (bytes32) {
        return _batches[submitter];
    }

    /// @inheritdoc IGraphRegistry
    function batchHolds(
        address submitter,
        bytes32 graph,
        bytes32 head,
        bytes calldata bits,
        bytes32[] calldata siblings
    ) external view returns (bool) {
        bytes32 root = _batches[submitter];
        return root != 0 && root == MapProof.root(graph, head, bits, siblings);
    }

    /// @inheritdoc IGraphRegistry
    function transferOf(bytes32 graph, address from) external view returns (address) {
        return _transfers[graph][from];
    }

    /// @inheritdoc IGraphRegistry
    function revokedAt(address key) external view returns (uint256) {
        return _revoked[key];
    }
}
