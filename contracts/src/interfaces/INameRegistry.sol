// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Names of applications and where they answer now
/// @notice A name is lower-case DNS labels joined by dots; its node is keccak256 of its text. Names expire; an expired one
/// can be registered by anyone after a grace time.
interface INameRegistry {
    struct Record {
        address owner;
        address operator; // may move the end points, nothing else
        uint64 expires; // Unix seconds
        uint64 version; // grows with every change of the end points
        string endpoints; // URLs, one a line, at most 2048 bytes
    }

    event NameRegistered(bytes32 indexed node, string name, address indexed owner, uint64 expires);
    event NameRenewed(bytes32 indexed node, uint64 expires);
    event EndpointsChanged(bytes32 indexed node, uint64 version, string endpoints);
    event OperatorChanged(bytes32 indexed node, address indexed operator);
    event NameTransferred(bytes32 indexed node, address indexed from, address indexed to);

    error BadName(string name);
    error NameTaken(bytes32 node, uint64 expires);
    error NotAllowed(bytes32 node, address caller);
    error NameExpired(bytes32 node, uint64 expires);
    error TooLong(uint256 length);
    error ZeroAddress();
    error BadDuration(uint64 duration);

    function register(string calldata name, uint64 duration, address operator, string calldata endpoints) external returns (bytes32 node);
    function renew(bytes32 node, uint64 duration) external;
    function setEndpoints(bytes32 node, string calldata endpoints) external;
    function setOperator(bytes32 node, address operator) external;
    function transferName(bytes32 node, address to) external;

    function record(bytes32 node) external view returns (Record memory);
    /// @notice End points and expiry of a name that has not expired; reverts otherwise.
    function resolve(string calldata name) external view returns (string memory endpoints, uint64 version, uint64 expires);
}
