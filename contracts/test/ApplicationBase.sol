// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {ApplicationProxy} from "../src/application/ApplicationProxy.sol";
import {DigestLog} from "../src/application/DigestLog.sol";
import {IApplication} from "../src/interfaces/IApplication.sol";

/// @title What the tests of an application's contracts share: groups of signers, and agreements signed by them
abstract contract ApplicationBase is Base {
    bytes32 internal constant UNPAUSE = keccak256("Unpause(uint256 nonce)");
    bytes32 internal constant PATCH = keccak256("Patch(address implementation,bytes32 call,uint256 nonce)");
    bytes32 internal constant MIGRATE =
        keccak256("Migrate(uint256 chainId,address successor,bytes32 stateRoot,uint256 nonce)");
    address internal constant GUARDIAN = address(0x6DA2D);
    address internal constant STRANGER = address(0x57A);

    uint256[] internal keys; // five, by ascending address

    function prepare() internal {
        vm.warp(1_700_000_000);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 key = uint256(keccak256(abi.encode("member", i)));
            keys.push(key);
            for (uint256 j = i; j > 0 && vm.addr(keys[j - 1]) > vm.addr(key); --j) {
                (keys[j - 1], keys[j]) = (keys[j], keys[j - 1]);
            }
        }
    }

    /// @dev Members are the first three (two agree), operators all five (three agree).
    function groupOf() internal view returns (IApplication.Group memory group) {
        group.members = accounts(3);
        group.quorum = 2;
        group.guardians = new address[](1);
        group.guardians[0] = GUARDIAN;
        group.operators = accounts(5);
        group.operatorQuorum = 3;
    }

    function none() internal pure returns (IApplication.Origin memory) {}

    function after_(address predecessor) internal view returns (IApplication.Origin memory) {
        return IApplication.Origin(block.chainid, predecessor, bytes32(0));
    }

    function accounts(uint256 count) internal view returns (address[] memory list) {
        list = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = vm.addr(keys[i]);
        }
    }

    function digestLog(IApplication.Origin memory from) internal returns (DigestLog) {
        return DigestLog(proxy(address(new DigestLog()), abi.encodeCall(DigestLog.initialize, (groupOf(), from))));
    }

    function proxy(address implementation, bytes memory call) internal returns (address) {
        return address(new ApplicationProxy(implementation, call));
    }

    /// @dev Signatures of the keys first..first+count-1.
    function agreed(address where, bytes32 structHash, uint256 first, uint256 count)
        internal
        view
        returns (bytes[] memory signatures)
    {
        bytes32 digest = typed("DAppOps Application", block.chainid, where, structHash);
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            signatures[i] = signed(keys[first + i], digest);
        }
    }

    function patchHash(address implementation, bytes memory call, uint256 nonce) internal pure returns (bytes32) {
        return keccak256(abi.encode(PATCH, implementation, keccak256(call), nonce));
    }

    function migrateTo(IApplication from, address to) internal {
        bytes32 structHash = keccak256(abi.encode(MIGRATE, block.chainid, to, keccak256("state"), from.nonce()));
        from.migrate(block.chainid, to, keccak256("state"), agreed(address(from), structHash, 0, 2));
    }
}
