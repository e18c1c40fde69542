// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Who takes part, with which key, in which roles
/// @notice A participant is the address it joined with, for ever; the key that speaks for it can be rotated. Each function
/// but oblige and settle is called by the key that speaks for the participant now.
/// @dev EIP-712 domain: name "DAppOps ParticipantRegistry", version "1", chainId, verifyingContract.
/// KeyRotation(address participant,address newKey,uint256 nonce)
interface IParticipantRegistry {
    /// @notice `participant` joined.
    event Joined(address indexed participant, uint8 roles);
    /// @notice `participant` has exactly these roles now.
    event RolesChanged(address indexed participant, uint8 roles);
    /// @notice `newKey` speaks for `participant`; `oldKey` never speaks for anyone again.
    event KeyRotated(address indexed participant, address indexed oldKey, address indexed newKey);
    /// @notice `holder` may note obligations of `participant` from now on, or may not.
    event HolderAllowed(address indexed participant, address indexed holder, bool allowed);
    /// @notice `holder` noted one more obligation; `open` is the sum over all holders.
    event ObligationTaken(address indexed participant, address indexed holder, uint256 open);
    /// @notice `holder` struck one obligation out; `open` is the sum over all holders.
    event ObligationSettled(address indexed participant, address indexed holder, uint256 open);
    /// @notice `participant` left. Its address may join again unless its key was rotated away.
    event Left(address indexed participant);

    /// @notice The key speaks for nobody, or the address is no member.
    error NotAParticipant(address key);
    /// @notice The key speaks for somebody, or the address is a member.
    error AlreadyAParticipant(address key);
    /// @notice Who owes cannot leave.
    error ObligationsOpen(address participant, uint256 open);
    /// @notice The caller may not note obligations of this participant.
    error HolderNotAllowed(address participant, address holder);
    /// @notice The caller has noted no obligation that is open.
    error NoObligation(address participant, address holder);
    /// @notice The new key did not sign this rotation.
    error BadKeySignature(address newKey);
    /// @notice A key that was replaced once never speaks for anyone again.
    error KeyRetired(address key);
    /// @notice No role, or a bit without meaning.
    error BadRoles(uint8 roles);

    /// @notice The caller takes part, speaking for itself.
    /// @param roles bit mask: 1 provider, 2 consumer, 4 witness, 8 co-signer
    /// @param holders contracts that may note obligations of the caller (such as ServiceAgreement)
    function join(uint8 roles, address[] calldata holders) external;
    /// @notice Replaces the roles.
    function setRoles(uint8 roles) external;
    /// @notice Whether `holder` may note new obligations; those it noted stay until it settles them, so allow only
    /// contracts that always settle in the end.
    function allowHolder(address holder, bool allowed) external;
    /// @notice `newKey` speaks for the caller's participant from now on; the caller's key is retired.
    /// @param signature of the new key over the EIP-712 struct KeyRotation(participant, newKey, rotationNonce)
    function rotateKey(address newKey, bytes calldata signature) external;
    /// @notice Refused while obligations are open.
    function leave() external;
    /// @notice Called by a holder that the participant allowed: one more open obligation.
    function oblige(address participant) external;
    /// @notice Called by the holder that noted it: one open obligation less.
    function settle(address participant) external;

    /// @notice The key that speaks for a participant; zero when it never joined, or left with the key it joined with. One that
    /// left after a rotation keeps its last key here: what it has in other contracts must not fall to the key it gave up.
    function keyOf(address participant) external view returns (address);
    /// @notice The participant for whom a key speaks; zero for none.
    function participantOf(address key) external view returns (address);
    /// @notice Bit mask of roles; zero when it is no member.
    function rolesOf(address participant) external view returns (uint8);
    /// @notice Whether `holder` may note new obligations of `participant`.
    function isHolderAllowed(address participant, address holder) external view returns (bool);
    /// @notice Open obligations over all holders.
    function obligationsOf(address participant) external view returns (uint256);
    /// @notice What the next KeyRotation of this participant has to carry.
    function rotationNonce(address participant) external view returns (uint256);
}
