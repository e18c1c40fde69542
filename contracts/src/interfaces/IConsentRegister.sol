// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApplication} from "./IApplication.sol";

/// @title Who consented, withdrawn at any time; only hashes on the chain
/// @notice A consent is a salted hash of person, purpose and text, made outside, and belongs to a key that the person uses
/// for it (best one for each consent). Neither person nor purpose can be read here. It ends by itself, or when the key says
/// so: also while the contract is paused, after it was handed over, and before anyone handed the grant in.
/// @dev Domain as in IApplication.
/// Grant(bytes32 consent,uint64 until)
/// Withdrawal(bytes32 consent)
interface IConsentRegister is IApplication {
    /// @notice What is known of a consent.
    struct Record {
        uint64 since; // Unix seconds of the block; zero: never granted
        uint64 until;
        uint64 withdrawn; // zero: not
    }

    /// @notice `key` consents up to `until`, unless it withdraws.
    event ConsentGranted(bytes32 indexed consent, address indexed key, uint64 until);
    /// @notice `key` consents no longer.
    event ConsentWithdrawn(bytes32 indexed consent, address indexed key);

    /// @notice A consent is granted once.
    error AlreadyGranted(bytes32 consent, address key);
    /// @notice It was withdrawn before.
    error AlreadyWithdrawn(bytes32 consent, address key);
    /// @notice An end that is past, or later than a consent may last.
    error BadTime(uint64 until, uint64 latest);

    /// @notice By anyone who has the person's signature. A consent is granted once; granting again takes a new salt.
    /// @param until Unix seconds, at most `longest` from now
    function grant(bytes32 consent, uint64 until, bytes calldata signature) external returns (address key);
    /// @notice By the key itself.
    function withdraw(bytes32 consent) external;
    /// @notice By anyone who has the key's signature.
    function withdrawSigned(bytes32 consent, bytes calldata signature) external;

    /// @notice Whether it holds now: granted, not withdrawn, not over.
    function isGranted(address key, bytes32 consent) external view returns (bool);
    /// @notice What is known of a consent of a key.
    function recordOf(address key, bytes32 consent) external view returns (Record memory);
    /// @notice Seconds that a consent may last.
    function longest() external view returns (uint64);
}
