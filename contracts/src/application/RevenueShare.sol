// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRevenueShare} from "../interfaces/IRevenueShare.sol";
import {Application} from "./Application.sol";

/// @title Template: payments divided by agreed shares
/// @dev A payment costs the same however many payees there are: what a payee is owed is computed from what came in since the
/// shares were set. A change of shares credits each what it is owed; what rounding leaves over, less than a wei for each payee,
/// is divided with the next payments.
contract RevenueShare is IRevenueShare, Application {
    bytes32 private constant SHARES = keccak256("Shares(address[] payees,uint256[] shares,uint256 nonce)");
    uint256 private constant MOST_PAYEES = 64;
    uint256 private constant LARGEST = 1e18; // of a share: wei that exist times shares fit 256 bits

    address[] private _payees;
    mapping(uint256 round => mapping(address payee => uint256)) private _shares;
    mapping(uint256 round => mapping(address payee => uint256)) private _taken;
    mapping(address payee => uint256) private _credits; // of earlier rounds
    uint256 private _round; // grows with each change of shares
    uint256 private _total; // of the shares of this round
    uint256 private _received; // in this round

    function initialize(Group calldata group, Origin calldata from, address[] calldata payees, uint256[] calldata shares)
        external
        initializer
    {
        _initialize(group, from);
        _setShares(payees, shares);
    }

    receive() external payable {
        _take(bytes32(0));
    }

    /// @inheritdoc IRevenueShare
    function pay(bytes32 reference_) external payable {
        _take(reference_);
    }

    function _take(bytes32 reference_) private active {
        _received += msg.value;
        emit PaymentReceived(msg.sender, reference_, msg.value);
    }

    /// @inheritdoc IRevenueShare
    function release(address payee) external {
        _release(payee, payable(payee));
    }

    /// @inheritdoc IRevenueShare
    function releaseTo(address payable to) external {
        _release(msg.sender, to);
    }

    /// @dev Never paused.
    function _release(address payee, address payable to) private {
        uint256 now_ = _ofRound(payee);
        uint256 amount = now_ + _credits[payee];
        if (amount == 0) revert NothingOwed(payee);
        _taken[_round][payee] += now_;
        _credits[payee] = 0;
        emit PaymentReleased(payee, to, amount);
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert TransferFailed(to);
    }

    /// @inheritdoc IRevenueShare
    function setShares(address[] calldata payees, uint256[] calldata shares, bytes[] calldata signatures)
        external
        active
    {
        bytes32 structHash = keccak256(
            abi.encode(SHARES, keccak256(abi.encodePacked(payees)), keccak256(abi.encodePacked(shares)), nonce())
        );
        _agree(structHash, signatures);
        uint256 left = _received;
        for (uint256 i = 0; i < _payees.length; ++i) {
            address payee = _payees[i];
            left -= (_received * _shares[_round][payee]) / _total;
            _credits[payee] += _ofRound(payee);
        }
        _received = left;
        ++_round;
        _setShares(payees, shares);
    }

    function _setShares(address[] calldata payees, uint256[] calldata shares) private {
        if (payees.length == 0 || payees.length > MOST_PAYEES) revert BadShares("1 to 64 payees");
        if (payees.length != shares.length) revert BadShares("as many shares as payees");
        uint256 total = 0;
        for (uint256 i = 0; i < payees.length; ++i) {
            if (shares[i] == 0 || shares[i] > LARGEST) revert BadShares("a share is from 1 to 10^18");
            if (payees[i] == address(0) || _shares[_round][payees[i]] != 0) {
                revert BadShares("a payee is zero or named twice");
            }
            _shares[_round][payees[i]] = shares[i];
            total += shares[i];
        }
        _total = total;
        _payees = payees;
        emit SharesChanged(payees, shares);
    }

    /// @dev Of what came in this round.
    function _ofRound(address payee) private view returns (uint256) {
        return (_received * _shares[_round][payee]) / _total - _taken[_round][payee];
    }

    /// @inheritdoc IRevenueShare
    function owed(address payee) external view returns (uint256) {
        return _ofRound(payee) + _credits[payee];
    }

    /// @inheritdoc IRevenueShare
    function sharesOf(address payee) external view returns (uint256, uint256) {
        return (_shares[_round][payee], _total);
    }

    function template() external pure returns (string memory) {
        return "RevenueShare";
    }
}
