// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IReadingLog} from "../interfaces/IReadingLog.sol";
import {Application} from "./Application.sol";

/// @title Template: readings attested by witnesses
contract ReadingLog is IReadingLog, Application {
    bytes32 private constant READING = keccak256("Reading(bytes32 series,int256 value,uint64 time)");
    uint256 private constant MOST_SERIES = 256;
    uint64 private constant AHEAD = 15 minutes; // clocks of witnesses and chain differ

    mapping(bytes32 series => Range) private _ranges;
    mapping(bytes32 series => Latest) private _latest;

    function initialize(
        Group calldata group,
        Origin calldata from,
        bytes32[] calldata series,
        int256[] calldata lowest,
        int256[] calldata highest
    ) external initializer {
        _initialize(group, from);
        if (series.length == 0 || series.length > MOST_SERIES) revert BadSeries();
        if (series.length != lowest.length || series.length != highest.length) revert BadSeries();
        for (uint256 i = 0; i < series.length; ++i) {
            if (lowest[i] > highest[i] || _ranges[series[i]].known) revert BadSeries();
            if (lowest[i] < type(int120).min) revert ValueTooLarge(lowest[i]);
            if (highest[i] > type(int120).max) revert ValueTooLarge(highest[i]);
            _ranges[series[i]] = Range(true, int120(lowest[i]), int120(highest[i]));
            emit SeriesOpened(series[i], lowest[i], highest[i]);
        }
    }

    /// @inheritdoc IReadingLog
    function attest(bytes32 series, int256 value, uint64 time, bytes[] calldata signatures) external active {
        Range memory range = _ranges[series];
        if (!range.known) revert UnknownSeries(series);
        if (value != int128(value)) revert ValueTooLarge(value);
        if (time > block.timestamp + AHEAD) revert FromTheFuture(time, uint64(block.timestamp));
        Latest memory last = latest(series);
        if (time <= last.time) revert NotNewer(series, last.time, time);
        _checkOperators(keccak256(abi.encode(READING, series, value, time)), signatures);
        bool breach = value < range.lowest || value > range.highest;
        _latest[series] = Latest(int128(value), time, breach ? last.breaches + 1 : last.breaches);
        emit ReadingAttested(series, value, time, signatures.length);
        if (breach) emit ThresholdBreached(series, value, value < range.lowest ? range.lowest : range.highest, time);
    }

    /// @inheritdoc IReadingLog
    function latest(bytes32 series) public view returns (Latest memory last) {
        last = _latest[series];
        if (last.time == 0) {
            address before = _predecessor();
            if (before != address(0)) last = IReadingLog(before).latest(series);
        }
    }

    /// @inheritdoc IReadingLog
    function rangeOf(bytes32 series) external view returns (Range memory) {
        return _ranges[series];
    }

    /// @inheritdoc IReadingLog
    function readingDigest(bytes32 series, int256 value, uint64 time) external view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(READING, series, value, time)));
    }

    function template() external pure returns (string memory) {
        return "ReadingLog";
    }

    function _checkGroup(Group calldata group) internal pure override {
        if (2 * uint256(group.operatorQuorum) <= group.operators.length) {
            revert BadGroup("operator quorum is not more than half of the witnesses");
        }
    }
}
