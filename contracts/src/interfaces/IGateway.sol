// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What another chain's GraphRegistry said, proven here
/// @notice Co-signers of the source chain sign its block headers; a storage proof under a signed header brings a head over.
/// @dev EIP-712 domain: name "DAppOps Gateway", version "1", chainId (of this chain), verifyingContract.
/// Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)
/// SignerChange(uint256 sourceChain,bytes32 signers,uint8 quorum,uint256 nonce), signers = keccak256(abi.encodePacked(addresses))
interface IGateway {
    /// @notice A chain whose GraphRegistry is believed when a quorum of its co-signers vouch for a block.
    struct Source {
        uint256 sourceChain; // EIP-155 number
        address registry; // its GraphRegistry
        address[] signers; // ascending
        uint8 quorum; // more than half of the signers, so that two quorums share one
    }

    event CheckpointAccepted(uint256 indexed sourceChain, uint256 indexed number, bytes32 blockHash, bytes32 stateRoot);
    event HeadImported(uint256 indexed sourceChain, address indexed submitter, bytes32 indexed graph, bytes32 head, uint256 number);
    event BatchImported(uint256 indexed sourceChain, address indexed submitter, bytes32 root, uint256 number);
    event SignersChanged(uint256 indexed sourceChain, address[] signers, uint8 quorum);

    /// @notice A source that has no registry, or is named twice.
    error BadSource(uint256 sourceChain);
    error UnknownSource(uint256 sourceChain);
    error NotASigner(address recovered);
    error SignersNotAscending();
    error TooFewSignatures(uint256 given, uint256 quorum);
    error CheckpointConflict(uint256 number, bytes32 known, bytes32 given);
    error NoCheckpoint(uint256 number);
    error NotNewer(uint256 known, uint256 given);
    error BadHeader();
    error BadProof();
    error BadSigners();

    /// @param header RLP of the source chain's block header; @param signatures in ascending order of their signers' addresses
    function submitCheckpoint(uint256 sourceChain, bytes calldata header, bytes[] calldata signatures) external;
    function importHead(uint256 sourceChain, uint256 number, address submitter, bytes32 graph, bytes[] calldata accountProof, bytes[] calldata storageProof) external;
    function importBatch(uint256 sourceChain, uint256 number, address submitter, bytes[] calldata accountProof, bytes[] calldata storageProof) external;
    /// @notice A quorum of the present signers names the next ones.
    function changeSigners(uint256 sourceChain, address[] calldata signers, uint8 quorum, bytes[] calldata signatures) external;

    function stateRootOf(uint256 sourceChain, uint256 number) external view returns (bytes32);
    function headOf(uint256 sourceChain, address submitter, bytes32 graph) external view returns (bytes32 head, uint256 number);
    function batchOf(uint256 sourceChain, address submitter) external view returns (bytes32 root, uint256 number);
    function signersOf(uint256 sourceChain) external view returns (address[] memory signers, uint8 quorum, address registry, uint256 nonce);
}
