// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Names of applications and where they answer now
/// @notice A name is lower-case DNS labels (1 to 63 of a-z, 0-9 and, inside, hyphens) joined by dots, at most 253 characters;
/// its node is keccak256 of its text. Names expire; for 30 days only the owner can renew an expired one, then anyone can
/// register it. Registering costs gas only: the registry says who came first, not who deserves a name.
interface INameRegistry {
    /// @notice What is known of a node.
    struct Record {
        address owner;
        address operator; // may move the end points, nothing else
        uint64 expires; // Unix seconds
        uint64 version; // grows with every change of the end points, over all owners
        string endpoints; // URLs, one a line, at most 2048 bytes
    }

    /// @notice `owner` has `name` up to `expires`.
    event NameRegistered(bytes32 indexed node, string name, address indexed owner, uint64 expires);
    /// @notice The owner has it up to `expires`.
    event NameRenewed(bytes32 indexed node, uint64 expires);
    /// @notice The name answers at these URLs now.
    event EndpointsChanged(bytes32 indexed node, uint64 version, string endpoints);
    /// @notice `operator` may move the end points; zero: only the owner.
    event OperatorChanged(bytes32 indexed node, address indexed operator);
    /// @notice `to` owns the name; there is no operator any more.
    event NameTransferred(bytes32 indexed node, address indexed from, address indexed to);

    /// @notice Not lower-case DNS labels joined by dots.
    error BadName(string name);
    /// @notice Somebody has it up to `expires`, and 30 days more to renew it.
    error NameTaken(bytes32 node, uint64 expires);
    /// @notice The caller is not the owner (nor, for end points, the operator).
    error NotAllowed(bytes32 node, address caller);
    /// @notice Expired (0: never registered).
    error NameExpired(bytes32 node, uint64 expires);
    /// @notice End points of more than 2048 bytes.
    error TooLong(uint256 length);
    /// @notice Nobody can hold the zero address.
    error ZeroAddress();
    /// @notice Less than an hour, or a name would be held for more than 3650 days from now.
    error BadDuration(uint64 duration);

    /// @notice The caller takes a name that is free.
    /// @param duration seconds, from 3600 to 3650 days
    /// @param operator who may move the end points beside the owner; zero for nobody
    function register(string calldata name, uint64 duration, address operator, string calldata endpoints)
        external
        returns (bytes32 node);
    /// @notice The owner extends, from the expiry or, in the 30 days after it, from now.
    function renew(bytes32 node, uint64 duration) external;
    /// @notice Owner or operator: where the name answers now.
    function setEndpoints(bytes32 node, string calldata endpoints) external;
    /// @notice Owner: who else may move the end points.
    function setOperator(bytes32 node, address operator) external;
    /// @notice Owner: gives the name away; the operator goes.
    function transferName(bytes32 node, address to) external;

    /// @notice What is known of a node, expired or not.
    function record(bytes32 node) external view returns (Record memory);
    /// @notice End points and expiry of a name that has not expired; reverts otherwise.
    function resolve(string calldata name)
        external
        view
        returns (string memory endpoints, uint64 version, uint64 expires);
}
