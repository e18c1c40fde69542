// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IConsentRegister} from "../interfaces/IConsentRegister.sol";
import {Application} from "./Application.sol";

/// @title Template: consents and their withdrawal
contract ConsentRegister is IConsentRegister, Application {
    bytes32 private constant GRANT = keccak256("Grant(bytes32 consent,uint64 until)");
    bytes32 private constant WITHDRAWAL = keccak256("Withdrawal(bytes32 consent)");

    mapping(address key => mapping(bytes32 consent => Record)) private _records;
    uint64 private _longest;

    function initialize(Group calldata group, Origin calldata from, uint64 longest_) external initializer {
        _initialize(group, from);
        if (longest_ == 0) revert BadTime(0, 0);
        _longest = longest_;
    }

    /// @inheritdoc IConsentRegister
    function grant(bytes32 consent, uint64 until, bytes calldata signature) external active returns (address key) {
        uint64 latest = uint64(block.timestamp) + _longest;
        if (until <= block.timestamp || until > latest) revert BadTime(until, latest);
        key = ECDSA.recoverCalldata(_hashTypedDataV4(keccak256(abi.encode(GRANT, consent, until))), signature);
        Record memory record = recordOf(key, consent);
        if (record.withdrawn != 0) revert AlreadyWithdrawn(consent, key);
        if (record.since != 0) revert AlreadyGranted(consent, key);
        _records[key][consent] = Record(uint64(block.timestamp), until, 0);
        emit ConsentGranted(consent, key, until);
    }

    /// @inheritdoc IConsentRegister
    function withdraw(bytes32 consent) external {
        _withdraw(consent, msg.sender);
    }

    /// @inheritdoc IConsentRegister
    function withdrawSigned(bytes32 consent, bytes calldata signature) external {
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(WITHDRAWAL, consent)));
        _withdraw(consent, ECDSA.recoverCalldata(digest, signature));
    }

    /// @dev Never paused. What a predecessor granted is withdrawn here or there; either counts here. A withdrawal that comes
    /// before the grant was handed in counts, too: the grant is then refused.
    function _withdraw(bytes32 consent, address key) private {
        Record memory record = recordOf(key, consent);
        if (record.withdrawn != 0) revert AlreadyWithdrawn(consent, key);
        record.withdrawn = uint64(block.timestamp);
        _records[key][consent] = record;
        emit ConsentWithdrawn(consent, key);
    }

    /// @inheritdoc IConsentRegister
    function isGranted(address key, bytes32 consent) external view returns (bool) {
        Record memory record = recordOf(key, consent);
        return record.since != 0 && record.withdrawn == 0 && block.timestamp <= record.until;
    }

    /// @inheritdoc IConsentRegister
    function recordOf(address key, bytes32 consent) public view returns (Record memory record) {
        record = _records[key][consent];
        if (record.since == 0 && record.withdrawn == 0) {
            address before = _predecessor();
            if (before != address(0)) record = IConsentRegister(before).recordOf(key, consent);
        }
    }

    /// @inheritdoc IConsentRegister
    function longest() external view returns (uint64) {
        return _longest;
    }

    function template() external pure returns (string memory) {
        return "ConsentRegister";
    }
}
