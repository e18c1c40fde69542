// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who takes part, with which key, in which roles
/// @notice A participant is the address it joined with, for ever; the key that speaks for it can be rotated.
interface IParticipantRegistry {
    event Joined(address indexed participant, uint8 roles);
    event RolesChanged(address indexed participant, uint8 roles);
    event KeyRotated(address indexed participant, address indexed oldKey, address indexed newKey);
    event HolderAllowed(address indexed participant, address indexed holder, bool allowed);
    event ObligationTaken(address indexed participant, address indexed holder, uint256 open);
    event ObligationSettled(address indexed participant, address indexed holder, uint256 open);
    event Left(address indexed participant);

    error NotAParticipant(address key);
    error AlreadyAParticipant(address key);
    error ObligationsOpen(address participant, uint256 open);
    error HolderNotAllowed(address participant, address holder);
    error NoObligation(address participant, address holder);
    /// @notice A key that was replaced once never speaks for anyone again.
    error KeyRetired(address key);
    error BadRoles(uint8 roles);
    error BadKeySignature(address newKey);

    /// @param roles bit mask: 1 provider, 2 consumer, 4 witness, 8 co-signer
    /// @param holders contracts that may note obligations of the caller (such as ServiceAgreement)
    function join(uint8 roles, address[] calldata holders) external;
    function setRoles(uint8 roles) external;
    function allowHolder(address holder, bool allowed) external;
    /// @param signature of the new key over the EIP-712 struct KeyRotation(address participant,address newKey,uint256 nonce)
    function rotateKey(address newKey, bytes calldata signature) external;
    /// @notice Refused while obligations are open.
    function leave() external;
    /// @notice Called by a holder that the participant allowed; one more open obligation.
    function oblige(address participant) external;
    function settle(address participant) external;

    function keyOf(address participant) external view returns (address);
    /// @notice The participant for whom a key speaks; zero for none.
    function participantOf(address key) external view returns (address);
    function rolesOf(address participant) external view returns (uint8);
    function obligationsOf(address participant) external view returns (uint256);
    function rotationNonce(address participant) external view returns (uint256);
}
