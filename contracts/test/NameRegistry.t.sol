// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";
import {NameRegistry} from "../src/NameRegistry.sol";
import {INameRegistry} from "../src/interfaces/INameRegistry.sol";

contract NameRegistryTest is Base {
    NameRegistry private registry;
    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    address private constant OPERATOR = address(0x09);
    string private constant NAME = "flagship.dapp";
    string private constant URL = "https://192.0.2.1:8443/";
    bytes32 private constant NODE = keccak256(bytes(NAME));
    uint64 private constant START = 1_700_000_000;

    function setUp() public {
        registry = new NameRegistry();
        vm.warp(START);
        vm.prank(ALICE);
        registry.register(NAME, 1 days, OPERATOR, URL);
    }

    function test_register_resolves() public {
        string memory name = "a.b-c.d0";
        bytes32 node = keccak256(bytes(name));
        vm.expectEmit(address(registry));
        emit INameRegistry.NameRegistered(node, name, BOB, START + 1 hours);
        vm.expectEmit(address(registry));
        emit INameRegistry.OperatorChanged(node, address(0));
        vm.expectEmit(address(registry));
        emit INameRegistry.EndpointsChanged(node, 1, URL);
        vm.prank(BOB);
        equal(registry.register(name, 1 hours, address(0), URL), node);
        (string memory endpoints, uint64 version, uint64 expires) = registry.resolve(name);
        equal(endpoints, URL);
        equal(version, 1);
        equal(expires, START + 1 hours);
        equal(registry.record(node).owner, BOB);
    }

    function test_register_revertsIfBadName() public {
        string[14] memory bad = [
            "", ".", "a.", ".a", "a..b", "-a", "a-", "a-.b", "a.-b", "A", "a b", "a_b", unicode"ä", "a/b"
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadName.selector, bad[i]));
            registry.register(bad[i], 1 days, address(0), "");
        }
    }

    function test_register_revertsIfLabelOf64() public {
        registry.register(_repeat("a", 63), 1 days, address(0), "");
        string memory long = _repeat("a", 64);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadName.selector, long));
        registry.register(long, 1 days, address(0), "");
    }

    function test_register_revertsIfNameOf254() public {
        registry.register(string.concat(_repeat("ab.", 84), "c"), 1 days, address(0), ""); // 253
        string memory long = string.concat(_repeat("ab.", 84), "cd");
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadName.selector, long));
        registry.register(long, 1 days, address(0), "");
    }

    function test_register_revertsIfDurationOutOfBounds() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadDuration.selector, uint64(1 hours - 1)));
        registry.register("x", 1 hours - 1, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadDuration.selector, uint64(3650 days + 1)));
        registry.register("x", 3650 days + 1, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadDuration.selector, type(uint64).max));
        registry.register("x", type(uint64).max, address(0), "");
    }

    function test_register_revertsIfEndpointsTooLong() public {
        registry.register("x", 1 days, address(0), _repeat("u", 2048));
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.TooLong.selector, 2049));
        registry.register("y", 1 days, address(0), _repeat("u", 2049));
    }

    function test_register_revertsIfTaken() public {
        bytes memory taken = abi.encodeWithSelector(INameRegistry.NameTaken.selector, NODE, START + 1 days);
        vm.expectRevert(taken);
        registry.register(NAME, 1 days, address(0), "");
        vm.warp(START + 1 days + 30 days); // the last second of the grace time
        vm.expectRevert(taken);
        registry.register(NAME, 1 days, address(0), "");
    }

    function test_register_takesOverAfterGrace() public {
        vm.warp(START + 1 days + 30 days + 1);
        vm.prank(BOB);
        registry.register(NAME, 1 days, address(0), "");
        equal(registry.record(NODE).owner, BOB);
        equal(registry.record(NODE).version, 2); // never falls
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, ALICE));
        vm.prank(ALICE);
        registry.renew(NODE, 1 days);
    }

    function test_renew_addsToTheExpiry() public {
        vm.expectEmit(address(registry));
        emit INameRegistry.NameRenewed(NODE, START + 3 days);
        vm.prank(ALICE);
        registry.renew(NODE, 2 days);
    }

    function test_renew_startsNowInGrace() public {
        vm.warp(START + 5 days);
        vm.prank(ALICE);
        registry.renew(NODE, 1 days);
        (,, uint64 expires) = registry.resolve(NAME);
        equal(expires, START + 6 days);
    }

    function test_renew_revertsIfOperator() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, OPERATOR));
        vm.prank(OPERATOR);
        registry.renew(NODE, 1 days);
    }

    function test_renew_revertsIfGraceIsOver() public {
        vm.warp(START + 31 days + 1);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, NODE, START + 1 days));
        vm.prank(ALICE);
        registry.renew(NODE, 1 days);
    }

    function test_renew_revertsIfTooFarAhead() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.BadDuration.selector, uint64(3650 days)));
        vm.prank(ALICE);
        registry.renew(NODE, 3650 days);
    }

    function test_setEndpoints_ownerAndOperator() public {
        vm.prank(ALICE);
        registry.setEndpoints(NODE, "https://192.0.2.2/");
        vm.expectEmit(address(registry));
        emit INameRegistry.EndpointsChanged(NODE, 3, "https://192.0.2.3/");
        vm.prank(OPERATOR);
        registry.setEndpoints(NODE, "https://192.0.2.3/");
        (string memory endpoints, uint64 version,) = registry.resolve(NAME);
        equal(endpoints, "https://192.0.2.3/");
        equal(version, 3);
    }

    function test_setEndpoints_revertsIfStranger() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, BOB));
        vm.prank(BOB);
        registry.setEndpoints(NODE, "");
    }

    function test_setEndpoints_revertsIfNobodyRegistered() public {
        bytes32 node = keccak256("nobody");
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, node, BOB));
        vm.prank(BOB);
        registry.setEndpoints(node, "");
    }

    function test_setEndpoints_revertsIfExpired() public {
        vm.warp(START + 1 days);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, NODE, START + 1 days));
        vm.prank(OPERATOR);
        registry.setEndpoints(NODE, "");
    }

    function test_setEndpoints_revertsIfTooLong() public {
        string memory long = _repeat("u", 2049);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.TooLong.selector, 2049));
        vm.prank(ALICE);
        registry.setEndpoints(NODE, long);
    }

    function test_setOperator_replaces() public {
        vm.expectEmit(address(registry));
        emit INameRegistry.OperatorChanged(NODE, BOB);
        vm.prank(ALICE);
        registry.setOperator(NODE, BOB);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, OPERATOR));
        vm.prank(OPERATOR);
        registry.setEndpoints(NODE, "");
    }

    function test_setOperator_revertsIfOperator() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, OPERATOR));
        vm.prank(OPERATOR);
        registry.setOperator(NODE, BOB);
    }

    function test_setOperator_revertsIfExpired() public {
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, NODE, START + 1 days));
        vm.prank(ALICE);
        registry.setOperator(NODE, BOB);
    }

    function test_transferName_dropsTheOperator() public {
        vm.expectEmit(address(registry));
        emit INameRegistry.NameTransferred(NODE, ALICE, BOB);
        vm.prank(ALICE);
        registry.transferName(NODE, BOB);
        equal(registry.record(NODE).owner, BOB);
        equal(registry.record(NODE).operator, address(0));
        equal(registry.record(NODE).endpoints, URL);
    }

    function test_transferName_revertsIfNotOwner() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NotAllowed.selector, NODE, OPERATOR));
        vm.prank(OPERATOR);
        registry.transferName(NODE, OPERATOR);
    }

    function test_transferName_revertsIfToNobody() public {
        vm.expectRevert(INameRegistry.ZeroAddress.selector);
        vm.prank(ALICE);
        registry.transferName(NODE, address(0));
    }

    function test_transferName_revertsIfExpired() public {
        vm.warp(START + 2 days);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, NODE, START + 1 days));
        vm.prank(ALICE);
        registry.transferName(NODE, BOB);
    }

    function test_resolve_revertsIfUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, keccak256("nobody"), 0));
        registry.resolve("nobody");
    }

    function test_resolve_revertsIfExpired() public {
        vm.warp(START + 1 days - 1);
        registry.resolve(NAME);
        vm.warp(START + 1 days);
        vm.expectRevert(abi.encodeWithSelector(INameRegistry.NameExpired.selector, NODE, START + 1 days));
        registry.resolve(NAME);
    }

    /// Any bytes: taken exactly when a second reading of the rule, label by label, accepts them.
    function testFuzz_register_takesExactlyWellFormedNames(bytes calldata noise, uint8 length) public {
        bytes memory alphabet = "abz019--..A_";
        bytes memory name = new bytes(noise.length < length ? noise.length : length);
        for (uint256 i = 0; i < name.length; ++i) {
            name[i] = alphabet[uint8(noise[i]) % alphabet.length];
        }
        bool right = _wellFormed(name);
        (bool taken,) = address(registry).call(
            abi.encodeCall(INameRegistry.register, (string(name), 1 days, address(0), ""))
        );
        check(taken == right, string(name));
    }

    function testFuzz_renew_neverPassesTheBound(uint64 duration, uint32 later) public {
        vm.warp(START + uint256(later));
        vm.prank(ALICE);
        (bool done,) = address(registry).call(abi.encodeCall(INameRegistry.renew, (NODE, duration)));
        uint64 expires = registry.record(NODE).expires;
        check(expires <= START + uint256(later) + 3650 days || !done, "held longer than ten years");
        check(done || expires == START + 1 days, "a refusal changed the expiry");
    }

    /// Splits at dots first, then looks at each label: another way than the contract's single pass.
    function _wellFormed(bytes memory name) private pure returns (bool) {
        if (name.length > 253) return false;
        uint256 start = 0;
        for (uint256 end = 0; end <= name.length; ++end) {
            if (end < name.length && name[end] != ".") continue;
            if (end == start || end - start > 63) return false;
            if (name[start] == "-" || name[end - 1] == "-") return false;
            for (uint256 i = start; i < end; ++i) {
                if (name[i] == "A" || name[i] == "_") return false;
            }
            start = end + 1;
        }
        return true;
    }

    function _repeat(string memory part, uint256 times) private pure returns (string memory) {
        bytes memory all;
        for (uint256 i = 0; i < times; ++i) {
            all = bytes.concat(all, bytes(part));
        }
        return string(all);
    }
}

/// @dev People register, renew, move, hand over, and time passes; what they did is remembered beside the registry.
contract People is Base {
    NameRegistry public immutable registry;
    string[3] public names = ["a", "b.c", "d-e.f"];
    mapping(bytes32 node => uint64) public version;
    mapping(bytes32 node => address) public holder;
    mapping(bytes32 node => uint64) public protectedUntil;
    bool public stolen;

    constructor(NameRegistry registry_) {
        registry = registry_;
        vm.warp(1_700_000_000);
    }

    function node(uint256 which) public view returns (bytes32) {
        return keccak256(bytes(names[which % 3]));
    }

    function register(uint256 who, uint256 which, uint64 duration) external {
        bytes32 at = node(which);
        bool mustFail = holder[at] != address(0) && block.timestamp <= protectedUntil[at];
        vm.prank(_person(who));
        try registry.register(names[which % 3], uint64(bounded(duration, 1 hours, 60 days)), _person(who / 3), "x") {
            if (mustFail) stolen = true;
            _note(at);
        } catch {}
    }

    function renew(uint256 who, uint256 which, uint64 duration) external {
        vm.prank(_person(who));
        try registry.renew(node(which), uint64(bounded(duration, 1 hours, 60 days))) {
            _note(node(which));
        } catch {}
    }

    function move(uint256 who, uint256 which) external {
        vm.prank(_person(who));
        try registry.setEndpoints(node(which), "y") {
            _note(node(which));
        } catch {}
    }

    function transfer(uint256 who, uint256 which, uint256 to) external {
        address before = holder[node(which)];
        vm.prank(_person(who));
        try registry.transferName(node(which), _person(to)) {
            if (before != _person(who)) stolen = true;
            _note(node(which));
        } catch {}
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bounded(time, 1, 40 days));
    }

    function _note(bytes32 at) private {
        NameRegistry.Record memory found = registry.record(at);
        if (found.version < version[at]) stolen = true;
        version[at] = found.version;
        holder[at] = found.owner;
        protectedUntil[at] = found.expires + 30 days;
    }

    function _person(uint256 who) private pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return address(uint160(0x1000 + who % 3));
    }
}

contract NameRegistryInvariants is Base {
    People private people;

    function setUp() public {
        people = new People(new NameRegistry());
        target(address(people));
    }

    /// Nobody loses a name before expiry and grace, versions never fall, only owners hand over.
    function invariant_nothingIsTakenAway() public view {
        check(!people.stolen(), "a name was taken away, or a version fell");
        for (uint256 i = 0; i < 3; ++i) {
            equal(people.registry().record(people.node(i)).owner, people.holder(people.node(i)));
        }
    }
}
