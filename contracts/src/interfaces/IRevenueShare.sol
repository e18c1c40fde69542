// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApplication} from "./IApplication.sol";

/// @title Payments divided by agreed shares; each takes its own
/// @notice Shares are changed by agreement, for payments from then on. What is owed can always be taken: also while the
/// contract is paused, and after it was handed over.
/// @dev Domain as in IApplication. Shares(address[] payees,uint256[] shares,uint256 nonce)
interface IRevenueShare is IApplication {
    /// @notice Somebody paid; it is divided by the shares of this moment.
    event PaymentReceived(address indexed from, bytes32 indexed reference_, uint256 amount);
    /// @notice A payee took what is its own.
    event PaymentReleased(address indexed payee, address indexed to, uint256 amount);
    /// @notice Later payments are divided so.
    event SharesChanged(address[] payees, uint256[] shares);

    /// @notice Shares that cannot be: none, zero, or a payee twice.
    error BadShares(string why);
    /// @notice There is nothing to take.
    error NothingOwed(address payee);
    /// @notice The receiver did not take it.
    error TransferFailed(address to);

    /// @param reference_ what is paid for
    function pay(bytes32 reference_) external payable;
    /// @notice By anyone: what is owed to a payee is sent to it.
    function release(address payee) external;
    /// @notice By a payee: what is owed to it is sent elsewhere.
    function releaseTo(address payable to) external;
    /// @notice By agreement, for later payments.
    function setShares(address[] calldata payees, uint256[] calldata shares, bytes[] calldata signatures) external;

    /// @notice Wei that a payee can take.
    function owed(address payee) external view returns (uint256);
    /// @notice A payee's share and the sum of all.
    function sharesOf(address payee) external view returns (uint256 share, uint256 total);
}
