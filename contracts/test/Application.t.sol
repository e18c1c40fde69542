// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {ApplicationBase} from "./ApplicationBase.sol";
import {DigestLog} from "../src/application/DigestLog.sol";
import {IApplication} from "../src/interfaces/IApplication.sol";
import {IDigestLog} from "../src/interfaces/IDigestLog.sol";

/// @dev A patch: one more variable, one more function.
contract DigestLogPatched is DigestLog {
    uint256 public seen;

    function see(uint256 value) external reinitializer(2) {
        seen = value;
    }
}

contract ApplicationTest is ApplicationBase {
    bytes32 private constant REGROUP = keccak256(
        "Regroup(address[] members,uint32 quorum,address[] guardians,address[] operators,uint32 operatorQuorum,uint256 nonce)"
    );

    DigestLog private log;

    function setUp() public {
        prepare();
        log = digestLog(none());
    }

    function _append(DigestLog to, bytes32 root) private {
        vm.prank(vm.addr(keys[4]));
        to.append(keccak256("stream"), root, 25);
    }

    // -- beginning ---------------------------------------------------------------------------------------------------
    function test_initialize_revertsIfAgainOrOnTheLogic() public {
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        log.initialize(groupOf(), none());
        DigestLog logic = DigestLog(log.implementation());
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        logic.initialize(groupOf(), none());
    }

    function test_logic_obeysNobody() public {
        DigestLog logic = new DigestLog();
        check(!logic.isMember(STRANGER) && !logic.isGuardian(STRANGER), "nobody");
        vm.expectRevert(abi.encodeWithSelector(IApplication.TooFewSignatures.selector, 0, 0));
        logic.migrate(1, STRANGER, bytes32(uint256(1)), new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotAGuardian.selector, STRANGER));
        vm.prank(STRANGER);
        logic.pause();
    }

    function test_initialize_revertsIfTheGroupIsWrong() public {
        DigestLog logic = new DigestLog();
        IApplication.Group memory group = groupOf();
        group.quorum = 1;
        _refused(logic, group, "quorum is not more than half of the members");
        group.quorum = 4;
        _refused(logic, group, "quorum is not more than half of the members");
        group = groupOf();
        group.members = new address[](0);
        _refused(logic, group, "1 to 64 members");
        group = groupOf();
        group.members[1] = group.members[0];
        _refused(logic, group, "an account is zero or named twice");
        group = groupOf();
        group.operators[3] = address(0);
        _refused(logic, group, "an account is zero or named twice");
        group = groupOf();
        group.operatorQuorum = 6;
        _refused(logic, group, "quorum above the number of operators");
        group = groupOf();
        (group.operators, group.operatorQuorum) = (new address[](0), 0);
        _refused(logic, group, "nobody may write");
    }

    function _refused(DigestLog logic, IApplication.Group memory group, string memory why) private {
        vm.expectRevert(abi.encodeWithSelector(IApplication.BadGroup.selector, why));
        proxy(address(logic), abi.encodeCall(DigestLog.initialize, (group, none())));
    }

    // -- pause -------------------------------------------------------------------------------------------------------
    function test_pause_stopsWorkUntilMembersAgree() public {
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotAGuardian.selector, STRANGER));
        vm.prank(STRANGER);
        log.pause();
        vm.prank(GUARDIAN);
        log.pause();
        vm.expectRevert(Pausable.EnforcedPause.selector);
        _append(log, keccak256("root"));

        bytes32 structHash = keccak256(abi.encode(UNPAUSE, uint256(0)));
        bytes[] memory one = agreed(address(log), structHash, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IApplication.TooFewSignatures.selector, 1, 2));
        log.unpause(one);
        bytes[] memory two = agreed(address(log), structHash, 1, 2);
        log.unpause(two);
        _append(log, keccak256("root"));

        // what was agreed once does not count again
        vm.prank(vm.addr(keys[2]));
        log.pause();
        vm.expectPartialRevert(IApplication.NotAMember.selector);
        log.unpause(two);
    }

    function test_unpause_revertsIfOneSignsTwiceOrAStrangerSigns() public {
        vm.prank(GUARDIAN);
        log.pause();
        bytes32 structHash = keccak256(abi.encode(UNPAUSE, uint256(0)));
        bytes[] memory signatures = agreed(address(log), structHash, 0, 2);
        signatures[1] = signatures[0];
        vm.expectRevert(IApplication.SignersNotAscending.selector);
        log.unpause(signatures);
        signatures = agreed(address(log), structHash, 2, 2);
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotAMember.selector, vm.addr(keys[3])));
        log.unpause(signatures);
    }

    function testFuzz_unpause_needsAQuorumOfThisChainAndContract(uint256 mask, bool otherChain, bool otherContract) public {
        vm.prank(GUARDIAN);
        log.pause();
        uint256 count = 0;
        for (uint256 i = 0; i < 3; ++i) {
            count += (mask >> i) & 1;
        }
        bytes32 digest = typed(
            "DAppOps Application",
            otherChain ? block.chainid + 1 : block.chainid,
            otherContract ? address(this) : address(log),
            keccak256(abi.encode(UNPAUSE, uint256(0)))
        );
        bytes[] memory signatures = new bytes[](count);
        uint256 next = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if ((mask >> i) & 1 == 1) signatures[next++] = signed(keys[i], digest);
        }
        bool enough = count >= 2 && !otherChain && !otherContract;
        if (!enough) vm.expectRevert();
        log.unpause(signatures);
        check(log.paused() != enough, "unpaused when a quorum agreed");
    }

    // -- patch -------------------------------------------------------------------------------------------------------
    function test_patch_changesLogicAndKeepsState() public {
        _append(log, keccak256("root"));
        address logic = address(new DigestLogPatched());
        bytes memory call = abi.encodeCall(DigestLogPatched.see, (7));
        bytes[] memory signatures = agreed(address(log), patchHash(logic, call, 0), 0, 3);
        vm.expectEmit(address(log));
        emit IApplication.Patched(logic, 0);
        log.patch(logic, call, signatures);
        equal(log.implementation(), logic);
        equal(DigestLogPatched(address(log)).seen(), 7);
        equal(log.batchOf(keccak256("root")).count, 25);
        equal(log.nonce(), 1);
        check(log.isMember(vm.addr(keys[0])), "the group is the same");
    }

    function test_patch_revertsIfNotAsSigned() public {
        address logic = address(new DigestLogPatched());
        bytes[] memory signatures = agreed(address(log), patchHash(logic, "", 0), 0, 2);
        vm.expectPartialRevert(IApplication.NotAMember.selector);
        log.patch(logic, abi.encodeCall(DigestLogPatched.see, (7)), signatures);
        address other = address(new DigestLogPatched());
        vm.expectRevert();
        log.patch(other, "", signatures);
        signatures = agreed(address(log), patchHash(logic, "", 1), 0, 2);
        vm.expectRevert();
        log.patch(logic, "", signatures);
    }

    function test_patch_revertsIfItIsNoLogic() public {
        bytes[] memory signatures = agreed(address(log), patchHash(address(this), "", 0), 0, 2);
        vm.expectRevert(
            abi.encodeWithSelector(ERC1967Utils.ERC1967InvalidImplementation.selector, address(this))
        );
        log.patch(address(this), "", signatures);
    }

    function test_upgradeToAndCall_revertsWithoutAgreement() public {
        address logic = address(new DigestLogPatched());
        vm.expectRevert(IApplication.AgreementNeeded.selector);
        vm.prank(vm.addr(keys[0]));
        log.upgradeToAndCall(logic, "");
        DigestLog bare = DigestLog(log.implementation());
        vm.expectRevert(UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
        bare.upgradeToAndCall(logic, "");
    }

    // -- group -------------------------------------------------------------------------------------------------------
    function test_regroup_putsTheOldGroupOut() public {
        IApplication.Group memory group;
        group.members = new address[](1);
        group.members[0] = vm.addr(keys[4]);
        group.quorum = 1;
        group.operators = new address[](1);
        group.operators[0] = vm.addr(keys[4]);
        bytes32 structHash = keccak256(
            abi.encode(
                REGROUP,
                keccak256(abi.encodePacked(group.members)),
                group.quorum,
                keccak256(abi.encodePacked(group.guardians)),
                keccak256(abi.encodePacked(group.operators)),
                group.operatorQuorum,
                uint256(0)
            )
        );
        log.regroup(group, agreed(address(log), structHash, 0, 2));
        check(!log.isMember(vm.addr(keys[0])) && !log.isGuardian(GUARDIAN), "old ones are out");
        check(!log.isOperator(vm.addr(keys[0])) && log.isOperator(vm.addr(keys[4])), "operators are the new ones");
        vm.prank(vm.addr(keys[4]));
        log.pause();
        log.unpause(agreed(address(log), keccak256(abi.encode(UNPAUSE, uint256(1))), 4, 1));
    }
}

contract ApplicationMigrationTest is ApplicationBase {
    DigestLog private log;

    function setUp() public {
        prepare();
        log = digestLog(none());
    }

    function _append(DigestLog to, bytes32 root) private {
        vm.prank(vm.addr(keys[4]));
        to.append(keccak256("stream"), root, 25);
    }

    function test_migrate_freezesAndTheSuccessorGoesOn() public {
        _append(log, keccak256("old"));
        DigestLog next = digestLog(after_(address(log)));
        check(next.paused(), "waits");
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotHandedOver.selector, address(log)));
        next.takeOver();
        bytes[] memory signatures = agreed(address(next), keccak256(abi.encode(UNPAUSE, uint256(0))), 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotHandedOver.selector, address(log)));
        next.unpause(signatures);

        migrateTo(log, address(next));
        (uint256 chainId, address to, bytes32 root) = log.successor();
        equal(chainId, block.chainid);
        equal(to, address(next));
        equal(root, keccak256("state"));
        vm.expectRevert(abi.encodeWithSelector(IApplication.Moved.selector, block.chainid, address(next)));
        _append(log, keccak256("new"));
        signatures = agreed(address(log), keccak256(abi.encode(UNPAUSE, uint256(1))), 0, 2);
        vm.expectPartialRevert(IApplication.Moved.selector);
        log.unpause(signatures);
        signatures = agreed(address(log), patchHash(address(this), "", 1), 0, 2);
        vm.expectPartialRevert(IApplication.Moved.selector);
        log.patch(address(this), "", signatures);

        vm.prank(STRANGER);
        next.takeOver();
        equal(next.origin().stateRoot, keccak256("state"));
        equal(next.batchOf(keccak256("old")).count, 25);
        vm.expectRevert(abi.encodeWithSelector(IDigestLog.AlreadyLogged.selector, keccak256("old")));
        _append(next, keccak256("old"));
        _append(next, keccak256("new"));
        vm.expectRevert(IApplication.BadOrigin.selector);
        next.takeOver();
    }

    function test_migrate_toAnotherChainLeavesAPointer() public {
        bytes32 structHash = keccak256(abi.encode(MIGRATE, uint256(4242), STRANGER, keccak256("state"), uint256(0)));
        log.migrate(4242, STRANGER, keccak256("state"), agreed(address(log), structHash, 0, 2));
        vm.expectRevert(abi.encodeWithSelector(IApplication.Moved.selector, 4242, STRANGER));
        _append(log, keccak256("new"));
        // there: it begins with what was handed over, and waits for nobody
        vm.chainId(4242);
        DigestLog next = digestLog(IApplication.Origin(31337, address(log), keccak256("state")));
        _append(next, keccak256("new"));
        equal(next.batchOf(keccak256("old")).count, 0);
    }

    function test_migrate_revertsIfTheSuccessorIsNone() public {
        bytes[] memory signatures = new bytes[](0);
        vm.expectRevert(IApplication.BadSuccessor.selector);
        log.migrate(block.chainid, address(log), keccak256("state"), signatures);
        vm.expectRevert(IApplication.BadSuccessor.selector);
        log.migrate(block.chainid, STRANGER, keccak256("state"), signatures);
        vm.expectRevert(IApplication.BadSuccessor.selector);
        log.migrate(1, STRANGER, bytes32(0), signatures);
        vm.expectRevert(abi.encodeWithSelector(IApplication.TooFewSignatures.selector, 0, 2));
        log.migrate(1, STRANGER, keccak256("state"), signatures);
    }

    function test_initialize_revertsIfThePredecessorIsNoContract() public {
        address logic = address(new DigestLog());
        vm.expectRevert(IApplication.BadOrigin.selector);
        proxy(logic, abi.encodeCall(DigestLog.initialize, (groupOf(), after_(STRANGER))));
    }
}

contract DigestLogTest is ApplicationBase {
    DigestLog private log;

    function setUp() public {
        prepare();
        log = digestLog(none());
    }

    function _append(DigestLog to, bytes32 root) private {
        vm.prank(vm.addr(keys[4]));
        to.append(keccak256("stream"), root, 25);
    }

    function test_append_logsABatchOnce() public {
        vm.expectEmit(address(log));
        emit IDigestLog.BatchLogged(keccak256("root"), keccak256("stream"), vm.addr(keys[4]), 25);
        _append(log, keccak256("root"));
        equal(log.batchOf(keccak256("root")).writer, vm.addr(keys[4]));
        equal(log.batchOf(keccak256("root")).time, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IDigestLog.AlreadyLogged.selector, keccak256("root")));
        _append(log, keccak256("root"));
        vm.expectRevert(abi.encodeWithSelector(IApplication.NotAnOperator.selector, STRANGER));
        vm.prank(STRANGER);
        log.append(bytes32(0), keccak256("other"), 1);
        vm.expectRevert(IDigestLog.EmptyBatch.selector);
        vm.prank(vm.addr(keys[4]));
        log.append(bytes32(0), keccak256("other"), 0);
    }

    function testFuzz_includes_onlyWhatIsInTheBatch(bytes32 one, bytes32 other, bytes32 third) public {
        vm.assume(third != one && third != other);
        bytes32 left = keccak256(bytes.concat(keccak256(abi.encode(one))));
        bytes32 right = keccak256(bytes.concat(keccak256(abi.encode(other))));
        bytes32 root = left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
        bytes32[] memory path = new bytes32[](1);
        path[0] = right;
        check(!log.includes(root, one, path), "not yet logged");
        _append(log, root);
        check(log.includes(root, one, path), "a digest of the batch");
        check(!log.includes(root, third, path), "no digest of the batch");
        // an inner node is no leaf
        check(!log.includes(root, root, new bytes32[](0)), "the root itself");
    }
}
