// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlockHeader} from "@openzeppelin/contracts/utils/BlockHeader.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {IGateway} from "./interfaces/IGateway.sol";
import {MapProof} from "./lib/MapProof.sol";

/// @title What another chain's GraphRegistry said, proven here
/// @dev Nobody administers it: sources are named at creation, afterwards only a source's own signers change its signers.
contract Gateway is IGateway, EIP712 {
    struct Known {
        address registry; // zero: no such source
        uint8 quorum;
        uint64 latest; // number of the newest checkpoint
        uint256 nonce; // of signer changes; the present signers' generation
        address[] signers;
    }

    struct Head {
        bytes32 value;
        uint256 number;
    }

    bytes32 private constant CHECKPOINT = keccak256("Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)");
    bytes32 private constant SIGNER_CHANGE =
        keccak256("SignerChange(uint256 sourceChain,bytes32 signers,uint8 quorum,uint256 nonce)");
    uint256 private constant HEADS = 0; // slots of GraphRegistry
    uint256 private constant BATCHES = 1;
    uint256 private constant STORAGE_ROOT = 2; // place in an account: nonce, balance, storage root, code hash
    uint256 private constant FEWEST_FIELDS = 15; // of a header, up to Frontier

    mapping(uint256 chain => Known) private _sources;
    mapping(uint256 chain => mapping(uint256 generation => mapping(address signer => bool))) private _isSigner;
    mapping(uint256 chain => mapping(uint256 number => bytes32)) private _stateRoots;
    mapping(uint256 chain => mapping(address submitter => mapping(bytes32 graph => Head))) private _heads;
    mapping(uint256 chain => mapping(address submitter => Head)) private _batches;

    constructor(Source[] memory sources) EIP712("DAppOps Gateway", "1") {
        for (uint256 i = 0; i < sources.length; ++i) {
            Source memory source = sources[i];
            Known storage known = _sources[source.sourceChain];
            if (source.registry == address(0) || known.registry != address(0)) revert BadSource(source.sourceChain);
            known.registry = source.registry;
            _setSigners(source.sourceChain, source.signers, source.quorum, 0);
        }
    }

    /// @inheritdoc IGateway
    function submitCheckpoint(uint256 sourceChain, bytes calldata header, bytes[] calldata signatures) external {
        Known storage source = _source(sourceChain);
        bytes memory encoded = header;
        Memory.Slice[] memory fields = BlockHeader.parseHeader(encoded);
        if (fields.length < FEWEST_FIELDS) revert BadHeader();
        uint256 number = BlockHeader.getNumber(fields);
        bytes32 stateRoot = BlockHeader.getStateRoot(fields);
        if (number > type(uint64).max || stateRoot == 0) revert BadHeader();
        bytes32 blockHash = keccak256(encoded);
        _checkQuorum(sourceChain, source, keccak256(abi.encode(CHECKPOINT, sourceChain, number, blockHash)), signatures);
        bytes32 known = _stateRoots[sourceChain][number];
        if (known != 0 && known != stateRoot) revert CheckpointConflict(number, known, stateRoot);
        if (number <= source.latest) revert NotNewer(source.latest, number);
        // casting to 'uint64' is safe because larger numbers were refused above
        // forge-lint: disable-next-line(unsafe-typecast)
        source.latest = uint64(number);
        _stateRoots[sourceChain][number] = stateRoot;
        emit CheckpointAccepted(sourceChain, number, blockHash, stateRoot);
    }

    /// @inheritdoc IGateway
    function importHead(
        uint256 sourceChain,
        uint256 number,
        address submitter,
        bytes32 graph,
        bytes[] calldata accountProof,
        bytes[] calldata storageProof
    ) external {
        bytes32 slot = keccak256(abi.encode(graph, keccak256(abi.encode(submitter, HEADS))));
        Head storage known = _heads[sourceChain][submitter][graph];
        bytes32 head = _proven(sourceChain, number, known.number, slot, accountProof, storageProof);
        known.value = head;
        known.number = number;
        emit HeadImported(sourceChain, submitter, graph, head, number);
    }

    /// @inheritdoc IGateway
    function importBatch(
        uint256 sourceChain,
        uint256 number,
        address submitter,
        bytes[] calldata accountProof,
        bytes[] calldata storageProof
    ) external {
        bytes32 slot = keccak256(abi.encode(submitter, BATCHES));
        Head storage known = _batches[sourceChain][submitter];
        bytes32 root = _proven(sourceChain, number, known.number, slot, accountProof, storageProof);
        known.value = root;
        known.number = number;
        emit BatchImported(sourceChain, submitter, root, number);
    }

    /// @inheritdoc IGateway
    function changeSigners(
        uint256 sourceChain,
        address[] calldata signers,
        uint8 quorum,
        bytes[] calldata signatures
    ) external {
        Known storage source = _source(sourceChain);
        uint256 nonce = source.nonce;
        bytes32 named = keccak256(abi.encodePacked(signers));
        _checkQuorum(
            sourceChain, source, keccak256(abi.encode(SIGNER_CHANGE, sourceChain, named, quorum, nonce)), signatures
        );
        _setSigners(sourceChain, signers, quorum, nonce + 1);
    }

    /// @inheritdoc IGateway
    function stateRootOf(uint256 sourceChain, uint256 number) external view returns (bytes32) {
        return _stateRoots[sourceChain][number];
    }

    /// @inheritdoc IGateway
    function headOf(uint256 sourceChain, address submitter, bytes32 graph)
        external
        view
        returns (bytes32 head, uint256 number)
    {
        Head storage known = _heads[sourceChain][submitter][graph];
        return (known.value, known.number);
    }

    /// @inheritdoc IGateway
    function batchOf(uint256 sourceChain, address submitter) external view returns (bytes32 root, uint256 number) {
        Head storage known = _batches[sourceChain][submitter];
        return (known.value, known.number);
    }

    /// @inheritdoc IGateway
    function latestOf(uint256 sourceChain) external view returns (uint256) {
        return _sources[sourceChain].latest;
    }

    /// @inheritdoc IGateway
    function batchHolds(
        uint256 sourceChain,
        address submitter,
        bytes32 graph,
        bytes32 head,
        bytes calldata bits,
        bytes32[] calldata siblings
    ) external view returns (bool) {
        bytes32 root = _batches[sourceChain][submitter].value;
        return root != 0 && root == MapProof.root(graph, head, bits, siblings);
    }

    /// @inheritdoc IGateway
    function signersOf(uint256 sourceChain)
        external
        view
        returns (address[] memory signers, uint8 quorum, address registry, uint256 nonce)
    {
        Known storage source = _sources[sourceChain];
        return (source.signers, source.quorum, source.registry, source.nonce);
    }

    function _setSigners(uint256 sourceChain, address[] memory signers, uint8 quorum, uint256 generation) private {
        if (2 * uint256(quorum) <= signers.length || quorum > signers.length) revert BadSigners();
        Known storage source = _sources[sourceChain];
        address last = address(0);
        for (uint256 i = 0; i < signers.length; ++i) {
            if (signers[i] <= last) revert SignersNotAscending();
            last = signers[i];
            _isSigner[sourceChain][generation][last] = true;
        }
        source.signers = signers;
        source.quorum = quorum;
        source.nonce = generation;
        emit SignersChanged(sourceChain, signers, quorum);
    }

    /// @dev Value of a slot of the source's registry at a checkpoint; never zero, since tries hold no zeros.
    function _proven(
        uint256 sourceChain,
        uint256 number,
        uint256 known,
        bytes32 slot,
        bytes[] calldata accountProof,
        bytes[] calldata storageProof
    ) private view returns (bytes32) {
        address registry = _source(sourceChain).registry;
        if (number <= known) revert NotNewer(known, number);
        bytes32 stateRoot = _stateRoots[sourceChain][number];
        if (stateRoot == 0) revert NoCheckpoint(number);
        bytes memory account = _leaf(stateRoot, keccak256(abi.encodePacked(registry)), accountProof);
        bytes32 storageRoot = RLP.readBytes32(RLP.decodeList(account)[STORAGE_ROOT]);
        return RLP.decodeBytes32(_leaf(storageRoot, keccak256(abi.encode(slot)), storageProof));
    }

    function _leaf(bytes32 root, bytes32 key, bytes[] calldata proof) private pure returns (bytes memory value) {
        TrieProof.ProofError wrong;
        (value, wrong) = TrieProof.tryTraverse(root, abi.encodePacked(key), proof);
        if (wrong != TrieProof.ProofError.NO_ERROR) revert BadProof();
    }

    function _checkQuorum(uint256 sourceChain, Known storage source, bytes32 structHash, bytes[] calldata signatures)
        private
        view
    {
        if (signatures.length < source.quorum) revert TooFewSignatures(signatures.length, source.quorum);
        bytes32 digest = _hashTypedDataV4(structHash);
        mapping(address signer => bool) storage isSigner = _isSigner[sourceChain][source.nonce];
        address last = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            (address signer,,) = ECDSA.tryRecoverCalldata(digest, signatures[i]);
            if (!isSigner[signer]) revert NotASigner(signer);
            if (signer <= last) revert SignersNotAscending();
            last = signer;
        }
    }

    function _source(uint256 sourceChain) private view returns (Known storage source) {
        source = _sources[sourceChain];
        if (source.registry == address(0)) revert UnknownSource(sourceChain);
    }
}
