// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What every contract of an application can do: be paused, patched, and handed over to a successor
/// @notice Members decide by signatures, a quorum of them at once; guardians may only stop. Nobody else administers it.
/// @dev EIP-712 domain: name "DAppOps Application", version "1", chainId, verifyingContract (the proxy). Each agreement
/// uses up one number (`nonce`), so nothing signed counts twice. Signatures come in ascending order of their signers.
/// Unpause(uint256 nonce)
/// Patch(address implementation,bytes32 call,uint256 nonce) where call = keccak256 of the call data
/// Migrate(uint256 chainId,address successor,bytes32 stateRoot,uint256 nonce)
/// Regroup(address[] members,uint32 quorum,address[] guardians,address[] operators,uint32 operatorQuorum,uint256 nonce)
interface IApplication {
    struct Group {
        address[] members; // who agree; accounts with a key (no contracts)
        uint32 quorum; // how many of them, more than half
        address[] guardians; // may pause, besides the members
        address[] operators; // do the contract's daily work
        uint32 operatorQuorum; // how many of them must say the same, where that is asked
    }

    struct Origin {
        uint256 chainId; // of the predecessor
        address predecessor; // zero: there was none
        bytes32 stateRoot; // as the predecessor's members signed it; read from there when it is on this chain
    }

    event GroupChanged(address[] members, uint32 quorum, address[] guardians, address[] operators, uint32 operatorQuorum);
    event Patched(address indexed implementation, uint256 nonce);
    event Migrated(uint256 indexed chainId, address indexed successor, bytes32 stateRoot);
    event TakenOver(uint256 indexed chainId, address indexed predecessor, bytes32 stateRoot);

    error AgreementNeeded();
    error BadGroup(string why);
    error BadOrigin();
    error BadSuccessor();
    error Moved(uint256 chainId, address successor);
    error NotAGuardian(address caller);
    error NotAMember(address signer);
    error NotAnOperator(address caller);
    error NotHandedOver(address predecessor);
    error SignersNotAscending();
    error TooFewSignatures(uint256 given, uint256 quorum);

    /// @notice By a guardian or a member: daily work stops. What belongs to users (withdrawals) goes on.
    function pause() external;
    function unpause(bytes[] calldata signatures) external;
    /// @notice Another logic behind the same address and state; `call` is made on it (empty: none).
    function patch(address implementation, bytes calldata call, bytes[] calldata signatures) external;
    /// @notice For ever: this contract does no more daily work and points to its successor, here or on another chain.
    function migrate(uint256 chainId, address successor, bytes32 stateRoot, bytes[] calldata signatures) external;
    /// @notice By anyone, once the predecessor points here: the successor begins to work.
    function takeOver() external;
    function regroup(Group calldata group, bytes[] calldata signatures) external;

    function template() external view returns (string memory);
    function implementation() external view returns (address);
    function quorum() external view returns (uint32);
    function operatorQuorum() external view returns (uint32);
    function nonce() external view returns (uint256);
    function isMember(address account) external view returns (bool);
    function isGuardian(address account) external view returns (bool);
    function isOperator(address account) external view returns (bool);
    function origin() external view returns (Origin memory);
    function successor() external view returns (uint256 chainId, address contractAddress, bytes32 stateRoot);
}
