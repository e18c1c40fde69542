// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";

/// @title Participants, the keys that speak for them, and what they still owe
/// @dev A participant is one slot. What belonged to an earlier membership (allowed holders) ends with `leave`: it is stored
/// under the membership's number.
contract ParticipantRegistry is IParticipantRegistry, EIP712 {
    struct Participant {
        address key; // who speaks for it; one that left keeps a key that it rotated to
        uint8 roles; // zero: not a member
        uint40 open; // obligations not settled
        uint48 membership; // how often it has left
    }

    struct Key {
        address participant; // for whom it speaks; zero for none
        bool retired; // was replaced once and never speaks again
    }

    bytes32 private constant KEY_ROTATION =
        keccak256("KeyRotation(address participant,address newKey,uint256 nonce)");
    uint8 private constant ALL_ROLES = 15;

    mapping(address participant => Participant) private _participants;
    mapping(address key => Key) private _keys;
    mapping(address participant => mapping(uint48 membership => mapping(address holder => bool))) private _allowed;
    mapping(address participant => mapping(address holder => uint256)) private _owed;
    mapping(address participant => uint256) private _nonces;

    constructor() EIP712("DAppOps ParticipantRegistry", "1") {}

    /// @inheritdoc IParticipantRegistry
    function join(uint8 roles, address[] calldata holders) external {
        _checkRoles(roles);
        _checkFree(msg.sender);
        Participant storage me = _participants[msg.sender];
        me.key = msg.sender;
        me.roles = roles;
        _keys[msg.sender].participant = msg.sender;
        emit Joined(msg.sender, roles);
        for (uint256 i = 0; i < holders.length; ++i) {
            _allow(msg.sender, me.membership, holders[i], true);
        }
    }

    /// @inheritdoc IParticipantRegistry
    function setRoles(uint8 roles) external {
        _checkRoles(roles);
        address participant = _speaker();
        _participants[participant].roles = roles;
        emit RolesChanged(participant, roles);
    }

    /// @inheritdoc IParticipantRegistry
    function allowHolder(address holder, bool allowed) external {
        address participant = _speaker();
        _allow(participant, _participants[participant].membership, holder, allowed);
    }

    /// @inheritdoc IParticipantRegistry
    function rotateKey(address newKey, bytes calldata signature) external {
        address participant = _speaker();
        _checkFree(newKey);
        uint256 nonce = _nonces[participant];
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(KEY_ROTATION, participant, newKey, nonce)));
        if (newKey == address(0) || !SignatureChecker.isValidSignatureNow(newKey, digest, signature)) {
            revert BadKeySignature(newKey);
        }
        _nonces[participant] = nonce + 1;
        _keys[msg.sender] = Key({participant: address(0), retired: true});
        _keys[newKey].participant = participant;
        _participants[participant].key = newKey;
        emit KeyRotated(participant, msg.sender, newKey);
    }

    /// @inheritdoc IParticipantRegistry
    function leave() external {
        address participant = _speaker();
        Participant storage me = _participants[participant];
        if (me.open != 0) revert ObligationsOpen(participant, me.open);
        if (msg.sender == participant) me.key = address(0);
        me.roles = 0;
        ++me.membership;
        delete _keys[msg.sender];
        emit Left(participant);
    }

    /// @inheritdoc IParticipantRegistry
    function oblige(address participant) external {
        Participant storage who = _participants[participant];
        if (who.roles == 0) revert NotAParticipant(participant);
        if (!_allowed[participant][who.membership][msg.sender]) revert HolderNotAllowed(participant, msg.sender);
        ++_owed[participant][msg.sender];
        emit ObligationTaken(participant, msg.sender, ++who.open);
    }

    /// @inheritdoc IParticipantRegistry
    function settle(address participant) external {
        uint256 owed = _owed[participant][msg.sender];
        if (owed == 0) revert NoObligation(participant, msg.sender);
        _owed[participant][msg.sender] = owed - 1;
        emit ObligationSettled(participant, msg.sender, --_participants[participant].open);
    }

    /// @inheritdoc IParticipantRegistry
    function keyOf(address participant) external view returns (address) {
        return _participants[participant].key;
    }

    /// @inheritdoc IParticipantRegistry
    function participantOf(address key) external view returns (address) {
        return _keys[key].participant;
    }

    /// @inheritdoc IParticipantRegistry
    function rolesOf(address participant) external view returns (uint8) {
        return _participants[participant].roles;
    }

    /// @inheritdoc IParticipantRegistry
    function isHolderAllowed(address participant, address holder) external view returns (bool) {
        Participant storage who = _participants[participant];
        return who.roles != 0 && _allowed[participant][who.membership][holder];
    }

    /// @inheritdoc IParticipantRegistry
    function obligationsOf(address participant) external view returns (uint256) {
        return _participants[participant].open;
    }

    /// @inheritdoc IParticipantRegistry
    function rotationNonce(address participant) external view returns (uint256) {
        return _nonces[participant];
    }

    function _allow(address participant, uint48 membership, address holder, bool allowed) private {
        _allowed[participant][membership][holder] = allowed;
        emit HolderAllowed(participant, holder, allowed);
    }

    /// @dev The participant for whom the caller speaks.
    function _speaker() private view returns (address participant) {
        participant = _keys[msg.sender].participant;
        if (participant == address(0)) revert NotAParticipant(msg.sender);
    }

    /// @dev Enough to see that no participant has this address either: a member's address speaks for it or is retired.
    function _checkFree(address key) private view {
        Key storage known = _keys[key];
        if (known.retired) revert KeyRetired(key);
        if (known.participant != address(0)) revert AlreadyAParticipant(key);
    }

    function _checkRoles(uint8 roles) private pure {
        if (roles == 0 || roles > ALL_ROLES) revert BadRoles(roles);
    }
}
