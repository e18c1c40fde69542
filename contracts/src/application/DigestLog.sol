// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IDigestLog} from "../interfaces/IDigestLog.sol";
import {Application} from "./Application.sol";

/// @title Template: digests and provenance in batches
contract DigestLog is IDigestLog, Application {
    mapping(bytes32 root => Batch) private _batches;

    function initialize(Group calldata group, Origin calldata from) external initializer {
        _initialize(group, from);
    }

    /// @inheritdoc IDigestLog
    function append(bytes32 stream, bytes32 root, uint32 count) external active onlyOperator {
        if (count == 0 || root == bytes32(0)) revert EmptyBatch();
        if (batchOf(root).writer != address(0)) revert AlreadyLogged(root);
        _batches[root] = Batch(msg.sender, uint64(block.timestamp), count);
        emit BatchLogged(root, stream, msg.sender, count);
    }

    /// @inheritdoc IDigestLog
    function batchOf(bytes32 root) public view returns (Batch memory batch) {
        batch = _batches[root];
        if (batch.writer == address(0)) {
            address before = _predecessor();
            if (before != address(0)) batch = IDigestLog(before).batchOf(root);
        }
    }

    /// @inheritdoc IDigestLog
    function includes(bytes32 root, bytes32 digest, bytes32[] calldata path) external view returns (bool) {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(digest))));
        return batchOf(root).writer != address(0) && MerkleProof.verifyCalldata(path, root, leaf);
    }

    function template() external pure returns (string memory) {
        return "DigestLog";
    }

    function _checkGroup(Group calldata group) internal pure override {
        if (group.operators.length == 0) revert BadGroup("nobody may write");
    }
}
