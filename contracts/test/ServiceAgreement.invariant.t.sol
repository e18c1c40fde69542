// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AgreementBase} from "./AgreementBase.sol";
import {IServiceAgreement} from "../src/interfaces/IServiceAgreement.sol";

/// @dev Does at random what participants can do, and knows which agreements are open.
contract AgreementHandler is AgreementBase {
    IServiceAgreement.Terms[] private _made;
    address[] public accounts;
    address private immutable _test;

    constructor() {
        _test = msg.sender;
        prepare(address(0));
        accounts.push(provider);
        accounts.push(consumer);
        for (uint256 i = 0; i < 9; ++i) {
            accounts.push(vm.addr(witnessKeys[i]));
        }
    }

    function deposit(uint256 who, uint96 amount) external {
        vm.deal(address(this), amount);
        agreements.depositFor{value: amount}(accounts[who % accounts.length]);
    }

    function withdraw(uint256 who, uint256 part) external {
        address account = accounts[who % accounts.length];
        uint256 amount = bounded(part, 0, agreements.balanceOf(account));
        vm.prank(account);
        agreements.withdraw(amount);
    }

    function make(uint256 count, uint96 price, uint96 compensation, uint96 fee) external {
        IServiceAgreement.Terms memory terms = termsOf(bounded(count, 1, 9), _made.length);
        (terms.price, terms.compensation, terms.witnessFee) = (price, compensation, fee);
        terms.start = uint64(block.timestamp);
        terms.end = terms.start + 100;
        terms.settleBy = terms.end + 100;
        fund(terms);
        open(terms);
        _made.push(terms);
    }

    function vote(uint256 which, uint256 came, bool violated) external {
        if (_made.length == 0) return;
        // the youngest one as often as any other, and most witnesses: so that many are really settled
        IServiceAgreement.Terms memory terms = _made[which % 2 == 0 ? _made.length - 1 : which % _made.length];
        bytes32 agreement = agreements.identifierOf(terms);
        came |= which >> 8;
        if (block.timestamp < terms.end) vm.warp(terms.end);
        IServiceAgreement.Vote[] memory votes = votesOf(agreement, terms.witnesses.length, came, violated ? came : 0);
        try agreements.settle(terms, votes) {} catch {}
    }

    function end(uint256 which, bool both) external {
        if (_made.length == 0) return;
        IServiceAgreement.Terms memory terms = _made[which % _made.length];
        (bytes memory one, bytes memory other) = bothCancel(agreements.identifierOf(terms));
        if (both) try agreements.cancel(terms, one, other) {} catch {}
        else try agreements.expire(terms) {} catch {}
    }

    function exclude(uint256 which, uint256 place) external {
        if (_made.length == 0) return;
        IServiceAgreement.Terms memory terms = _made[which % _made.length];
        place %= terms.witnesses.length;
        bytes32 agreement = agreements.identifierOf(terms);
        bytes memory one = signed(witnessKeys[place], agreements.sealDigest(agreement, bytes32(0)));
        bytes memory other = signed(witnessKeys[place], agreements.sealDigest(agreement, bytes32(uint256(1))));
        try agreements.exclude(terms, uint8(place), bytes32(0), one, bytes32(uint256(1)), other) {} catch {}
    }

    function wait_(uint8 time) external {
        vm.warp(block.timestamp + time % 64);
    }

    function owed() external view returns (uint256 sum) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += agreements.balanceOf(accounts[i]);
        }
        for (uint256 i = 0; i < _made.length; ++i) {
            bytes32 agreement = agreements.identifierOf(_made[i]);
            if (agreements.stateOf(agreement) != IServiceAgreement.State.Open) continue;
            (uint256 ofProvider, uint256 ofConsumer) = escrowOf(_made[i]);
            sum += ofProvider + ofConsumer;
        }
    }

    function held() external view returns (uint256) {
        return address(agreements).balance;
    }

    /// @dev Nobody helps: anyone expires what is open, everyone withdraws.
    function windUp() external returns (uint256 left) {
        if (msg.sender != _test) return 0;
        vm.warp(block.timestamp + 201);
        for (uint256 i = 0; i < _made.length; ++i) {
            if (agreements.stateOf(agreements.identifierOf(_made[i])) == IServiceAgreement.State.Open) {
                agreements.expire(_made[i]);
            }
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 amount = agreements.balanceOf(accounts[i]);
            vm.prank(accounts[i]);
            agreements.withdraw(amount);
        }
        return address(agreements).balance;
    }
}

contract ServiceAgreementInvariantTest is AgreementBase {
    AgreementHandler private handler;

    function setUp() public {
        handler = new AgreementHandler();
        target(address(handler));
    }

    /// @dev Safety: what the contract owes is what it holds.
    function invariant_balancesAndEscrowsAreTheEther() public view {
        equal(handler.owed(), handler.held());
    }

    /// @dev Liveness: after settleBy every wei can be withdrawn. Forge calls this at the end of each run.
    function afterInvariant() external {
        equal(handler.windUp(), 0);
    }
}
