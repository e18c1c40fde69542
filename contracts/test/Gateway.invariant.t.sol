// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CoSigners} from "./CoSigners.sol";
import {Tries} from "./Tries.sol";
import {Gateway} from "../src/Gateway.sol";

/// @dev Relays bring checkpoints and heads in any order, some contradicting; what was first is remembered.
contract Relays is CoSigners {
    Gateway public gateway;
    mapping(uint256 number => bytes32) public first;
    uint256 public newest;
    uint256 public imported;
    bytes32 public head;
    bool public wrong;

    constructor() {
        keys = _keys(1, 3);
        gateway = _gateway(CHAIN, keys, 2);
    }

    function submit(uint256 step, uint8 value, uint8 signers) external {
        uint256 number = bounded(step, newest > 3 ? newest - 3 : 1, newest + 2);
        (bytes32 root,,) = _at(value);
        bytes memory header = Tries.header(root, number, "");
        uint256 count = signers % 4;
        try gateway.submitCheckpoint(CHAIN, header, _vouch(gateway, header, number, count)) {
            if (number <= newest || count < 2) wrong = true;
            first[number] = root;
            newest = number;
        } catch {
            if (number > newest && count >= 2) wrong = true;
        }
    }

    function carry(uint256 step, uint8 value) external {
        uint256 number = bounded(step, newest > 3 ? newest - 3 : 1, newest + 1);
        (bytes32 root, bytes[] memory accountProof, bytes[] memory storageProof) = _at(value);
        try gateway.importHead(CHAIN, number, SUBMITTER, GRAPH, accountProof, storageProof) {
            if (number <= imported || first[number] != root) wrong = true;
            imported = number;
            head = bytes32(uint256(1 + value % 4));
        } catch {
            if (number > imported && first[number] == root) wrong = true;
        }
    }

    function _at(uint8 value) private pure returns (bytes32, bytes[] memory, bytes[] memory) {
        return _state(_headSlot(SUBMITTER, GRAPH), bytes32(uint256(1 + value % 4)));
    }
}

contract GatewayInvariants is CoSigners {
    Relays private relays;

    function setUp() public {
        relays = new Relays();
        target(address(relays));
    }

    /// A state root once accepted never changes, heads never go back, and only proven heads are known.
    function invariant_nothingGoesBack() public view {
        check(!relays.wrong(), "taken and refused as the rules say");
        Gateway gateway = relays.gateway();
        equal(gateway.latestOf(CHAIN), relays.newest());
        for (uint256 number = 1; number <= relays.newest(); ++number) {
            equal(gateway.stateRootOf(CHAIN, number), relays.first(number));
        }
        (bytes32 head, uint256 at) = gateway.headOf(CHAIN, SUBMITTER, GRAPH);
        equal(head, relays.head());
        equal(at, relays.imported());
    }
}
