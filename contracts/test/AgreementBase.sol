// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {IServiceAgreement} from "../src/interfaces/IServiceAgreement.sol";
import {ServiceAgreement} from "../src/ServiceAgreement.sol";

/// @title What the tests of agreements share: terms, signatures, votes
abstract contract AgreementBase is Base {
    uint256 internal constant PROVIDER_KEY = 0xA11CE;
    uint256 internal constant CONSUMER_KEY = 0xB0B;
    uint64 internal constant NOW = 1_700_000_000;

    ServiceAgreement internal agreements;
    address internal provider;
    address internal consumer;
    /// @dev By ascending address.
    uint256[] internal witnessKeys;

    function prepare(address registry) internal {
        vm.warp(NOW);
        provider = vm.addr(PROVIDER_KEY);
        consumer = vm.addr(CONSUMER_KEY);
        agreements = new ServiceAgreement(registry);
        for (uint256 i = 0; i < 9; ++i) {
            uint256 key = uint256(keccak256(abi.encode("witness", i)));
            witnessKeys.push(key);
            for (uint256 j = i; j > 0 && vm.addr(witnessKeys[j - 1]) > vm.addr(key); --j) {
                (witnessKeys[j - 1], witnessKeys[j]) = (witnessKeys[j], witnessKeys[j - 1]);
            }
        }
    }

    function termsOf(uint256 count, uint256 nonce) internal view returns (IServiceAgreement.Terms memory terms) {
        address[] memory witnesses = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            witnesses[i] = vm.addr(witnessKeys[i]);
        }
        terms = IServiceAgreement.Terms({
            provider: provider,
            consumer: consumer,
            termsHash: keccak256("terms"),
            price: 10 ether,
            compensation: 4 ether,
            witnessFee: 0.1 ether,
            start: NOW + 60,
            end: NOW + 3660,
            settleBy: NOW + 7200,
            quorum: uint8(count / 2 + 1),
            witnesses: witnesses,
            nonce: nonce
        });
    }

    function fund(IServiceAgreement.Terms memory terms) internal {
        (uint256 ofProvider, uint256 ofConsumer) = escrowOf(terms);
        vm.deal(address(this), ofProvider + ofConsumer);
        agreements.depositFor{value: ofProvider}(terms.provider);
        agreements.depositFor{value: ofConsumer}(terms.consumer);
    }

    function escrowOf(IServiceAgreement.Terms memory terms) internal pure returns (uint256, uint256) {
        uint256 fees = terms.witnesses.length * uint256(terms.witnessFee);
        return (terms.compensation + fees / 2, terms.price + fees - fees / 2);
    }

    function open(IServiceAgreement.Terms memory terms) internal returns (bytes32) {
        (bytes memory one, bytes memory other) = bothSigned(terms);
        return agreements.open(terms, one, other);
    }

    function opened(uint256 count) internal returns (IServiceAgreement.Terms memory terms, bytes32 agreement) {
        terms = termsOf(count, 0);
        fund(terms);
        agreement = open(terms);
    }

    function bothSigned(IServiceAgreement.Terms memory terms) internal view returns (bytes memory, bytes memory) {
        bytes32 digest = agreements.termsDigest(agreements.identifierOf(terms));
        return (signed(PROVIDER_KEY, digest), signed(CONSUMER_KEY, digest));
    }

    function bothCancel(bytes32 agreement) internal view returns (bytes memory, bytes memory) {
        bytes32 digest = agreements.cancelDigest(agreement);
        return (signed(PROVIDER_KEY, digest), signed(CONSUMER_KEY, digest));
    }

    function voteOf(bytes32 agreement, uint256 place, bool violated)
        internal
        view
        returns (IServiceAgreement.Vote memory)
    {
        bytes32 evidence = keccak256(abi.encode("evidence", place));
        bytes32 salt = keccak256(abi.encode("salt", place));
        bytes32 seal = keccak256(abi.encode(violated, evidence, salt));
        bytes memory signature = signed(witnessKeys[place], agreements.sealDigest(agreement, seal));
        return IServiceAgreement.Vote(uint8(place), violated, evidence, salt, signature);
    }

    /// @dev Bit i of `came`: witness i votes; of `violated`: it found a breach.
    function votesOf(bytes32 agreement, uint256 count, uint256 came, uint256 violated)
        internal
        view
        returns (IServiceAgreement.Vote[] memory votes)
    {
        votes = new IServiceAgreement.Vote[](ones(came, count));
        uint256 next = 0;
        for (uint256 i = 0; i < count; ++i) {
            if ((came >> i) & 1 == 1) votes[next++] = voteOf(agreement, i, (violated >> i) & 1 == 1);
        }
    }

    function ones(uint256 bits, uint256 count) internal pure returns (uint256 total) {
        for (uint256 i = 0; i < count; ++i) {
            total += (bits >> i) & 1;
        }
    }

    function stateIs(bytes32 agreement, IServiceAgreement.State state) internal view {
        equal(uint256(agreements.stateOf(agreement)), uint256(state));
    }
}
