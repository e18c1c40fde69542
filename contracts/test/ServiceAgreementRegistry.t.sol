// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AgreementBase} from "./AgreementBase.sol";
import {IParticipantRegistry} from "../src/interfaces/IParticipantRegistry.sol";
import {IServiceAgreement} from "../src/interfaces/IServiceAgreement.sol";
import {ParticipantRegistry} from "../src/ParticipantRegistry.sol";
import {ServiceAgreement} from "../src/ServiceAgreement.sol";

/// @dev A registry whose obligations fail for ever once it is told so.
contract BrokenRegistry {
    bool public broken;

    function setBroken() external {
        broken = true;
    }

    function keyOf(address) external pure returns (address) {
        return address(0);
    }

    function oblige(address) external {}

    function settle(address) external view {
        while (broken) {}
    }
}

contract ServiceAgreementRegistryTest is AgreementBase {
    bytes32 private constant ROTATION = keccak256("KeyRotation(address participant,address newKey,uint256 nonce)");
    uint256 private constant NEW_KEY = 0x2E11;

    ParticipantRegistry private registry;

    function setUp() public {
        registry = new ParticipantRegistry();
        prepare(address(registry));
    }

    function _join(address who, bool allows) private {
        address[] memory holders = new address[](allows ? 1 : 0);
        if (allows) holders[0] = address(agreements);
        vm.prank(who);
        registry.join(7, holders);
    }

    function _rotate(address who) private {
        bytes32 structHash = keccak256(abi.encode(ROTATION, who, vm.addr(NEW_KEY), uint256(0)));
        bytes32 digest = typed("DAppOps ParticipantRegistry", block.chainid, address(registry), structHash);
        vm.prank(who);
        registry.rotateKey(vm.addr(NEW_KEY), signed(NEW_KEY, digest));
    }

    function test_constructor_revertsIfTheRegistryDoesNotAnswer() public {
        vm.expectRevert();
        new ServiceAgreement(address(0xBEEF));
    }

    function test_open_obligesWhoAllowedIt() public {
        _join(provider, true);
        _join(consumer, false);
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        equal(registry.obligationsOf(provider), 1);
        equal(registry.obligationsOf(consumer), 0);
        vm.expectRevert(abi.encodeWithSelector(IParticipantRegistry.ObligationsOpen.selector, provider, 1));
        vm.prank(provider);
        registry.leave();
        vm.warp(terms.end);
        agreements.settle(terms, votesOf(agreement, 3, 7, 0));
        equal(registry.obligationsOf(provider), 0);
        vm.prank(provider);
        registry.leave();
    }

    function test_open_takesTheRotatedKeyOnly() public {
        _join(provider, true);
        _rotate(provider);
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, vm.addr(NEW_KEY)));
        agreements.open(terms, one, other);
        bytes32 digest = agreements.termsDigest(agreements.identifierOf(terms));
        agreements.open(terms, signed(NEW_KEY, digest), other);
        vm.warp(terms.settleBy + 1);
        agreements.expire(terms);
        // the money is the participant's, the new key moves it, the old one does not
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NotTheKeyOf.selector, provider, provider));
        vm.prank(provider);
        agreements.withdraw(1);
        vm.prank(vm.addr(NEW_KEY));
        agreements.withdrawFrom(provider, payable(vm.addr(NEW_KEY)), 4.15 ether);
        equal(vm.addr(NEW_KEY).balance, 4.15 ether);
    }

    function test_open_revertsIfAWitnessIsTheKeyOfASide() public {
        _join(consumer, true);
        bytes32 structHash = keccak256(abi.encode(ROTATION, consumer, vm.addr(witnessKeys[1]), uint256(0)));
        bytes32 digest = typed("DAppOps ParticipantRegistry", block.chainid, address(registry), structHash);
        vm.prank(consumer);
        registry.rotateKey(vm.addr(witnessKeys[1]), signed(witnessKeys[1], digest));
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        digest = agreements.termsDigest(agreements.identifierOf(terms));
        bytes memory one = signed(PROVIDER_KEY, digest);
        bytes memory other = signed(witnessKeys[1], digest);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadTerms.selector, "a side is a witness"));
        agreements.open(terms, one, other);
    }

    function test_settle_takesAVoteByTheRotatedKeyOfAWitness() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        _join(terms.witnesses[1], true);
        _rotate(terms.witnesses[1]);
        vm.warp(terms.end);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 7);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, vm.addr(NEW_KEY)));
        agreements.settle(terms, votes);
        bytes32 seal = keccak256(abi.encode(true, votes[1].evidence, votes[1].salt));
        votes[1].signature = signed(NEW_KEY, agreements.sealDigest(agreement, seal));
        agreements.settle(terms, votes);
        equal(agreements.balanceOf(terms.witnesses[1]), 0.1 ether);
    }

    function test_expire_freesMoneyIfTheRegistryFails() public {
        BrokenRegistry broken = new BrokenRegistry();
        agreements = new ServiceAgreement(address(broken));
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        broken.setBroken();
        vm.warp(terms.settleBy + 1);
        agreements.expire(terms);
        stateIs(agreement, IServiceAgreement.State.Expired);
        equal(agreements.balanceOf(consumer), 10.15 ether);
    }

    function test_expire_revertsIfTheCallerStarvesTheRegistry() public {
        _join(provider, true);
        (IServiceAgreement.Terms memory terms,) = opened(3);
        vm.warp(terms.settleBy + 1);
        vm.expectRevert(IServiceAgreement.TooLittleGas.selector);
        agreements.expire{gas: 150_000}(terms);
        equal(registry.obligationsOf(provider), 1);
        agreements.expire{gas: 250_000}(terms);
        equal(registry.obligationsOf(provider), 0);
    }
}
