// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {ParticipantRegistry} from "../src/ParticipantRegistry.sol";
import {IParticipantRegistry} from "../src/interfaces/IParticipantRegistry.sol";

contract ParticipantRegistryTest is Base {
    bytes32 private constant ROTATION = keccak256("KeyRotation(address participant,address newKey,uint256 nonce)");
    uint256 private constant NEW = 0xBEEF;

    ParticipantRegistry private registry;
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    address private constant HOLDER = address(0x401DE2);

    function setUp() public {
        registry = new ParticipantRegistry();
        vm.prank(ALICE);
        registry.join(3, _holders());
    }

    function test_join_speaksForItself() public {
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.Joined(BOB, 15);
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.HolderAllowed(BOB, HOLDER, true);
        vm.prank(BOB);
        registry.join(15, _holders());
        equal(registry.keyOf(BOB), BOB);
        equal(registry.participantOf(BOB), BOB);
        equal(registry.rolesOf(BOB), 15);
        check(registry.isHolderAllowed(BOB, HOLDER), "the holder is allowed");
    }

    function test_join_revertsIfTwice() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.AlreadyAParticipant.selector, ALICE));
        vm.prank(ALICE);
        registry.join(1, new address[](0));
    }

    function test_join_revertsIfRolesUnknown() public {
        vm.startPrank(BOB);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadRoles.selector, 0));
        registry.join(0, new address[](0));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadRoles.selector, 16));
        registry.join(16, new address[](0));
        vm.stopPrank();
    }

    function test_join_revertsIfKeySpeaksForAnother() public {
        _rotate(ALICE, ALICE, NEW);
        address fresh = vm.addr(NEW);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.AlreadyAParticipant.selector, fresh));
        vm.prank(fresh);
        registry.join(1, new address[](0));
    }

    function test_setRoles_replaces() public {
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.RolesChanged(ALICE, 8);
        vm.prank(ALICE);
        registry.setRoles(8);
        equal(registry.rolesOf(ALICE), 8);
    }

    function test_setRoles_revertsIfStranger() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NotAParticipant.selector, BOB));
        vm.prank(BOB);
        registry.setRoles(8);
    }

    function test_setRoles_revertsIfUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadRoles.selector, 200));
        vm.prank(ALICE);
        registry.setRoles(200);
    }

    function test_rotateKey_movesTheVoice() public {
        address fresh = vm.addr(NEW);
        bytes memory signature = _rotation(ALICE, NEW, 0);
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.KeyRotated(ALICE, ALICE, fresh);
        vm.prank(ALICE);
        registry.rotateKey(fresh, signature);
        equal(registry.keyOf(ALICE), fresh);
        equal(registry.participantOf(fresh), ALICE);
        equal(registry.participantOf(ALICE), address(0));
        equal(registry.rotationNonce(ALICE), 1);
        vm.prank(fresh);
        registry.setRoles(4);
        equal(registry.rolesOf(ALICE), 4);
    }

    function test_rotateKey_revertsIfSignedByOldKey() public {
        bytes memory signature = signed(0xA11, _digest(ALICE, vm.addr(NEW), 0));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, vm.addr(NEW)));
        vm.prank(ALICE);
        registry.rotateKey(vm.addr(NEW), signature);
    }

    function test_rotateKey_revertsIfZero() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, address(0)));
        vm.prank(ALICE);
        registry.rotateKey(address(0), new bytes(65));
    }

    function test_rotateKey_revertsIfSignedForAnotherParticipant() public {
        bytes memory signature = _rotation(BOB, NEW, 0);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, vm.addr(NEW)));
        vm.prank(ALICE);
        registry.rotateKey(vm.addr(NEW), signature);
    }

    function test_rotateKey_revertsIfSignedForAnotherChain() public {
        bytes memory signature = _rotation(ALICE, NEW, 0);
        vm.chainId(4242);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, vm.addr(NEW)));
        vm.prank(ALICE);
        registry.rotateKey(vm.addr(NEW), signature);
    }

    function test_rotateKey_revertsIfSignedForAnotherContract() public {
        bytes memory signature = _rotation(ALICE, NEW, 0);
        ParticipantRegistry other = new ParticipantRegistry();
        vm.startPrank(ALICE);
        other.join(1, new address[](0));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, vm.addr(NEW)));
        other.rotateKey(vm.addr(NEW), signature);
        vm.stopPrank();
    }

    function test_rotateKey_revertsIfNonceIsOld() public {
        _rotate(ALICE, ALICE, NEW);
        bytes memory signature = _rotation(ALICE, NEW + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, vm.addr(NEW + 1)));
        vm.prank(vm.addr(NEW));
        registry.rotateKey(vm.addr(NEW + 1), signature);
    }

    function test_rotateKey_revertsIfKeyInUse() public {
        address fresh = vm.addr(NEW);
        vm.prank(fresh);
        registry.join(1, new address[](0));
        bytes memory signature = _rotation(ALICE, NEW, 0);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.AlreadyAParticipant.selector, fresh));
        vm.prank(ALICE);
        registry.rotateKey(fresh, signature);
    }

    function test_rotateKey_revertsIfAddressOfAnotherParticipant() public {
        address first = vm.addr(NEW);
        vm.prank(first);
        registry.join(1, new address[](0));
        _rotate(first, first, NEW + 1);
        bytes memory signature = _rotation(ALICE, NEW, 0);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.KeyRetired.selector, first));
        vm.prank(ALICE);
        registry.rotateKey(first, signature);
    }

    function test_rotateKey_revertsIfOldKeySpeaks() public {
        _rotate(ALICE, ALICE, NEW);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NotAParticipant.selector, ALICE));
        vm.prank(ALICE);
        registry.setRoles(1);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.KeyRetired.selector, ALICE));
        vm.prank(ALICE);
        registry.join(1, new address[](0));
    }

    function test_oblige_countsOverHolders() public {
        vm.prank(ALICE);
        registry.allowHolder(BOB, true);
        vm.prank(BOB);
        registry.oblige(ALICE);
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.ObligationTaken(ALICE, HOLDER, 2);
        vm.prank(HOLDER);
        registry.oblige(ALICE);
        equal(registry.obligationsOf(ALICE), 2);
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.ObligationSettled(ALICE, BOB, 1);
        vm.prank(BOB);
        registry.settle(ALICE);
        equal(registry.obligationsOf(ALICE), 1);
    }

    function test_oblige_revertsIfHolderNotAllowed() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.HolderNotAllowed.selector, ALICE, BOB));
        vm.prank(BOB);
        registry.oblige(ALICE);
    }

    function test_oblige_revertsIfNoMember() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NotAParticipant.selector, BOB));
        vm.prank(HOLDER);
        registry.oblige(BOB);
    }

    function test_oblige_revertsIfAllowedByEarlierMembership() public {
        vm.startPrank(ALICE);
        registry.leave();
        registry.join(1, new address[](0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.HolderNotAllowed.selector, ALICE, HOLDER));
        vm.prank(HOLDER);
        registry.oblige(ALICE);
    }

    function test_settle_revertsIfNothingOwed() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NoObligation.selector, ALICE, HOLDER));
        vm.prank(HOLDER);
        registry.settle(ALICE);
    }

    function test_settle_worksIfHolderNoLongerAllowed() public {
        vm.prank(HOLDER);
        registry.oblige(ALICE);
        vm.prank(ALICE);
        registry.allowHolder(HOLDER, false);
        check(!registry.isHolderAllowed(ALICE, HOLDER), "not allowed any more");
        vm.prank(HOLDER);
        registry.settle(ALICE);
        equal(registry.obligationsOf(ALICE), 0);
    }

    function test_leave_keepsTheLastKeyIfRotated() public {
        _rotate(ALICE, ALICE, NEW);
        vm.expectEmit(address(registry));
        emit IParticipantRegistry.Left(ALICE);
        vm.prank(vm.addr(NEW));
        registry.leave();
        equal(registry.participantOf(vm.addr(NEW)), address(0));
        equal(registry.rolesOf(ALICE), 0);
        // the key that was replaced neither speaks for it elsewhere nor comes back
        equal(registry.keyOf(ALICE), vm.addr(NEW));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.KeyRetired.selector, ALICE));
        vm.prank(ALICE);
        registry.join(1, new address[](0));
    }

    function test_leave_forgetsTheKeyIfNeverRotated() public {
        vm.startPrank(ALICE);
        registry.leave();
        equal(registry.keyOf(ALICE), address(0));
        equal(registry.participantOf(ALICE), address(0));
        registry.join(4, new address[](0));
        vm.stopPrank();
        equal(registry.keyOf(ALICE), ALICE);
        equal(registry.rolesOf(ALICE), 4);
    }

    function test_oblige_revertsIfLeftAfterRotation() public {
        _rotate(ALICE, ALICE, NEW);
        vm.prank(vm.addr(NEW));
        registry.leave();
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NotAParticipant.selector, ALICE));
        vm.prank(HOLDER);
        registry.oblige(ALICE);
        // the last key is free to take part for itself
        vm.prank(vm.addr(NEW));
        registry.join(1, new address[](0));
        equal(registry.participantOf(vm.addr(NEW)), vm.addr(NEW));
        equal(registry.keyOf(ALICE), vm.addr(NEW));
    }

    function test_leave_revertsIfObligationsOpen() public {
        vm.prank(HOLDER);
        registry.oblige(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.ObligationsOpen.selector, ALICE, 1));
        vm.prank(ALICE);
        registry.leave();
        vm.prank(HOLDER);
        registry.settle(ALICE);
        vm.prank(ALICE);
        registry.leave();
    }

    function test_leave_revertsIfStranger() public {
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.NotAParticipant.selector, BOB));
        vm.prank(BOB);
        registry.leave();
    }

    function testFuzz_rotateKey_onlyTheNewKeyCanProveItself(uint256 key, uint256 wrong) public {
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        key = bounded(key, 1, order - 1);
        wrong = bounded(wrong, 1, order - 1);
        vm.assume(key != wrong);
        address fresh = vm.addr(key);
        bytes memory signature = signed(wrong, _digest(ALICE, fresh, 0));
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.BadKeySignature.selector, fresh));
        vm.prank(ALICE);
        registry.rotateKey(fresh, signature);
        signature = signed(key, _digest(ALICE, fresh, 0));
        vm.prank(ALICE);
        registry.rotateKey(fresh, signature);
        equal(registry.keyOf(ALICE), fresh);
    }

    function _holders() private pure returns (address[] memory holders) {
        holders = new address[](1);
        holders[0] = HOLDER;
    }

    function _digest(address participant, address newKey, uint256 nonce) private view returns (bytes32) {
        bytes32 structHash = keccak256(abi.encode(ROTATION, participant, newKey, nonce));
        return typed("DAppOps ParticipantRegistry", block.chainid, address(registry), structHash);
    }

    function _rotation(address participant, uint256 key, uint256 nonce) private view returns (bytes memory) {
        return signed(key, _digest(participant, vm.addr(key), nonce));
    }

    function _rotate(address participant, address speaker, uint256 key) private {
        bytes memory signature = _rotation(participant, key, registry.rotationNonce(participant));
        vm.prank(speaker);
        registry.rotateKey(vm.addr(key), signature);
    }
}

/// @dev Members come, rotate, owe, settle and go, in any order that the registry allows.
contract Members is Base {
    bytes32 private constant ROTATION = keccak256("KeyRotation(address participant,address newKey,uint256 nonce)");
    uint256 private constant KEYS = 6;

    ParticipantRegistry public immutable registry;
    mapping(address participant => uint256) public owed;

    constructor(ParticipantRegistry registry_) {
        registry = registry_;
    }

    function key(uint256 index) public pure returns (address) {
        return vm.addr(1 + index % KEYS);
    }

    function count() external pure returns (uint256) {
        return KEYS;
    }

    function join(uint256 who) external {
        address[] memory holders = new address[](1);
        holders[0] = address(this);
        vm.prank(key(who));
        try registry.join(1, holders) {} catch {}
    }

    function rotate(uint256 who, uint256 to) external {
        address participant = registry.participantOf(key(who));
        bytes32 structHash =
            keccak256(abi.encode(ROTATION, participant, key(to), registry.rotationNonce(participant)));
        bytes memory signature =
            signed(1 + to % KEYS, typed("DAppOps ParticipantRegistry", block.chainid, address(registry), structHash));
        vm.prank(key(who));
        try registry.rotateKey(key(to), signature) {} catch {}
    }

    function oblige(uint256 who) external {
        try registry.oblige(key(who)) {
            ++owed[key(who)];
        } catch {}
    }

    function settle(uint256 who) external {
        try registry.settle(key(who)) {
            --owed[key(who)];
        } catch {}
    }

    function leave(uint256 who) external {
        vm.prank(key(who));
        try registry.leave() {} catch {}
    }
}

contract ParticipantRegistryInvariants is Base {
    Members private members;

    function setUp() public {
        members = new Members(new ParticipantRegistry());
        target(address(members));
    }

    /// A key speaks for a participant exactly when the participant has it as its key.
    function invariant_keysAndParticipantsAgree() public view {
        ParticipantRegistry registry = members.registry();
        for (uint256 i = 0; i < members.count(); ++i) {
            address each = members.key(i);
            address speaks = registry.participantOf(each);
            if (speaks != address(0)) equal(registry.keyOf(speaks), each);
            if (registry.rolesOf(each) != 0) equal(registry.participantOf(registry.keyOf(each)), each);
        }
    }

    /// What is owed is counted exactly, and who owes is a member.
    function invariant_whoOwesIsAMember() public view {
        ParticipantRegistry registry = members.registry();
        for (uint256 i = 0; i < members.count(); ++i) {
            address each = members.key(i);
            equal(registry.obligationsOf(each), members.owed(each));
            check(members.owed(each) == 0 || registry.rolesOf(each) != 0, "somebody left owing");
        }
    }
}
