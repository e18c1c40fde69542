// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AgreementBase} from "./AgreementBase.sol";
import {IServiceAgreement} from "../src/interfaces/IServiceAgreement.sol";
import {ServiceAgreement} from "../src/ServiceAgreement.sol";

contract ServiceAgreementTest is AgreementBase {
    function setUp() public {
        prepare(address(0));
    }

    // -- open --------------------------------------------------------------------------------------------------------
    function test_open_locksBothSides() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        bytes32 agreement = agreements.identifierOf(terms);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.AgreementOpened(agreement, provider, consumer, terms.termsHash);
        equal(agreements.open(terms, one, other), agreement);
        stateIs(agreement, IServiceAgreement.State.Open);
        equal(agreements.balanceOf(provider), 0);
        equal(agreements.balanceOf(consumer), 0);
        equal(address(agreements).balance, 14.3 ether);
    }

    function test_open_takesEtherOfEitherSide() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        (uint256 ofProvider, uint256 ofConsumer) = escrowOf(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.deal(address(this), ofProvider);
        agreements.depositFor{value: ofProvider}(provider);
        vm.deal(consumer, ofConsumer + 5);
        vm.prank(consumer);
        agreements.open{value: ofConsumer + 5}(terms, one, other);
        equal(agreements.balanceOf(consumer), 5);

        terms.nonce = 1;
        (one, other) = bothSigned(terms);
        vm.deal(address(this), ofConsumer);
        agreements.depositFor{value: ofConsumer}(consumer);
        vm.deal(provider, ofProvider);
        vm.prank(provider);
        agreements.open{value: ofProvider}(terms, one, other);
        equal(agreements.balanceOf(provider), 0);
    }

    function test_open_revertsIfAStrangerSendsEther() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NotTheKeyOf.selector, consumer, address(this)));
        agreements.open{value: 1}(terms, one, other);
    }

    function test_open_revertsIfLate() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.warp(terms.start + 1);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TooLate.selector, terms.start));
        agreements.open(terms, one, other);
    }

    function test_open_revertsIfASideDidNotSign() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, consumer));
        agreements.open(terms, one, one);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, provider));
        agreements.open(terms, other, other);
        terms.price -= 1;
        vm.expectPartialRevert(IServiceAgreement.BadSignature.selector);
        agreements.open(terms, one, other);
    }

    function test_open_revertsIfOpenedBefore() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        fund(terms);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.expectRevert(
            abi.encodeWithSelector(IServiceAgreement.WrongState.selector, agreement, IServiceAgreement.State.Open)
        );
        agreements.open(terms, one, other);
        (bytes memory first, bytes memory second) = bothCancel(agreement);
        agreements.cancel(terms, first, second);
        // nor a second time after it ended
        vm.expectRevert(
            abi.encodeWithSelector(IServiceAgreement.WrongState.selector, agreement, IServiceAgreement.State.Cancelled)
        );
        agreements.open(terms, one, other);
    }

    function test_open_revertsIfABalanceIsTooLow() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BalanceTooLow.selector, provider, 0, 4.15 ether));
        agreements.open(terms, one, other);
    }

    function test_open_revertsIfSignedForAnotherContractOrChain() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        (bytes memory one, bytes memory other) = bothSigned(terms);
        agreements = new ServiceAgreement(address(0));
        fund(terms);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, provider));
        agreements.open(terms, one, other);
        (one, other) = bothSigned(terms);
        vm.chainId(4242);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, provider));
        agreements.open(terms, one, other);
    }

    function test_open_revertsIfTermsAreWrong() public {
        IServiceAgreement.Terms memory terms = termsOf(4, 0);
        terms.quorum = 2;
        _refused(terms, "quorum is not more than half of the witnesses");
        terms.quorum = 5;
        _refused(terms, "quorum above the number of witnesses");
        terms = termsOf(3, 0);
        terms.consumer = terms.provider;
        _refusedBy(terms, PROVIDER_KEY, PROVIDER_KEY, "both sides are the same");
        terms = termsOf(3, 0);
        (terms.witnesses[0], terms.witnesses[1]) = (terms.witnesses[1], terms.witnesses[0]);
        _refused(terms, "witnesses do not ascend");
        terms = termsOf(3, 0);
        terms.witnesses[1] = terms.witnesses[0];
        _refused(terms, "witnesses do not ascend");
        terms = termsOf(3, 0);
        terms.provider = terms.witnesses[2];
        _refusedBy(terms, witnessKeys[2], CONSUMER_KEY, "a side is a witness");
        terms = termsOf(3, 0);
        terms.consumer = terms.witnesses[0];
        _refusedBy(terms, PROVIDER_KEY, witnessKeys[0], "a side is a witness");
        terms = termsOf(3, 0);
        terms.end = terms.start;
        _refused(terms, "end is not after start");
        terms = termsOf(3, 0);
        terms.settleBy = terms.end;
        _refused(terms, "settleBy is not after end");
        terms.settleBy = 1000 * NOW;
        _refused(terms, "settleBy is more than ten years ahead");
        terms = termsOf(3, 0);
        terms.witnesses = new address[](33);
        _refused(terms, "more than 32 witnesses");
        terms.witnesses = new address[](0);
        terms.quorum = 0;
        _refused(terms, "quorum is not more than half of the witnesses");
    }

    function _refused(IServiceAgreement.Terms memory terms, string memory why) private {
        _refusedBy(terms, PROVIDER_KEY, CONSUMER_KEY, why);
    }

    function _refusedBy(IServiceAgreement.Terms memory terms, uint256 one, uint256 other, string memory why) private {
        bytes32 digest = agreements.termsDigest(agreements.identifierOf(terms));
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadTerms.selector, why));
        agreements.open(terms, signed(one, digest), signed(other, digest));
    }

    function test_identifierOf_isTheStructHash() public view {
        IServiceAgreement.Terms memory terms = termsOf(3, 7);
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(
                    "Terms(address provider,address consumer,bytes32 termsHash,uint128 price,uint128 compensation,uint128 witnessFee,uint64 start,uint64 end,uint64 settleBy,uint8 quorum,address[] witnesses,uint256 nonce)"
                ),
                provider,
                consumer,
                terms.termsHash,
                terms.price,
                terms.compensation,
                terms.witnessFee,
                terms.start,
                terms.end,
                terms.settleBy,
                terms.quorum,
                keccak256(abi.encode(terms.witnesses[0], terms.witnesses[1], terms.witnesses[2])),
                terms.nonce
            )
        );
        bytes32 agreement = agreements.identifierOf(terms);
        equal(agreement, structHash);
        equal(
            agreements.termsDigest(agreement),
            typed("DAppOps ServiceAgreement", block.chainid, address(agreements), structHash)
        );
    }

    // -- settle ------------------------------------------------------------------------------------------------------
    function test_settle_paysTheProviderIfKept() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 0);
        vm.warp(terms.end);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.VoteCounted(agreement, terms.witnesses[0], false, votes[0].evidence);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.VoteCounted(agreement, terms.witnesses[1], false, votes[1].evidence);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.VoteCounted(agreement, terms.witnesses[2], false, votes[2].evidence);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.AgreementSettled(agreement, false, 3, 0, 10 ether);
        agreements.settle(terms, votes);
        stateIs(agreement, IServiceAgreement.State.Kept);
        equal(agreements.balanceOf(provider), 14 ether);
        equal(agreements.balanceOf(consumer), 0);
        equal(agreements.balanceOf(terms.witnesses[2]), 0.1 ether);
    }

    function test_settle_paysTheConsumerIfViolated() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(5);
        vm.warp(terms.settleBy);
        agreements.settle(terms, votesOf(agreement, 5, 31, 7));
        stateIs(agreement, IServiceAgreement.State.Violated);
        equal(agreements.balanceOf(provider), 0);
        equal(agreements.balanceOf(consumer), 14 ether);
        // who voted otherwise earns the same
        equal(agreements.balanceOf(terms.witnesses[4]), 0.1 ether);
    }

    function test_settle_givesFeesOfAbsentWitnessesBackInHalves() public {
        IServiceAgreement.Terms memory terms = termsOf(5, 0);
        terms.witnessFee = 7;
        fund(terms);
        bytes32 agreement = open(terms);
        vm.warp(terms.end);
        agreements.settle(terms, votesOf(agreement, 5, 0x15, 0));
        // 35 wei locked as 17 + 18; 21 paid as 10 + 11
        equal(agreements.balanceOf(provider), 14 ether + 7);
        equal(agreements.balanceOf(consumer), 7);
        equal(agreements.balanceOf(terms.witnesses[1]), 0);
        equal(agreements.balanceOf(terms.witnesses[2]), 7);
    }

    function test_settle_revertsOutsideItsTime() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 0);
        vm.warp(terms.end - 1);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TooEarly.selector, terms.end));
        agreements.settle(terms, votes);
        vm.warp(terms.settleBy + 1);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TooLate.selector, terms.settleBy));
        agreements.settle(terms, votes);
    }

    function test_settle_revertsIfNoQuorum() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(5);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 5, 15, 3);
        vm.warp(terms.end);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NoQuorum.selector, 2, 2, 3));
        agreements.settle(terms, votes);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NoQuorum.selector, 0, 0, 3));
        agreements.settle(terms, new IServiceAgreement.Vote[](0));
        // the refused call credited nobody
        equal(agreements.balanceOf(terms.witnesses[0]), 0);
    }

    function test_settle_revertsIfAWitnessVotesTwice() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        IServiceAgreement.Vote[] memory votes = new IServiceAgreement.Vote[](2);
        votes[0] = voteOf(agreement, 1, true);
        votes[1] = voteOf(agreement, 1, true);
        vm.warp(terms.end);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.VotesNotAscending.selector, 1));
        agreements.settle(terms, votes);
        votes[1] = voteOf(agreement, 1, false);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.VotesNotAscending.selector, 1));
        agreements.settle(terms, votes);
        votes[1] = voteOf(agreement, 0, true);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.VotesNotAscending.selector, 0));
        agreements.settle(terms, votes);
    }

    function test_settle_revertsIfAVoteIsNotAsSealed() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        vm.warp(terms.end);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 7);
        votes[1].violated = false;
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[1]));
        agreements.settle(terms, votes);
        votes = votesOf(agreement, 3, 7, 7);
        votes[2].evidence = keccak256("other");
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[2]));
        agreements.settle(terms, votes);
        votes = votesOf(agreement, 3, 7, 7);
        votes[2].signature = votes[1].signature;
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[2]));
        agreements.settle(terms, votes);
        votes = votesOf(agreement, 3, 7, 7);
        votes[2].witness = 3;
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NotAWitness.selector, 3));
        agreements.settle(terms, votes);
    }

    function test_settle_revertsIfVotesAreOfAnotherAgreementOrChain() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        IServiceAgreement.Terms memory others = termsOf(3, 1);
        fund(others);
        bytes32 other = open(others);
        IServiceAgreement.Vote[] memory votes = votesOf(other, 3, 7, 7);
        vm.warp(terms.end);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[0]));
        agreements.settle(terms, votes);
        votes = votesOf(agreement, 3, 7, 7);
        vm.chainId(4242);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[0]));
        agreements.settle(terms, votes);
    }

    function test_settle_revertsIfSettledOrNeverOpened() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 7);
        vm.warp(terms.end);
        agreements.settle(terms, votes);
        vm.expectRevert(
            abi.encodeWithSelector(IServiceAgreement.WrongState.selector, agreement, IServiceAgreement.State.Violated)
        );
        agreements.settle(terms, votes);
        terms.nonce = 9;
        bytes32 never = agreements.identifierOf(terms);
        vm.expectRevert(
            abi.encodeWithSelector(IServiceAgreement.WrongState.selector, never, IServiceAgreement.State.None)
        );
        agreements.settle(terms, votes);
    }

    // -- witnesses who sign twice ------------------------------------------------------------------------------------
    function test_exclude_takesTheVoteAndTheFee() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        bytes32 one = keccak256("one seal");
        bytes32 two = keccak256("another seal");
        bytes memory signedOne = signed(witnessKeys[1], agreements.sealDigest(agreement, one));
        bytes memory signedTwo = signed(witnessKeys[1], agreements.sealDigest(agreement, two));
        vm.expectRevert(IServiceAgreement.NotEquivocal.selector);
        agreements.exclude(terms, 1, one, signedOne, one, signedOne);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.witnesses[0]));
        agreements.exclude(terms, 0, one, signedOne, two, signedTwo);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NotAWitness.selector, 3));
        agreements.exclude(terms, 3, one, signedOne, two, signedTwo);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.WitnessExcluded(agreement, terms.witnesses[1], one, two);
        agreements.exclude(terms, 1, one, signedOne, two, signedTwo);
        equal(agreements.excludedOf(agreement), 2);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.ExcludedWitness.selector, terms.witnesses[1]));
        agreements.exclude(terms, 1, one, signedOne, two, signedTwo);

        vm.warp(terms.end);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, 3, 7, 7);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.ExcludedWitness.selector, terms.witnesses[1]));
        agreements.settle(terms, votes);
        agreements.settle(terms, votesOf(agreement, 3, 5, 7));
        equal(agreements.balanceOf(consumer), 14.05 ether);
        equal(agreements.balanceOf(terms.witnesses[1]), 0);
    }

    // -- expire and cancel -------------------------------------------------------------------------------------------
    function test_expire_givesEverySideItsOwn() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        vm.warp(terms.settleBy);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TooEarly.selector, terms.settleBy));
        agreements.expire(terms);
        vm.warp(terms.settleBy + 1);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.AgreementExpired(agreement);
        vm.prank(address(0xDEAD));
        agreements.expire(terms);
        equal(agreements.balanceOf(provider), 4.15 ether);
        equal(agreements.balanceOf(consumer), 10.15 ether);
        vm.expectPartialRevert(IServiceAgreement.WrongState.selector);
        agreements.expire(terms);
    }

    function test_cancel_needsBothAndComesBeforeTheEnd() public {
        (IServiceAgreement.Terms memory terms, bytes32 agreement) = opened(3);
        (bytes memory one, bytes memory other) = bothCancel(agreement);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, consumer));
        agreements.cancel(terms, one, one);
        vm.warp(terms.end);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TooLate.selector, terms.end));
        agreements.cancel(terms, one, other);
        vm.warp(terms.end - 1);
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.AgreementCancelled(agreement);
        agreements.cancel(terms, one, other);
        equal(agreements.balanceOf(provider), 4.15 ether);
        equal(agreements.balanceOf(consumer), 10.15 ether);
    }
}
