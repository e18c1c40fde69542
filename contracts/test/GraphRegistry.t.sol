// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {GraphRegistry} from "../src/GraphRegistry.sol";
import {IGraphRegistry} from "../src/interfaces/IGraphRegistry.sol";

contract GraphRegistryTest is Base {
    GraphRegistry private registry;
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    bytes32 private constant GRAPH = keccak256("https://example.org/g/a/terms");

    function setUp() public {
        registry = new GraphRegistry();
    }

    function test_anchorHead_keepsTheNewest() public {
        registry.anchorHead(GRAPH, bytes32(uint256(1)));
        vm.expectEmit(address(registry));
        emit IGraphRegistry.HeadAnchored(address(this), GRAPH, bytes32(uint256(2)));
        registry.anchorHead(GRAPH, bytes32(uint256(2)));
        equal(registry.headOf(address(this), GRAPH), bytes32(uint256(2)));
        equal(registry.headOf(ALICE, GRAPH), bytes32(0));
    }

    function test_anchorHead_revertsIfZero() public {
        vm.expectRevert(IGraphRegistry.ZeroHead.selector);
        registry.anchorHead(GRAPH, 0);
    }

    function test_anchorBatch_keepsTheNewest() public {
        vm.expectEmit(address(registry));
        emit IGraphRegistry.BatchAnchored(address(this), GRAPH, 100);
        registry.anchorBatch(GRAPH, 100);
        equal(registry.batchOf(address(this)), GRAPH);
        equal(registry.batchOf(ALICE), bytes32(0));
    }

    function test_anchorBatch_revertsIfZero() public {
        vm.expectRevert(IGraphRegistry.ZeroHead.selector);
        registry.anchorBatch(0, 1);
    }

    function test_transferGraph_isOnce() public {
        vm.expectEmit(address(registry));
        emit IGraphRegistry.GraphTransferred(GRAPH, ALICE, BOB);
        vm.prank(ALICE);
        registry.transferGraph(GRAPH, BOB);
        equal(registry.transferOf(GRAPH, ALICE), BOB);
        vm.expectRevert(abi.encodeWithSelector(IGraphRegistry.AlreadyTransferred.selector, GRAPH, BOB));
        vm.prank(ALICE);
        registry.transferGraph(GRAPH, ALICE);
        equal(registry.transferOf(GRAPH, ALICE), BOB);
    }

    function test_transferGraph_revertsIfToNobody() public {
        vm.expectRevert(IGraphRegistry.ZeroAddress.selector);
        registry.transferGraph(GRAPH, address(0));
    }

    function test_revokeKey_keepsTheFirstBlock() public {
        vm.roll(7);
        vm.expectEmit(address(registry));
        emit IGraphRegistry.KeyRevoked(ALICE);
        vm.prank(ALICE);
        registry.revokeKey();
        vm.roll(9);
        vm.expectRevert(abi.encodeWithSelector(IGraphRegistry.AlreadyRevoked.selector, ALICE));
        vm.prank(ALICE);
        registry.revokeKey();
        equal(registry.revokedAt(ALICE), 7);
        equal(registry.revokedAt(BOB), 0);
    }

    /// Proof files name these slots: see docs/proof-format.md.
    function test_layout_isAsProofsExpect() public {
        vm.startPrank(ALICE);
        registry.anchorHead(GRAPH, bytes32(uint256(1)));
        registry.anchorBatch(bytes32(uint256(2)), 1);
        registry.transferGraph(GRAPH, BOB);
        vm.roll(4);
        registry.revokeKey();
        vm.stopPrank();
        equal(_slot(keccak256(abi.encode(GRAPH, keccak256(abi.encode(ALICE, 0))))), bytes32(uint256(1)));
        equal(_slot(keccak256(abi.encode(ALICE, 1))), bytes32(uint256(2)));
        equal(_slot(keccak256(abi.encode(ALICE, keccak256(abi.encode(GRAPH, 2))))), bytes32(uint256(uint160(BOB))));
        equal(_slot(keccak256(abi.encode(ALICE, 3))), bytes32(uint256(4)));
    }

    function test_batchHolds_revertsIfBitsAreMissing() public {
        registry.anchorBatch(GRAPH, 1);
        vm.expectRevert();
        registry.batchHolds(address(this), GRAPH, GRAPH, "", new bytes32[](1));
    }

    function test_batchHolds_refusesIfNoBatch() public view {
        check(!registry.batchHolds(ALICE, GRAPH, GRAPH, "", new bytes32[](0)), "an empty batch holds nothing");
    }

    /// A tree of three graphs, built from its definition.
    function testFuzz_batchHolds_exactlyWhatWasAnchored(bytes32 seed, bytes32 head, bytes32 other, uint8 flip) public {
        bytes32 zero = seed & bytes32(uint256(type(uint256).max >> 1)); // first bit 0
        bytes32 one = seed | bytes32(uint256(1) << 255);
        bytes32 last = one ^ bytes32(uint256(1)); // differs from `one` in bit 255
        (bytes32 low, bytes32 high) = uint256(one) < uint256(last) ? (one, last) : (last, one);
        bytes32 pair = _inner(255, _leaf(low, head), _leaf(high, other));
        registry.anchorBatch(_inner(0, _leaf(zero, other), pair), 3);

        bytes32[] memory siblings = new bytes32[](2);
        siblings[0] = _leaf(high, other);
        siblings[1] = _leaf(zero, other);
        check(registry.batchHolds(address(this), low, head, hex"ff00", siblings), "what is in the batch is held");
        bytes32 changed = head ^ bytes32(uint256(1) << flip);
        check(!registry.batchHolds(address(this), low, changed, hex"ff00", siblings), "another head is not held");
        check(!registry.batchHolds(ALICE, low, head, hex"ff00", siblings), "nobody else's batch");
        siblings[flip % 2] ^= bytes32(uint256(1) << flip);
        check(!registry.batchHolds(address(this), low, head, hex"ff00", siblings), "a changed sibling leads elsewhere");
    }

    function testFuzz_anchorHead_isKeptPerSubmitter(address one, address two, bytes32 graph, bytes32 a, bytes32 b) public {
        vm.assume(one != two && a != 0 && b != 0);
        vm.prank(one);
        registry.anchorHead(graph, a);
        vm.prank(two);
        registry.anchorHead(graph, b);
        equal(registry.headOf(one, graph), a);
        equal(registry.headOf(two, graph), b);
    }

    function _slot(bytes32 place) private view returns (bytes32) {
        return vm.load(address(registry), place);
    }

    function _leaf(bytes32 graph, bytes32 head) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"05", graph, head));
    }

    function _inner(uint8 bit, bytes32 left, bytes32 right) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"01", bit, left, right));
    }
}
