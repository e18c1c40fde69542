// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INameRegistry} from "./interfaces/INameRegistry.sol";

/// @title Names of applications and where they answer now
/// @dev The version of a node's end points never falls, not even when a new owner takes the name over: what was cached under
/// an older version is stale.
contract NameRegistry is INameRegistry {
    struct Entry {
        address owner;
        uint64 expires;
        address operator;
        uint64 version;
        string endpoints;
    }

    uint256 private constant LONGEST_NAME = 253; // RFC 1035 section 2.3.4, as text
    uint256 private constant LONGEST_LABEL = 63;
    uint256 private constant LONGEST_ENDPOINTS = 2048;
    uint64 private constant SHORTEST = 1 hours;
    uint64 private constant LONGEST = 3650 days;
    uint64 private constant GRACE = 30 days;

    mapping(bytes32 node => Entry) private _entries;

    /// @inheritdoc INameRegistry
    function register(string calldata name, uint64 duration, address operator, string calldata endpoints)
        external
        returns (bytes32 node)
    {
        if (!_wellFormed(bytes(name))) revert BadName(name);
        if (duration < SHORTEST || duration > LONGEST) revert BadDuration(duration);
        _checkLength(endpoints);
        node = keccak256(bytes(name));
        Entry storage entry = _entries[node];
        uint64 now_ = uint64(block.timestamp);
        if (entry.owner != address(0) && now_ <= entry.expires + GRACE) revert NameTaken(node, entry.expires);
        uint64 version = entry.version + 1;
        entry.owner = msg.sender;
        entry.expires = now_ + duration;
        entry.operator = operator;
        entry.version = version;
        entry.endpoints = endpoints;
        emit NameRegistered(node, name, msg.sender, now_ + duration);
        emit OperatorChanged(node, operator);
        emit EndpointsChanged(node, version, endpoints);
    }

    /// @inheritdoc INameRegistry
    function renew(bytes32 node, uint64 duration) external {
        Entry storage entry = _entries[node];
        if (entry.owner != msg.sender) revert NotAllowed(node, msg.sender);
        if (duration < SHORTEST || duration > LONGEST) revert BadDuration(duration);
        uint64 now_ = uint64(block.timestamp);
        if (now_ > entry.expires + GRACE) revert NameExpired(node, entry.expires);
        uint64 expires = (entry.expires > now_ ? entry.expires : now_) + duration;
        if (expires > now_ + LONGEST) revert BadDuration(duration);
        entry.expires = expires;
        emit NameRenewed(node, expires);
    }

    /// @inheritdoc INameRegistry
    function setEndpoints(bytes32 node, string calldata endpoints) external {
        Entry storage entry = _entries[node];
        if (msg.sender != entry.owner && (msg.sender != entry.operator)) revert NotAllowed(node, msg.sender);
        _checkAlive(node, entry);
        _checkLength(endpoints);
        uint64 version = entry.version + 1;
        entry.version = version;
        entry.endpoints = endpoints;
        emit EndpointsChanged(node, version, endpoints);
    }

    /// @inheritdoc INameRegistry
    function setOperator(bytes32 node, address operator) external {
        Entry storage entry = _entries[node];
        if (msg.sender != entry.owner) revert NotAllowed(node, msg.sender);
        _checkAlive(node, entry);
        entry.operator = operator;
        emit OperatorChanged(node, operator);
    }

    /// @inheritdoc INameRegistry
    function transferName(bytes32 node, address to) external {
        Entry storage entry = _entries[node];
        if (msg.sender != entry.owner) revert NotAllowed(node, msg.sender);
        if (to == address(0)) revert ZeroAddress();
        _checkAlive(node, entry);
        entry.owner = to;
        entry.operator = address(0);
        emit NameTransferred(node, msg.sender, to);
        emit OperatorChanged(node, address(0));
    }

    /// @inheritdoc INameRegistry
    function record(bytes32 node) external view returns (Record memory) {
        Entry storage entry = _entries[node];
        return Record(entry.owner, entry.operator, entry.expires, entry.version, entry.endpoints);
    }

    /// @inheritdoc INameRegistry
    function resolve(string calldata name)
        external
        view
        returns (string memory endpoints, uint64 version, uint64 expires)
    {
        bytes32 node = keccak256(bytes(name));
        Entry storage entry = _entries[node];
        _checkAlive(node, entry);
        return (entry.endpoints, entry.version, entry.expires);
    }

    function _checkAlive(bytes32 node, Entry storage entry) private view {
        if (block.timestamp >= entry.expires) revert NameExpired(node, entry.expires);
    }

    function _checkLength(string calldata endpoints) private pure {
        if (bytes(endpoints).length > LONGEST_ENDPOINTS) revert TooLong(bytes(endpoints).length);
    }

    /// @dev Labels of a-z, 0-9 and, inside, hyphens: RFC 1123 section 2.1, lower case only so that a name has one node.
    function _wellFormed(bytes calldata name) private pure returns (bool) {
        uint256 length = name.length;
        if (length == 0 || length > LONGEST_NAME) return false;
        uint256 label = 0;
        bytes1 last = 0;
        for (uint256 i = 0; i < length; ++i) {
            bytes1 c = name[i];
            if (c == ".") {
                if (label == 0 || last == "-") return false;
                label = 0;
            } else {
                bool alphanumeric = (c >= "a" && c <= "z") || (c >= "0" && c <= "9");
                if (!alphanumeric && (c != "-" || label == 0)) return false;
                if (++label > LONGEST_LABEL) return false;
            }
            last = c;
        }
        return label != 0 && last != "-";
    }
}
