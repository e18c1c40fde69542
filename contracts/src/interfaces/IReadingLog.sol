// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApplication} from "./IApplication.sol";

/// @title What witnesses measured outside, attested by a quorum of them
/// @notice The operators are the witnesses. A reading is newer than the last of its series, so none counts twice; one outside its
/// series' range is told as a breach. The contract keeps the last reading, events keep all.
/// @dev Domain as in IApplication. Reading(bytes32 series,int256 value,uint64 time)
interface IReadingLog is IApplication {
    /// @notice What readings of a series should lie in.
    struct Range {
        bool known;
        int120 lowest; // in millionths of the metric's unit
        int120 highest;
    }

    /// @notice The newest reading of a series.
    struct Latest {
        int128 value; // millionths of the metric's unit
        uint64 time; // Unix seconds, when it was measured
        uint64 breaches; // readings outside the range so far
    }

    /// @notice Readings of this series are taken.
    event SeriesOpened(bytes32 indexed series, int256 lowest, int256 highest);
    /// @notice So many witnesses signed this reading.
    event ReadingAttested(bytes32 indexed series, int256 value, uint64 indexed time, uint256 witnesses);
    /// @notice A reading lies beyond a bound of its series.
    event ThresholdBreached(bytes32 indexed series, int256 value, int256 bound, uint64 indexed time);

    /// @notice A series that cannot be: no name, named twice, or no range.
    error BadSeries();
    /// @notice No such series.
    error UnknownSeries(bytes32 series);
    /// @notice A reading at least as new is known.
    error NotNewer(bytes32 series, uint64 last, uint64 time);
    /// @notice Measured after the block's time.
    error FromTheFuture(uint64 time, uint64 now_);
    /// @notice It does not fit.
    error ValueTooLarge(int256 value);

    /// @notice By anyone who has the signatures of a quorum of witnesses, ascending by signer.
    function attest(bytes32 series, int256 value, uint64 time, bytes[] calldata signatures) external;
    /// @notice The newest reading.
    function latest(bytes32 series) external view returns (Latest memory);
    /// @notice What readings should lie in.
    function rangeOf(bytes32 series) external view returns (Range memory);
    /// @notice What witnesses sign.
    function readingDigest(bytes32 series, int256 value, uint64 time) external view returns (bytes32);
}
