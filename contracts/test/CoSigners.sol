// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {Base} from "./Base.sol";
import {Tries} from "./Tries.sol";
import {Gateway} from "../src/Gateway.sol";
import {IGateway} from "../src/interfaces/IGateway.sol";

/// @dev What the source chain's co-signers do: build a chain's state, sign its headers.
abstract contract CoSigners is Base {
    bytes32 internal constant CHECKPOINT = keccak256("Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)");
    bytes32 internal constant SIGNER_CHANGE =
        keccak256("SignerChange(uint256 sourceChain,bytes32 signers,uint8 quorum,uint256 nonce)");
    uint256 internal constant CHAIN = 7001;
    address internal constant REGISTRY = address(0x2E615712E);
    address internal constant SUBMITTER = address(0xA11CE);
    bytes32 internal constant GRAPH = keccak256("graph");

    uint256[] internal keys; // in ascending order of their addresses

    /// @dev Keys first..first+count-1, sorted by address.
    function _keys(uint256 first, uint256 count) internal pure returns (uint256[] memory sorted) {
        sorted = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 place = i;
            for (; place > 0 && vm.addr(sorted[place - 1]) > vm.addr(first + i); --place) {
                sorted[place] = sorted[place - 1];
            }
            sorted[place] = first + i;
        }
    }

    function _addresses(uint256[] memory of_) internal pure returns (address[] memory all) {
        all = new address[](of_.length);
        for (uint256 i = 0; i < of_.length; ++i) {
            all[i] = vm.addr(of_[i]);
        }
    }

    function _gateway(uint256 chain, uint256[] memory signers, uint8 quorum) internal returns (Gateway) {
        IGateway.Source[] memory sources = new IGateway.Source[](1);
        sources[0] = IGateway.Source(chain, REGISTRY, _addresses(signers), quorum);
        return new Gateway(sources);
    }

    function _sign(Gateway gateway, bytes32 structHash, uint256 count) internal view returns (bytes[] memory all) {
        bytes32 digest = typed("DAppOps Gateway", block.chainid, address(gateway), structHash);
        all = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            all[i] = signed(keys[i], digest);
        }
    }

    function _vouch(Gateway gateway, bytes memory header, uint256 number, uint256 count)
        internal
        view
        returns (bytes[] memory)
    {
        return _sign(gateway, keccak256(abi.encode(CHECKPOINT, CHAIN, number, keccak256(header))), count);
    }

    function _headSlot(address submitter, bytes32 graph) internal pure returns (bytes32) {
        return keccak256(abi.encode(graph, keccak256(abi.encode(submitter, 0))));
    }

    /// @dev A state in which REGISTRY has one value in one slot, and its two proofs.
    function _state(bytes32 slot, bytes32 value)
        internal
        pure
        returns (bytes32 stateRoot, bytes[] memory accountProof, bytes[] memory storageProof)
    {
        storageProof = new bytes[](1);
        storageProof[0] = Tries.single(keccak256(abi.encode(slot)), RLP.encode(uint256(value)));
        accountProof = new bytes[](1);
        accountProof[0] =
            Tries.single(keccak256(abi.encodePacked(REGISTRY)), Tries.account(keccak256(storageProof[0])));
        stateRoot = keccak256(accountProof[0]);
    }
}
