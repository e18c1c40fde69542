// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Inclusion in a batch's map tree graph -> head
/// @dev leaf keccak256(0x05 graph head), inner keccak256(0x01 bit left right), where `bit` is the first bit in which the
/// graphs below differ (0: the highest of the first byte) and left holds the zeros. Preimages of leaves (65 bytes) and of
/// inner nodes (66 bytes) cannot be each other's. The tree's definition: docs/proof-format.md.
library MapProof {
    /// @notice The root to which a graph's head and its siblings, from the leaf upwards, lead.
    /// @param bits one byte for each sibling: the bit at which the two sides part
    function root(bytes32 graph, bytes32 head, bytes calldata bits, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 node)
    {
        node = keccak256(abi.encodePacked(bytes1(0x05), graph, head));
        for (uint256 i = 0; i < siblings.length; ++i) {
            bytes1 bit = bits[i];
            bool right = (uint256(graph) >> (255 - uint8(bit))) & 1 == 1;
            node = right
                ? keccak256(abi.encodePacked(bytes1(0x01), bit, siblings[i], node))
                : keccak256(abi.encodePacked(bytes1(0x01), bit, node, siblings[i]));
        }
    }
}
