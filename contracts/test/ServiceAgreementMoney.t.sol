// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {AgreementBase} from "./AgreementBase.sol";
import {IServiceAgreement} from "../src/interfaces/IServiceAgreement.sol";
import {ServiceAgreement} from "../src/ServiceAgreement.sol";

/// @dev An account of code, such as a shared wallet: signs as its owner, takes ether only when told to.
contract Wallet is IERC1271 {
    address private immutable _owner;
    ServiceAgreement private immutable _agreements;
    bool private _takes;
    uint256 public again;

    constructor(address owner, ServiceAgreement agreements) {
        _owner = owner;
        _agreements = agreements;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recoverCalldata(digest, signature) == _owner ? IERC1271.isValidSignature.selector : bytes4(0);
    }

    function withdraw(uint256 amount, bool takes, uint256 more) external {
        _takes = takes;
        again = more;
        _agreements.withdraw(amount);
    }

    function withdrawTo(address payable to, uint256 amount) external {
        _agreements.withdrawFrom(address(this), to, amount);
    }

    receive() external payable {
        require(_takes);
        if (again != 0) {
            uint256 amount = again;
            again = 0;
            _agreements.withdraw(amount);
        }
    }
}

/// @title Deposits, withdrawals, accounts of code, and that no outcome loses or makes a wei
contract ServiceAgreementMoneyTest is AgreementBase {
    function setUp() public {
        prepare(address(0));
    }

    // -- withdrawals -------------------------------------------------------------------------------------------------
    function test_withdraw_sendsTheBalance() public {
        vm.deal(consumer, 3);
        vm.prank(consumer);
        agreements.deposit{value: 3}();
        vm.expectEmit(address(agreements));
        emit IServiceAgreement.Withdrawn(consumer, consumer, 2);
        vm.prank(consumer);
        agreements.withdraw(2);
        equal(consumer.balance, 2);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BalanceTooLow.selector, consumer, 1, 2));
        vm.prank(consumer);
        agreements.withdraw(2);
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.NotTheKeyOf.selector, consumer, provider));
        vm.prank(provider);
        agreements.withdrawFrom(consumer, payable(provider), 1);
    }

    function test_withdraw_revertsIfCalledAgainWithin() public {
        Wallet wallet = new Wallet(consumer, agreements);
        vm.deal(address(this), 10);
        agreements.depositFor{value: 5}(address(wallet));
        agreements.depositFor{value: 5}(provider);
        // the inner call finds the balance taken, so the outer transfer fails
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TransferFailed.selector, address(wallet)));
        wallet.withdraw(5, true, 5);
        equal(agreements.balanceOf(address(wallet)), 5);
        // what it still has it may take in pieces
        wallet.withdraw(3, true, 2);
        equal(address(wallet).balance, 5);
        equal(address(agreements).balance, 5);
    }

    function test_withdrawFrom_freesAWalletThatTakesNoEther() public {
        Wallet wallet = new Wallet(consumer, agreements);
        vm.deal(address(this), 5);
        agreements.depositFor{value: 5}(address(wallet));
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.TransferFailed.selector, address(wallet)));
        wallet.withdraw(5, false, 0);
        wallet.withdrawTo(payable(consumer), 5);
        equal(consumer.balance, 5);
    }

    function test_open_takesSignaturesOfContractAccounts() public {
        IServiceAgreement.Terms memory terms = termsOf(3, 0);
        terms.consumer = address(new Wallet(consumer, agreements));
        fund(terms);
        bytes32 agreement = open(terms);
        stateIs(agreement, IServiceAgreement.State.Open);
        terms.nonce = 1;
        fund(terms);
        bytes32 digest = agreements.termsDigest(agreements.identifierOf(terms));
        vm.expectRevert(abi.encodeWithSelector(IServiceAgreement.BadSignature.selector, terms.consumer));
        agreements.open(terms, signed(PROVIDER_KEY, digest), signed(witnessKeys[0], digest));
    }

    // -- conservation ------------------------------------------------------------------------------------------------
    /// @dev Whatever is voted, or not, the sum of balances is what was paid in, and each outcome follows its formula.
    function testFuzz_settle_conservesEther(
        uint256 count,
        uint256 came,
        uint256 violated,
        uint128 price,
        uint128 compensation,
        uint128 fee,
        bool paysInOpen
    ) public {
        count = bounded(count, 3, 9);
        IServiceAgreement.Terms memory terms = termsOf(count, 0);
        (terms.price, terms.compensation, terms.witnessFee) = (price, compensation, fee);
        (uint256 ofProvider, uint256 ofConsumer) = escrowOf(terms);
        if (paysInOpen) {
            vm.deal(address(this), ofProvider);
            agreements.depositFor{value: ofProvider}(provider);
            vm.deal(consumer, ofConsumer);
            (bytes memory one, bytes memory other) = bothSigned(terms);
            vm.prank(consumer);
            agreements.open{value: ofConsumer}(terms, one, other);
        } else {
            fund(terms);
            open(terms);
        }
        equal(address(agreements).balance, ofProvider + ofConsumer);
        _outcome(terms, came, violated);
    }

    function _outcome(IServiceAgreement.Terms memory terms, uint256 came, uint256 violated) private {
        bytes32 agreement = agreements.identifierOf(terms);
        uint256 count = terms.witnesses.length;
        uint256 voted = ones(came, count);
        uint256 against = ones(came & violated, count);
        uint256 fees = voted * uint256(terms.witnessFee);
        (uint256 ofProvider, uint256 ofConsumer) = escrowOf(terms);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, count, came, violated);
        vm.warp(terms.end);
        if (against >= terms.quorum) {
            agreements.settle(terms, votes);
            equal(agreements.balanceOf(provider), ofProvider - fees / 2 - terms.compensation);
            equal(agreements.balanceOf(consumer), ofConsumer - (fees - fees / 2) + terms.compensation);
        } else if (voted - against >= terms.quorum) {
            agreements.settle(terms, votes);
            equal(agreements.balanceOf(provider), ofProvider - fees / 2 + terms.price);
            equal(agreements.balanceOf(consumer), ofConsumer - (fees - fees / 2) - terms.price);
        } else {
            vm.expectPartialRevert(IServiceAgreement.NoQuorum.selector);
            agreements.settle(terms, votes);
            fees = 0;
            vm.warp(terms.settleBy + 1);
            agreements.expire(terms);
            equal(agreements.balanceOf(provider), ofProvider);
            equal(agreements.balanceOf(consumer), ofConsumer);
        }
        uint256 sum = agreements.balanceOf(provider) + agreements.balanceOf(consumer);
        for (uint256 i = 0; i < count; ++i) {
            uint256 earned = agreements.balanceOf(terms.witnesses[i]);
            equal(earned, fees != 0 && (came >> i) & 1 == 1 ? terms.witnessFee : 0);
            sum += earned;
        }
        equal(sum, address(agreements).balance);
    }
}
