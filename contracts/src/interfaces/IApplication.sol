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
    /// @notice Who agrees, who may stop, who works.
    struct Group {
        address[] members; // who agree; accounts with a key (no contracts)
        uint32 quorum; // how many of them, more than half
        address[] guardians; // may pause, besides the members
        address[] operators; // do the contract's daily work
        uint32 operatorQuorum; // how many of them must say the same, where that is asked
    }

    /// @notice Where the state of a successor came from.
    struct Origin {
        uint256 chainId; // of the predecessor
        address predecessor; // zero: there was none
        bytes32 stateRoot; // as the predecessor's members signed it; read from there when it is on this chain
    }

    /// @notice These people count from now on.
    event GroupChanged(address[] members, uint32 quorum, address[] guardians, address[] operators, uint32 operatorQuorum);
    /// @notice Other logic is behind this address; `nonce` is that of the agreement.
    event Patched(address indexed implementation, uint256 nonce);
    /// @notice This contract points to its successor for ever; `stateRoot` is what the members signed of its state.
    event Migrated(uint256 indexed chainId, address indexed successor, bytes32 stateRoot);
    /// @notice The predecessor points here: work begins.
    event TakenOver(uint256 indexed chainId, address indexed predecessor, bytes32 stateRoot);

    /// @notice Only by an agreement of the members, through the proxy.
    error AgreementNeeded();
    /// @notice A group that cannot agree, or is too large.
    error BadGroup(string why);
    /// @notice A predecessor that is none.
    error BadOrigin();
    /// @notice A successor that cannot be one.
    error BadSuccessor();
    /// @notice Work goes on at the successor.
    error Moved(uint256 chainId, address successor);
    /// @notice Neither guardian nor member.
    error NotAGuardian(address caller);
    /// @notice A signature of somebody else, or over something else; zero: none at all.
    error NotAMember(address signer);
    /// @notice Not one who does the daily work.
    error NotAnOperator(address caller);
    /// @notice The predecessor does not point here.
    error NotHandedOver(address predecessor);
    /// @notice Signatures are not in ascending order of distinct signers.
    error SignersNotAscending();
    /// @notice Fewer than the quorum.
    error TooFewSignatures(uint256 given, uint256 quorum);

    /// @notice By a guardian or a member: daily work stops. What belongs to users (withdrawals) goes on.
    function pause() external;
    /// @notice By agreement: daily work goes on.
    function unpause(bytes[] calldata signatures) external;
    /// @notice Another logic behind the same address and state; `call` is made on it (empty: none).
    function patch(address implementation, bytes calldata call, bytes[] calldata signatures) external;
    /// @notice For ever: this contract does no more daily work and points to its successor, here or on another chain.
    function migrate(uint256 chainId, address successor, bytes32 stateRoot, bytes[] calldata signatures) external;
    /// @notice By anyone, once the predecessor points here: the successor begins to work.
    function takeOver() external;
    /// @notice By agreement: other people, other quorums.
    function regroup(Group calldata group, bytes[] calldata signatures) external;

    /// @notice Name of the template that this was made of.
    function template() external view returns (string memory);
    /// @notice Where the logic is.
    function implementation() external view returns (address);
    /// @notice How many members agree.
    function quorum() external view returns (uint32);
    /// @notice How many operators must say the same, where that is asked.
    function operatorQuorum() external view returns (uint32);
    /// @notice What the next agreement has to carry.
    function nonce() external view returns (uint256);
    /// @notice Whether an account is one who agrees.
    function isMember(address account) external view returns (bool);
    /// @notice Whether an account may pause besides the members.
    function isGuardian(address account) external view returns (bool);
    /// @notice Whether an account does the daily work.
    function isOperator(address account) external view returns (bool);
    /// @notice Where this contract came from.
    function origin() external view returns (Origin memory);
    /// @notice Where work goes on; zero while it is here.
    function successor() external view returns (uint256 chainId, address contractAddress, bytes32 stateRoot);
}
