// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {CoSigners} from "./CoSigners.sol";
import {Tries} from "./Tries.sol";
import {Gateway} from "../src/Gateway.sol";
import {IGateway} from "../src/interfaces/IGateway.sol";

contract GatewayTest is CoSigners {
    Gateway private gateway;

    function setUp() public {
        keys = _keys(1, 3);
        gateway = _gateway(CHAIN, keys, 2);
    }

    function test_constructor_revertsIfSourceTwice() public {
        IGateway.Source[] memory sources = new IGateway.Source[](2);
        sources[0] = sources[1] = IGateway.Source(CHAIN, REGISTRY, _addresses(keys), 2);
        vm.expectRevert(abi.encodeWithSelector(IGateway.BadSource.selector, CHAIN));
        new Gateway(sources);
    }

    function test_constructor_revertsIfNoRegistry() public {
        IGateway.Source[] memory sources = new IGateway.Source[](1);
        sources[0] = IGateway.Source(CHAIN, address(0), _addresses(keys), 2);
        vm.expectRevert(abi.encodeWithSelector(IGateway.BadSource.selector, CHAIN));
        new Gateway(sources);
    }

    function test_constructor_revertsIfQuorumIsNoMajority() public {
        IGateway.Source[] memory sources = new IGateway.Source[](1);
        uint8[3] memory wrong = [0, 1, 4];
        for (uint256 i = 0; i < 3; ++i) {
            sources[0] = IGateway.Source(CHAIN, REGISTRY, _addresses(keys), wrong[i]);
            vm.expectRevert(IGateway.BadSigners.selector);
            new Gateway(sources);
        }
        sources[0] = IGateway.Source(CHAIN, REGISTRY, new address[](0), 0);
        vm.expectRevert(IGateway.BadSigners.selector);
        new Gateway(sources);
    }

    function test_constructor_revertsIfSignersNotAscending() public {
        IGateway.Source[] memory sources = new IGateway.Source[](1);
        address[] memory signers = _addresses(keys);
        (signers[0], signers[1]) = (signers[1], signers[0]);
        sources[0] = IGateway.Source(CHAIN, REGISTRY, signers, 2);
        vm.expectRevert(IGateway.SignersNotAscending.selector);
        new Gateway(sources);
        signers[0] = signers[1];
        vm.expectRevert(IGateway.SignersNotAscending.selector);
        new Gateway(sources);
    }

    function test_submitCheckpoint_keepsTheStateRoot() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        vm.expectEmit(address(gateway));
        emit IGateway.CheckpointAccepted(CHAIN, 12, keccak256(header), keccak256("state"));
        gateway.submitCheckpoint(CHAIN, header, signatures);
        equal(gateway.stateRootOf(CHAIN, 12), keccak256("state"));
        equal(gateway.latestOf(CHAIN), 12);
    }

    function test_submitCheckpoint_revertsIfSourceUnknown() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        vm.expectRevert(abi.encodeWithSelector(IGateway.UnknownSource.selector, 7002));
        gateway.submitCheckpoint(7002, header, signatures);
    }

    function test_submitCheckpoint_revertsIfTooFewSignatures() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 1);
        vm.expectRevert(abi.encodeWithSelector(IGateway.TooFewSignatures.selector, 1, 2));
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfSignedTwiceByOne() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        signatures[1] = signatures[0];
        vm.expectRevert(IGateway.SignersNotAscending.selector);
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfNotAscending() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        vm.expectRevert(IGateway.SignersNotAscending.selector);
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfStrangerSigned() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        bytes32 structHash = keccak256(abi.encode(CHECKPOINT, CHAIN, 12, keccak256(header)));
        signatures[1] = signed(99, typed("DAppOps Gateway", block.chainid, address(gateway), structHash));
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotASigner.selector, vm.addr(99)));
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfSignatureMalformed() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        signatures[0] = hex"1234";
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotASigner.selector, address(0)));
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfHeaderForged() public {
        bytes[] memory signatures = _vouch(gateway, Tries.header(keccak256("state"), 12, ""), 12, 2);
        bytes memory forged = Tries.header(keccak256("other"), 12, "");
        vm.expectPartialRevert(IGateway.NotASigner.selector);
        gateway.submitCheckpoint(CHAIN, forged, signatures);
    }

    function test_submitCheckpoint_revertsIfHeaderHasTooFewFields() public {
        vm.expectRevert(IGateway.BadHeader.selector);
        gateway.submitCheckpoint(CHAIN, hex"c3010203", new bytes[](2));
    }

    function test_submitCheckpoint_revertsIfHeaderIsNoRlp() public {
        vm.expectRevert(RLP.RLPInvalidEncoding.selector);
        gateway.submitCheckpoint(CHAIN, hex"1234", new bytes[](2));
    }

    function test_submitCheckpoint_revertsIfNumberIsHuge() public {
        bytes memory header = Tries.header(keccak256("state"), uint256(1) << 64, "");
        vm.expectRevert(IGateway.BadHeader.selector);
        gateway.submitCheckpoint(CHAIN, header, new bytes[](2));
    }

    function test_submitCheckpoint_revertsIfReplayedOnAnotherChain() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        vm.chainId(4242);
        vm.expectPartialRevert(IGateway.NotASigner.selector);
        gateway.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfReplayedInAnotherContract() public {
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, header, 12, 2);
        Gateway other = _gateway(CHAIN, keys, 2);
        vm.expectPartialRevert(IGateway.NotASigner.selector);
        other.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfReplayedForAnotherSource() public {
        IGateway.Source[] memory sources = new IGateway.Source[](2);
        sources[0] = IGateway.Source(CHAIN, REGISTRY, _addresses(keys), 2);
        sources[1] = IGateway.Source(CHAIN + 1, REGISTRY, _addresses(keys), 2);
        Gateway two = new Gateway(sources);
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(two, header, 12, 2);
        vm.expectPartialRevert(IGateway.NotASigner.selector);
        two.submitCheckpoint(CHAIN + 1, header, signatures);
        two.submitCheckpoint(CHAIN, header, signatures);
    }

    function test_submitCheckpoint_revertsIfConflicting() public {
        _accept(keccak256("state"), 12);
        bytes memory other = Tries.header(keccak256("other"), 12, "");
        bytes[] memory signatures = _vouch(gateway, other, 12, 2);
        vm.expectRevert(
            abi.encodeWithSelector(IGateway.CheckpointConflict.selector, 12, keccak256("state"), keccak256("other"))
        );
        gateway.submitCheckpoint(CHAIN, other, signatures);
        equal(gateway.stateRootOf(CHAIN, 12), keccak256("state"));
    }

    function test_submitCheckpoint_revertsIfNotNewer() public {
        _accept(keccak256("state"), 12);
        bytes memory same = Tries.header(keccak256("state"), 12, "");
        bytes[] memory signatures = _vouch(gateway, same, 12, 2);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotNewer.selector, 12, 12));
        gateway.submitCheckpoint(CHAIN, same, signatures);
        bytes memory older = Tries.header(keccak256("older"), 11, "");
        signatures = _vouch(gateway, older, 11, 2);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotNewer.selector, 12, 11));
        gateway.submitCheckpoint(CHAIN, older, signatures);
    }

    function test_importHead_bringsItOver() public {
        bytes32 head = keccak256("head");
        (bytes32 root, bytes[] memory accountProof, bytes[] memory storageProof) =
            _state(_headSlot(SUBMITTER, GRAPH), head);
        _accept(root, 12);
        vm.expectEmit(address(gateway));
        emit IGateway.HeadImported(CHAIN, SUBMITTER, GRAPH, head, 12);
        gateway.importHead(CHAIN, 12, SUBMITTER, GRAPH, accountProof, storageProof);
        (bytes32 found, uint256 number) = gateway.headOf(CHAIN, SUBMITTER, GRAPH);
        equal(found, head);
        equal(number, 12);
    }

    function test_importHead_revertsIfNoCheckpoint() public {
        (, bytes[] memory accountProof, bytes[] memory storageProof) = _state(_headSlot(SUBMITTER, GRAPH), GRAPH);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NoCheckpoint.selector, 12));
        gateway.importHead(CHAIN, 12, SUBMITTER, GRAPH, accountProof, storageProof);
    }

    function test_importHead_revertsIfSourceUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IGateway.UnknownSource.selector, 1));
        gateway.importHead(1, 12, SUBMITTER, GRAPH, new bytes[](0), new bytes[](0));
    }

    function test_importHead_revertsIfNotNewer() public {
        (bytes32 root, bytes[] memory accountProof, bytes[] memory storageProof) =
            _state(_headSlot(SUBMITTER, GRAPH), keccak256("head"));
        _accept(root, 12);
        _accept(root, 13);
        gateway.importHead(CHAIN, 13, SUBMITTER, GRAPH, accountProof, storageProof);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotNewer.selector, 13, 13));
        gateway.importHead(CHAIN, 13, SUBMITTER, GRAPH, accountProof, storageProof);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotNewer.selector, 13, 12));
        gateway.importHead(CHAIN, 12, SUBMITTER, GRAPH, accountProof, storageProof);
    }

    function test_importHead_revertsIfOfAnotherSubmitter() public {
        (bytes32 root, bytes[] memory accountProof, bytes[] memory storageProof) =
            _state(_headSlot(SUBMITTER, GRAPH), keccak256("head"));
        _accept(root, 12);
        vm.expectRevert(IGateway.BadProof.selector);
        gateway.importHead(CHAIN, 12, address(0xB0B), GRAPH, accountProof, storageProof);
    }

    function test_importHead_revertsIfOfAnotherContract() public {
        bytes[] memory storageProof = new bytes[](1);
        storageProof[0] =
            Tries.single(keccak256(abi.encode(_headSlot(SUBMITTER, GRAPH))), RLP.encode(uint256(7)));
        bytes[] memory accountProof = new bytes[](1);
        accountProof[0] =
            Tries.single(keccak256(abi.encodePacked(address(0xBAD))), Tries.account(keccak256(storageProof[0])));
        _accept(keccak256(accountProof[0]), 12);
        vm.expectRevert(IGateway.BadProof.selector);
        gateway.importHead(CHAIN, 12, SUBMITTER, GRAPH, accountProof, storageProof);
    }

    function test_importHead_revertsIfProofIsEmpty() public {
        _accept(keccak256("state"), 12);
        vm.expectRevert(IGateway.BadProof.selector);
        gateway.importHead(CHAIN, 12, SUBMITTER, GRAPH, new bytes[](0), new bytes[](0));
    }

    function test_importBatch_holdsItsHeads() public {
        bytes32 head = keccak256("head");
        bytes32 root = keccak256(abi.encodePacked(hex"05", GRAPH, head)); // a batch of one graph
        (bytes32 state, bytes[] memory accountProof, bytes[] memory storageProof) =
            _state(keccak256(abi.encode(SUBMITTER, 1)), root);
        check(!gateway.batchHolds(CHAIN, SUBMITTER, GRAPH, head, "", new bytes32[](0)), "nothing is imported yet");
        _accept(state, 12);
        vm.expectEmit(address(gateway));
        emit IGateway.BatchImported(CHAIN, SUBMITTER, root, 12);
        gateway.importBatch(CHAIN, 12, SUBMITTER, accountProof, storageProof);
        (bytes32 found, uint256 number) = gateway.batchOf(CHAIN, SUBMITTER);
        equal(found, root);
        equal(number, 12);
        check(gateway.batchHolds(CHAIN, SUBMITTER, GRAPH, head, "", new bytes32[](0)), "the head is in the batch");
        check(!gateway.batchHolds(CHAIN, SUBMITTER, GRAPH, root, "", new bytes32[](0)), "no other head is");
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotNewer.selector, 12, 12));
        gateway.importBatch(CHAIN, 12, SUBMITTER, accountProof, storageProof);
    }

    function test_changeSigners_replacesAll() public {
        uint256[] memory next = _keys(10, 5);
        bytes[] memory signatures = _sign(gateway, _next(next, 3, 0), 2);
        vm.expectEmit(address(gateway));
        emit IGateway.SignersChanged(CHAIN, _addresses(next), 3);
        gateway.changeSigners(CHAIN, _addresses(next), 3, signatures);
        (address[] memory signers, uint8 quorum, address registry, uint256 nonce) = gateway.signersOf(CHAIN);
        equal(signers.length, 5);
        equal(quorum, 3);
        equal(registry, REGISTRY);
        equal(nonce, 1);
        bytes memory header = Tries.header(keccak256("state"), 12, "");
        signatures = _vouch(gateway, header, 12, 3);
        vm.expectRevert(abi.encodeWithSelector(IGateway.NotASigner.selector, vm.addr(keys[0])));
        gateway.submitCheckpoint(CHAIN, header, signatures);
        keys = next;
        gateway.submitCheckpoint(CHAIN, header, _vouch(gateway, header, 12, 3));
    }

    function test_changeSigners_revertsIfReplayed() public {
        bytes[] memory signatures = _sign(gateway, _next(keys, 3, 0), 2);
        gateway.changeSigners(CHAIN, _addresses(keys), 3, signatures);
        vm.expectRevert(abi.encodeWithSelector(IGateway.TooFewSignatures.selector, 2, 3));
        gateway.changeSigners(CHAIN, _addresses(keys), 3, signatures);
        signatures = _sign(gateway, _next(keys, 3, 0), 3);
        vm.expectPartialRevert(IGateway.NotASigner.selector);
        gateway.changeSigners(CHAIN, _addresses(keys), 3, signatures);
    }

    function test_changeSigners_revertsIfBadSigners() public {
        bytes[] memory signatures = _sign(gateway, _next(keys, 1, 0), 2);
        vm.expectRevert(IGateway.BadSigners.selector);
        gateway.changeSigners(CHAIN, _addresses(keys), 1, signatures);
    }

    function test_changeSigners_revertsIfSourceUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IGateway.UnknownSource.selector, 1));
        gateway.changeSigners(1, _addresses(keys), 2, new bytes[](2));
    }

    /// Any head of any submitter, in a trie with a neighbour; each changed byte of either proof is refused.
    function testFuzz_importHead_refusesEveryChangedByte(
        address submitter,
        bytes32 graph,
        bytes32 head,
        uint256 where,
        uint8 change
    ) public {
        vm.assume(head != 0 && change != 0);
        (bytes32 root, bytes[] memory accountProof, bytes[] memory storageProof) = _neighbours(submitter, graph, head);
        _accept(root, 12);
        bytes[] memory changed = where % 2 == 0 ? accountProof : storageProof;
        _change(changed[(where >> 1) % 2], where >> 2, change);
        check(!_imports(submitter, graph, accountProof, storageProof), "a changed proof was taken");
        _change(changed[(where >> 1) % 2], where >> 2, change);
        check(_imports(submitter, graph, accountProof, storageProof), "the right proof was refused");
        (bytes32 found,) = gateway.headOf(CHAIN, submitter, graph);
        equal(found, head);
    }

    /// Each changed byte of a header or of a signature is refused.
    function testFuzz_submitCheckpoint_refusesEveryChangedByte(uint256 where, uint8 change, uint64 number) public {
        vm.assume(change != 0 && number != 0);
        bytes memory header = Tries.header(keccak256("state"), number, "");
        bytes[] memory signatures = _vouch(gateway, header, number, 3);
        bytes memory part = where % 4 == 3 ? header : signatures[where % 4];
        _change(part, where >> 2, change);
        try gateway.submitCheckpoint(CHAIN, header, signatures) {
            check(false, "a changed checkpoint was taken");
        } catch {}
        _change(part, where >> 2, change);
        gateway.submitCheckpoint(CHAIN, header, signatures);
        equal(gateway.latestOf(CHAIN), number);
    }

    function _accept(bytes32 stateRoot, uint256 number) private {
        bytes memory header = Tries.header(stateRoot, number, "");
        gateway.submitCheckpoint(CHAIN, header, _vouch(gateway, header, number, 2));
    }

    /// @dev Tries in which what is proven has a neighbour.
    function _neighbours(address submitter, bytes32 graph, bytes32 head)
        private
        pure
        returns (bytes32, bytes[] memory accountProof, bytes[] memory storageProof)
    {
        bytes32 key = keccak256(abi.encode(_headSlot(submitter, graph)));
        storageProof = Tries.pair(key, RLP.encode(uint256(head)), ~key, RLP.encode(uint256(5)));
        bytes32 place = keccak256(abi.encodePacked(REGISTRY));
        bytes memory account = Tries.account(keccak256(storageProof[0]));
        accountProof = Tries.pair(place, account, ~place, account);
        return (keccak256(accountProof[0]), accountProof, storageProof);
    }

    function _imports(address submitter, bytes32 graph, bytes[] memory accountProof, bytes[] memory storageProof)
        private
        returns (bool done)
    {
        (done,) = address(gateway).call(
            abi.encodeCall(IGateway.importHead, (CHAIN, 12, submitter, graph, accountProof, storageProof))
        );
    }

    function _change(bytes memory part, uint256 where, uint8 change) private pure {
        part[where % part.length] ^= bytes1(change);
    }

    function _next(uint256[] memory next, uint8 quorum, uint256 nonce) private pure returns (bytes32) {
        bytes32 named = keccak256(abi.encodePacked(_addresses(next)));
        return keccak256(abi.encode(SIGNER_CHANGE, CHAIN, named, quorum, nonce));
    }
}
