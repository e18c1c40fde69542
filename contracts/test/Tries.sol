// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

/// @title Small Merkle-Patricia tries and block headers, built from their definition
/// @dev https://ethereum.org/en/developers/docs/data-structures-and-encoding/patricia-merkle-trie. Tries of one leaf, or of
/// two whose keys part in the first nibble; deep tries of real chains are tested from Python (tests/contracts).
library Tries {
    using RLP for RLP.Encoder;

    /// @notice Node of a trie that holds one value under a key of 32 bytes.
    function single(bytes32 key, bytes memory value) internal pure returns (bytes memory) {
        return RLP.encoder().push(abi.encodePacked(hex"20", key)).push(value).encode();
    }

    /// @notice Proof of the first of two values whose keys part in the first nibble: the branch, then the leaf.
    function pair(bytes32 key, bytes memory value, bytes32 other, bytes memory beside)
        internal
        pure
        returns (bytes[] memory proof)
    {
        bytes memory leaf = _below(key, value);
        bytes memory sibling = _below(other, beside);
        RLP.Encoder memory branch = RLP.encoder();
        for (uint256 nibble = 0; nibble < 16; ++nibble) {
            if (nibble == uint256(key) >> 252) branch.push(keccak256(leaf));
            else if (nibble == uint256(other) >> 252) branch.push(keccak256(sibling));
            else branch.push(bytes(""));
        }
        branch.push(bytes(""));
        proof = new bytes[](2);
        proof[0] = branch.encode();
        proof[1] = leaf;
    }

    /// @notice An account with this storage root.
    function account(bytes32 storageRoot) internal pure returns (bytes memory) {
        return RLP.encoder().push(uint256(1)).push(uint256(0)).push(storageRoot).push(keccak256("code")).encode();
    }

    /// @notice A block header up to Cancun's fields.
    function header(bytes32 stateRoot, uint256 number, bytes32 extra) internal pure returns (bytes memory) {
        RLP.Encoder memory all = RLP.encoder();
        all.push(keccak256("parent")).push(keccak256("ommers")).push(address(0xC0FFEE)).push(stateRoot);
        all.push(keccak256("transactions")).push(keccak256("receipts")).push(new bytes(256)).push(uint256(0));
        all.push(number).push(uint256(30_000_000)).push(uint256(21_000)).push(uint256(1_700_000_000));
        all.push(abi.encodePacked(extra)).push(keccak256("randao")).push(new bytes(8)).push(uint256(7));
        all.push(keccak256("withdrawals")).push(uint256(0)).push(uint256(0)).push(keccak256("beacon"));
        return all.encode();
    }

    /// @dev A leaf below the branch at the root: 63 nibbles are left, an odd number (prefix 3).
    function _below(bytes32 key, bytes memory value) private pure returns (bytes memory) {
        bytes32 odd = (key & ~bytes32(uint256(0xf) << 252)) | bytes32(uint256(3) << 252);
        return RLP.encoder().push(abi.encodePacked(odd)).push(value).encode();
    }
}
