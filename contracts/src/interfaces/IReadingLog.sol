// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApplication} from "./IApplication.sol";

/// @title What witnesses measured outside, attested by a quorum of them
/// @notice The operators are the witnesses. A reading is newer than the last of its series, so none counts twice; one outside its
/// series' range is told as a breach. The contract keeps the last reading, events keep all.
/// @dev Domain as in IApplication. Reading(bytes32 series,int256 value,uint64 time)
interface IReadingLog is IApplication {
    struct Range {
        bool known;
        int120 lowest; // in millionths of the metric's unit
        int120 highest;
    }

    struct Latest {
        int128 value; // millionths of the metric's unit
        uint64 time; // Unix seconds, when it was measured
        uint64 breaches; // readings outside the range so far
    }

    event SeriesOpened(bytes32 indexed series, int256 lowest, int256 highest);
    event ReadingAttested(bytes32 indexed series, int256 value, uint64 indexed time, uint256 witnesses);
    event ThresholdBreached(bytes32 indexed series, int256 value, int256 bound, uint64 indexed time);

    error BadSeries();
    error UnknownSeries(bytes32 series);
    error NotNewer(bytes32 series, uint64 last, uint64 time);
    error FromTheFuture(uint64 time, uint64 now_);
    error ValueTooLarge(int256 value);

    /// @notice By anyone who has the signatures of a quorum of witnesses, ascending by signer.
    function attest(bytes32 series, int256 value, uint64 time, bytes[] calldata signatures) external;
    function latest(bytes32 series) external view returns (Latest memory);
    function rangeOf(bytes32 series) external view returns (Range memory);
    function readingDigest(bytes32 series, int256 value, uint64 time) external view returns (bytes32);
}
