// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What another chain's GraphRegistry said, proven here
/// @notice Co-signers of the source chain sign its block headers; a storage proof under a signed header brings a head over.
/// Signatures are 65 bytes r, s, v (27 or 28), in ascending order of their signers' addresses.
/// @dev EIP-712 domain: name "DAppOps Gateway", version "1", chainId (of this chain), verifyingContract.
/// Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)
/// SignerChange(uint256 sourceChain,bytes32 signers,uint8 quorum,uint256 nonce), signers = keccak256(abi.encodePacked(addresses)),
/// each address as 32 bytes
interface IGateway {
    /// @notice A chain whose GraphRegistry is believed when a quorum of its co-signers vouch for a block.
    struct Source {
        uint256 sourceChain; // EIP-155 number
        address registry; // its GraphRegistry
        address[] signers; // ascending
        uint8 quorum; // more than half of the signers, so that two quorums share one
    }

    /// @notice A quorum vouched for this block.
    event CheckpointAccepted(uint256 indexed sourceChain, uint256 indexed number, bytes32 blockHash, bytes32 stateRoot);
    /// @notice At block `number` of the source chain, `submitter` had recorded `head` for `graph`.
    event HeadImported(
        uint256 indexed sourceChain, address indexed submitter, bytes32 indexed graph, bytes32 head, uint256 number
    );
    /// @notice At block `number` of the source chain, the newest batch of `submitter` was `root`.
    event BatchImported(uint256 indexed sourceChain, address indexed submitter, bytes32 root, uint256 number);
    /// @notice These co-signers count from now on; signatures of earlier ones do not.
    event SignersChanged(uint256 indexed sourceChain, address[] signers, uint8 quorum);

    /// @notice A source without registry, or named twice.
    error BadSource(uint256 sourceChain);
    /// @notice Nothing is believed of this chain.
    error UnknownSource(uint256 sourceChain);
    /// @notice A signature of somebody else, or over something else: another header, chain, contract or nonce. Zero: none at all.
    error NotASigner(address recovered);
    /// @notice Signers, or signatures by their signers, are not in ascending order or not distinct.
    error SignersNotAscending();
    /// @notice Fewer than the quorum.
    error TooFewSignatures(uint256 given, uint256 quorum);
    /// @notice Two state roots signed for one block number: the co-signers contradict themselves. The first stands.
    error CheckpointConflict(uint256 number, bytes32 known, bytes32 given);
    /// @notice No checkpoint with this number.
    error NoCheckpoint(uint256 number);
    /// @notice Block `known` or a later one is known already: neither checkpoints nor heads go back.
    error NotNewer(uint256 known, uint256 given);
    /// @notice Not a block header (what is no RLP list: RLPInvalidEncoding).
    error BadHeader();
    /// @notice The proof does not lead from the state root to a value. What is no node at all, and some proofs of absence,
    /// are refused by the libraries that read them: RLPInvalidEncoding, or a panic.
    error BadProof();
    /// @notice A quorum of not more than half, or of more than all.
    error BadSigners();

    /// @notice Takes a block's state root over, newer than all before.
    /// @param header RLP of the source chain's block header
    function submitCheckpoint(uint256 sourceChain, bytes calldata header, bytes[] calldata signatures) external;
    /// @notice Takes a head over, from a newer block than before.
    /// @param number of a checkpoint
    /// @param accountProof of the registry under the state root, as eth_getProof gives it
    /// @param storageProof of the head's slot under the account's storage root
    function importHead(
        uint256 sourceChain,
        uint256 number,
        address submitter,
        bytes32 graph,
        bytes[] calldata accountProof,
        bytes[] calldata storageProof
    ) external;
    /// @notice Takes a batch's root over, from a newer block than before.
    function importBatch(
        uint256 sourceChain,
        uint256 number,
        address submitter,
        bytes[] calldata accountProof,
        bytes[] calldata storageProof
    ) external;
    /// @notice A quorum of the present signers names the next ones.
    function changeSigners(uint256 sourceChain, address[] calldata signers, uint8 quorum, bytes[] calldata signatures)
        external;

    /// @notice State root of a checkpoint; zero for none.
    function stateRootOf(uint256 sourceChain, uint256 number) external view returns (bytes32);
    /// @notice Number of the newest checkpoint; zero for none.
    function latestOf(uint256 sourceChain) external view returns (uint256);
    /// @notice The imported head and the block it was true at; zero for none.
    function headOf(uint256 sourceChain, address submitter, bytes32 graph)
        external
        view
        returns (bytes32 head, uint256 number);
    /// @notice The imported batch and the block it was true at; zero for none.
    function batchOf(uint256 sourceChain, address submitter) external view returns (bytes32 root, uint256 number);
    /// @notice Whether the imported batch gives `graph` this `head`; parameters as in IGraphRegistry.batchHolds.
    function batchHolds(
        uint256 sourceChain,
        address submitter,
        bytes32 graph,
        bytes32 head,
        bytes calldata bits,
        bytes32[] calldata siblings
    ) external view returns (bool);
    /// @notice What is known of a source; `nonce` is what the next SignerChange has to carry.
    function signersOf(uint256 sourceChain)
        external
        view
        returns (address[] memory signers, uint8 quorum, address registry, uint256 nonce);
}
