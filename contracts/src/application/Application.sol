// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {IApplication} from "../interfaces/IApplication.sol";

/// @title Common base of an application's contracts
/// @notice Lives behind an ERC-1967 proxy; the logic is changed by the members' agreement, not by an owner (UUPS).
/// @dev The base keeps its state in a namespace (ERC-7201), templates keep theirs after Pausable's and EIP712's and, in a patch, may
/// only add to the end. EIP712 and Pausable work behind a proxy as they are: what they compute at construction is immutable, and the
/// domain separator is rebuilt for the proxy's address.
abstract contract Application is IApplication, Initializable, UUPSUpgradeable, Pausable, EIP712 {
    bytes32 private constant UNPAUSE = keccak256("Unpause(uint256 nonce)");
    bytes32 private constant PATCH = keccak256("Patch(address implementation,bytes32 call,uint256 nonce)");
    bytes32 private constant MIGRATE =
        keccak256("Migrate(uint256 chainId,address successor,bytes32 stateRoot,uint256 nonce)");
    bytes32 private constant REGROUP = keccak256(
        "Regroup(address[] members,uint32 quorum,address[] guardians,address[] operators,uint32 operatorQuorum,uint256 nonce)"
    );
    // keccak256(abi.encode(uint256(keccak256("dappops.application")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant PLACE = 0xe77f30fac987c495f773e25a3603056427d1dd22256d69461938c0c86339c100;
    uint256 private constant MOST_IN_GROUP = 64;

    /// @custom:storage-location erc7201:dappops.application
    struct Base {
        uint64 nonce;
        uint64 generation; // of the group; who was in an earlier one is not in this one
        uint32 quorum;
        uint32 operatorQuorum;
        mapping(address account => uint64 generation) members;
        mapping(address account => uint64 generation) guardians;
        mapping(address account => uint64 generation) operators;
        Origin origin;
        uint256 successorChain;
        address successor;
        bytes32 stateRoot;
    }

    /// @dev Set by `patch` for the one call in which it is used up.
    address private transient _agreed;

    constructor() EIP712("DAppOps Application", "1") {
        _disableInitializers();
    }

    /// @dev Whoever has a predecessor on this chain waits for it: two contracts never do the same work.
    function _initialize(Group calldata group, Origin calldata from) internal onlyInitializing {
        Base storage base = _base();
        _setGroup(group);
        if (from.predecessor == address(0)) return;
        base.origin = from;
        if (from.chainId != block.chainid) {
            emit TakenOver(from.chainId, from.predecessor, from.stateRoot);
            return;
        }
        if (from.predecessor.code.length == 0 || from.stateRoot != bytes32(0)) revert BadOrigin();
        _pause();
    }

    // -- what is agreed ----------------------------------------------------------------------------------------------
    /// @inheritdoc IApplication
    function pause() external {
        if (!isGuardian(msg.sender) && !isMember(msg.sender)) revert NotAGuardian(msg.sender);
        _pause();
    }

    /// @inheritdoc IApplication
    function unpause(bytes[] calldata signatures) external {
        _requireHere();
        Base storage base = _base();
        address predecessor = base.origin.predecessor;
        if (predecessor != address(0) && base.origin.chainId == block.chainid && base.origin.stateRoot == bytes32(0)) {
            revert NotHandedOver(predecessor);
        }
        _agree(keccak256(abi.encode(UNPAUSE, base.nonce)), signatures);
        _unpause();
    }

    /// @inheritdoc IApplication
    function patch(address newImplementation, bytes calldata call, bytes[] calldata signatures) external {
        _requireHere();
        uint256 number = _base().nonce;
        _agree(keccak256(abi.encode(PATCH, newImplementation, keccak256(call), number)), signatures);
        _agreed = newImplementation;
        emit Patched(newImplementation, number);
        upgradeToAndCall(newImplementation, call);
    }

    /// @inheritdoc IApplication
    function migrate(uint256 chainId, address newContract, bytes32 stateRoot, bytes[] calldata signatures) external {
        _requireHere();
        Base storage base = _base();
        bool here = chainId == block.chainid;
        if (newContract == address(0) || stateRoot == bytes32(0)) revert BadSuccessor();
        if (here && (newContract == address(this) || newContract.code.length == 0)) revert BadSuccessor();
        _agree(keccak256(abi.encode(MIGRATE, chainId, newContract, stateRoot, base.nonce)), signatures);
        base.successorChain = chainId;
        base.successor = newContract;
        base.stateRoot = stateRoot;
        if (!paused()) _pause();
        emit Migrated(chainId, newContract, stateRoot);
    }

    /// @inheritdoc IApplication
    function takeOver() external {
        Origin storage from = _base().origin;
        address predecessor = from.predecessor;
        if (predecessor == address(0) || from.chainId != block.chainid || from.stateRoot != bytes32(0)) revert BadOrigin();
        (uint256 chainId, address to, bytes32 stateRoot) = IApplication(predecessor).successor();
        if (to != address(this) || chainId != block.chainid || stateRoot == bytes32(0)) {
            revert NotHandedOver(predecessor);
        }
        from.stateRoot = stateRoot;
        _unpause();
        emit TakenOver(block.chainid, predecessor, stateRoot);
    }

    /// @inheritdoc IApplication
    function regroup(Group calldata group, bytes[] calldata signatures) external {
        _requireHere();
        bytes32 structHash = keccak256(
            abi.encode(
                REGROUP,
                keccak256(abi.encodePacked(group.members)),
                group.quorum,
                keccak256(abi.encodePacked(group.guardians)),
                keccak256(abi.encodePacked(group.operators)),
                group.operatorQuorum,
                _base().nonce
            )
        );
        _agree(structHash, signatures);
        _setGroup(group);
    }

    /// @dev A quorum of members signed this for the present nonce, which is used up.
    function _agree(bytes32 structHash, bytes[] calldata signatures) internal {
        Base storage base = _base();
        _checkSignatures(base.members, structHash, signatures, base.quorum);
        ++base.nonce;
    }

    /// @dev A quorum of operators signed this; whether it may count again is the template's business.
    function _checkOperators(bytes32 structHash, bytes[] calldata signatures) internal view {
        Base storage base = _base();
        _checkSignatures(base.operators, structHash, signatures, base.operatorQuorum);
    }

    function _checkSignatures(
        mapping(address => uint64) storage among,
        bytes32 structHash,
        bytes[] calldata signatures,
        uint256 needed
    ) private view {
        // needed is zero in the logic itself, which nobody initialised
        if (needed == 0 || signatures.length < needed) revert TooFewSignatures(signatures.length, needed);
        bytes32 digest = _hashTypedDataV4(structHash);
        uint64 generation = _base().generation;
        address last = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= last) revert SignersNotAscending();
            if (among[signer] != generation) revert NotAMember(signer);
            last = signer;
        }
    }

    function _setGroup(Group calldata group) private {
        Base storage base = _base();
        uint256 members = group.members.length;
        if (members == 0 || members > MOST_IN_GROUP) revert BadGroup("1 to 64 members");
        if (group.guardians.length > MOST_IN_GROUP) revert BadGroup("more than 64 guardians");
        if (group.operators.length > MOST_IN_GROUP) revert BadGroup("more than 64 operators");
        if (group.quorum > members || 2 * uint256(group.quorum) <= members) {
            revert BadGroup("quorum is not more than half of the members");
        }
        if (group.operatorQuorum > group.operators.length) revert BadGroup("quorum above the number of operators");
        uint64 generation = ++base.generation;
        base.quorum = group.quorum;
        base.operatorQuorum = group.operatorQuorum;
        _enter(base.members, group.members, generation);
        _enter(base.guardians, group.guardians, generation);
        _enter(base.operators, group.operators, generation);
        _checkGroup(group);
        emit GroupChanged(
            group.members, group.quorum, group.guardians, group.operators, group.operatorQuorum
        );
    }

    function _enter(mapping(address => uint64) storage to, address[] calldata accounts, uint64 generation) private {
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (to[accounts[i]] == generation || accounts[i] == address(0)) revert BadGroup("an account is zero or named twice");
            to[accounts[i]] = generation;
        }
    }

    /// @dev What a template asks of its group besides.
    function _checkGroup(Group calldata group) internal view virtual {}

    /// @dev Only from within `patch`.
    function _authorizeUpgrade(address newImplementation) internal override {
        if (newImplementation == address(0) || _agreed != newImplementation) revert AgreementNeeded();
        _agreed = address(0);
    }

    // -- for templates -----------------------------------------------------------------------------------------------
    /// @dev Daily work: neither paused nor handed over.
    modifier active() {
        if (paused()) {
            _requireHere();
            revert EnforcedPause();
        }
        _;
    }

    modifier onlyOperator() {
        if (!isOperator(msg.sender)) revert NotAnOperator(msg.sender);
        _;
    }

    function _isIn(mapping(address => uint64) storage among, address account) private view returns (bool) {
        uint64 generation = among[account];
        return generation != 0 && generation == _base().generation;
    }

    function _requireHere() private view {
        Base storage base = _base();
        if (base.successor != address(0)) revert Moved(base.successorChain, base.successor);
    }

    /// @dev The contract on this chain whose state this one goes on with; zero for none.
    function _predecessor() internal view returns (address) {
        Origin storage from = _base().origin;
        return from.chainId == block.chainid ? from.predecessor : address(0);
    }

    function _base() private pure returns (Base storage base) {
        assembly ("memory-safe") {
            base.slot := PLACE
        }
    }

    // -- questions ---------------------------------------------------------------------------------------------------
    /// @inheritdoc IApplication
    function implementation() external view returns (address) {
        return ERC1967Utils.getImplementation();
    }

    /// @inheritdoc IApplication
    function quorum() external view returns (uint32) {
        return _base().quorum;
    }

    /// @inheritdoc IApplication
    function operatorQuorum() external view returns (uint32) {
        return _base().operatorQuorum;
    }

    /// @inheritdoc IApplication
    function nonce() public view returns (uint256) {
        return _base().nonce;
    }

    /// @inheritdoc IApplication
    function isMember(address account) public view returns (bool) {
        return _isIn(_base().members, account);
    }

    /// @inheritdoc IApplication
    function isGuardian(address account) public view returns (bool) {
        return _isIn(_base().guardians, account);
    }

    /// @inheritdoc IApplication
    function isOperator(address account) public view returns (bool) {
        return _isIn(_base().operators, account);
    }

    /// @inheritdoc IApplication
    function origin() external view returns (Origin memory) {
        return _base().origin;
    }

    /// @inheritdoc IApplication
    function successor() external view returns (uint256, address, bytes32) {
        Base storage base = _base();
        return (base.successorChain, base.successor, base.stateRoot);
    }
}
