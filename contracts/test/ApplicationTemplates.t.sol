// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

import {ApplicationBase} from "./ApplicationBase.sol";
import {ConsentRegister} from "../src/application/ConsentRegister.sol";
import {ReadingLog} from "../src/application/ReadingLog.sol";
import {RevenueShare} from "../src/application/RevenueShare.sol";
import {IApplication} from "../src/interfaces/IApplication.sol";
import {IConsentRegister} from "../src/interfaces/IConsentRegister.sol";
import {IReadingLog} from "../src/interfaces/IReadingLog.sol";
import {IRevenueShare} from "../src/interfaces/IRevenueShare.sol";

contract ConsentRegisterTest is ApplicationBase {
    bytes32 private constant GRANT = keccak256("Grant(bytes32 consent,uint64 until)");
    bytes32 private constant WITHDRAWAL = keccak256("Withdrawal(bytes32 consent)");
    bytes32 private constant CONSENT = keccak256("salted");
    uint256 private constant PERSON = 0x9E125;

    ConsentRegister private register;
    uint64 private until;

    function setUp() public {
        prepare();
        register = _deploy(none());
        until = uint64(block.timestamp) + 30 days;
    }

    function _deploy(IApplication.Origin memory from) private returns (ConsentRegister) {
        bytes memory call = abi.encodeCall(ConsentRegister.initialize, (groupOf(), from, 30 days));
        return ConsentRegister(proxy(address(new ConsentRegister()), call));
    }

    function _signed(ConsentRegister to, bytes32 structHash) private view returns (bytes memory) {
        return signed(PERSON, typed("DAppOps Application", block.chainid, address(to), structHash));
    }

    function _grant(ConsentRegister to) private {
        to.grant(CONSENT, until, _signed(to, keccak256(abi.encode(GRANT, CONSENT, until))));
    }

    function test_grant_holdsUntilItsEnd() public {
        address person = vm.addr(PERSON);
        vm.expectEmit(address(register));
        emit IConsentRegister.ConsentGranted(CONSENT, person, until);
        _grant(register);
        check(register.isGranted(person, CONSENT), "granted");
        check(!register.isGranted(STRANGER, CONSENT), "by nobody else");
        vm.warp(until + 1);
        check(!register.isGranted(person, CONSENT), "ended");
    }

    function test_grant_revertsIfTooLongOrAgain() public {
        uint64 latest = uint64(block.timestamp) + 30 days;
        until = latest + 1;
        vm.expectRevert(abi.encodeWithSelector(IConsentRegister.BadTime.selector, until, latest));
        _grant(register);
        until = uint64(block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegister.BadTime.selector, until, latest));
        _grant(register);
        until = latest;
        _grant(register);
        bytes memory again = _signed(register, keccak256(abi.encode(GRANT, CONSENT, until)));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegister.AlreadyGranted.selector, CONSENT, vm.addr(PERSON)));
        register.grant(CONSENT, until, again);
    }

    function test_withdraw_countsWhilePaused() public {
        _grant(register);
        vm.prank(GUARDIAN);
        register.pause();
        vm.expectEmit(address(register));
        emit IConsentRegister.ConsentWithdrawn(CONSENT, vm.addr(PERSON));
        vm.prank(vm.addr(PERSON));
        register.withdraw(CONSENT);
        check(!register.isGranted(vm.addr(PERSON), CONSENT), "withdrawn");
        equal(register.recordOf(vm.addr(PERSON), CONSENT).withdrawn, block.timestamp);
        bytes memory other = _signed(register, keccak256(abi.encode(GRANT, keccak256("2"), until)));
        vm.expectRevert(Pausable.EnforcedPause.selector);
        register.grant(keccak256("2"), until, other);
    }

    function test_withdraw_isFinalAlsoBeforeTheGrant() public {
        bytes memory withdrawal = _signed(register, keccak256(abi.encode(WITHDRAWAL, CONSENT)));
        register.withdrawSigned(CONSENT, withdrawal);
        bytes memory grant = _signed(register, keccak256(abi.encode(GRANT, CONSENT, until)));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegister.AlreadyWithdrawn.selector, CONSENT, vm.addr(PERSON)));
        register.grant(CONSENT, until, grant);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegister.AlreadyWithdrawn.selector, CONSENT, vm.addr(PERSON)));
        register.withdrawSigned(CONSENT, withdrawal);
    }

    function test_withdraw_countsAtPredecessorAndSuccessor() public {
        _grant(register);
        ConsentRegister next = _deploy(after_(address(register)));
        migrateTo(register, address(next));
        next.takeOver();
        check(next.isGranted(vm.addr(PERSON), CONSENT), "inherited");
        vm.prank(vm.addr(PERSON));
        register.withdraw(CONSENT);
        check(!next.isGranted(vm.addr(PERSON), CONSENT), "withdrawn at the old one");
    }

    function test_withdraw_atTheSuccessorCounts() public {
        _grant(register);
        ConsentRegister next = _deploy(after_(address(register)));
        migrateTo(register, address(next));
        vm.prank(vm.addr(PERSON));
        next.withdraw(CONSENT);
        next.takeOver();
        check(!next.isGranted(vm.addr(PERSON), CONSENT), "withdrawn at the new one, before it took over");
    }
}

contract ReadingLogTest is ApplicationBase {
    bytes32 private constant COLD = keccak256("cold box");

    ReadingLog private log;
    uint64 private time;

    function setUp() public {
        prepare();
        log = _deploy(none());
        time = uint64(block.timestamp);
    }

    function _deploy(IApplication.Origin memory from) private returns (ReadingLog) {
        bytes32[] memory series = new bytes32[](1);
        int256[] memory lowest = new int256[](1);
        int256[] memory highest = new int256[](1);
        (series[0], lowest[0], highest[0]) = (COLD, 2_000_000, 8_000_000);
        bytes memory call = abi.encodeCall(ReadingLog.initialize, (groupOf(), from, series, lowest, highest));
        return ReadingLog(proxy(address(new ReadingLog()), call));
    }

    function _signed(ReadingLog to, int256 value, uint64 at, uint256 first, uint256 count)
        private
        view
        returns (bytes[] memory signatures)
    {
        bytes32 digest = to.readingDigest(COLD, value, at);
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            signatures[i] = signed(keys[first + i], digest);
        }
    }

    function test_attest_keepsTheLatest() public {
        bytes[] memory signatures = _signed(log, 5_400_000, time, 1, 3);
        vm.expectEmit(address(log));
        emit IReadingLog.ReadingAttested(COLD, 5_400_000, time, 3);
        log.attest(COLD, 5_400_000, time, signatures);
        IReadingLog.Latest memory last = log.latest(COLD);
        check(last.value == 5_400_000 && last.time == time && last.breaches == 0, "kept");
        // nothing counts twice, nothing older counts
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.NotNewer.selector, COLD, time, time));
        log.attest(COLD, 5_400_000, time, signatures);
    }

    function test_attest_tellsBreaches() public {
        bytes[] memory signatures = _signed(log, 9_000_000, time, 0, 3);
        vm.expectEmit(address(log));
        emit IReadingLog.ReadingAttested(COLD, 9_000_000, time, 3);
        vm.expectEmit(address(log));
        emit IReadingLog.ThresholdBreached(COLD, 9_000_000, 8_000_000, time);
        log.attest(COLD, 9_000_000, time, signatures);
        signatures = _signed(log, -1, time + 1, 0, 3);
        vm.expectEmit(address(log));
        emit IReadingLog.ReadingAttested(COLD, -1, time + 1, 3);
        vm.expectEmit(address(log));
        emit IReadingLog.ThresholdBreached(COLD, -1, 2_000_000, time + 1);
        log.attest(COLD, -1, time + 1, signatures);
        equal(log.latest(COLD).breaches, 2);
    }

    function test_attest_revertsIfNotAttestedByAQuorum() public {
        bytes[] memory signatures = _signed(log, 1, time, 0, 2);
        vm.expectRevert(abi.encodeWithSelector(IApplication.TooFewSignatures.selector, 2, 3));
        log.attest(COLD, 1, time, signatures);
        signatures = _signed(log, 1, time, 0, 3);
        signatures[2] = signatures[1];
        vm.expectRevert(IApplication.SignersNotAscending.selector);
        log.attest(COLD, 1, time, signatures);
        signatures = _signed(log, 2, time, 0, 3);
        vm.expectRevert();
        log.attest(COLD, 1, time, signatures);
        signatures = _signed(log, 1, time, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.UnknownSeries.selector, bytes32(0)));
        log.attest(bytes32(0), 1, time, signatures);
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.FromTheFuture.selector, time + 901, time));
        log.attest(COLD, 1, time + 901, signatures);
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.ValueTooLarge.selector, type(int256).max));
        log.attest(COLD, type(int256).max, time, signatures);
    }

    function test_attest_atTheSuccessorIsNewerThanBefore() public {
        log.attest(COLD, 1, time, _signed(log, 1, time, 0, 3));
        ReadingLog next = _deploy(after_(address(log)));
        migrateTo(log, address(next));
        next.takeOver();
        bytes[] memory signatures = _signed(next, 3_000_000, time, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.NotNewer.selector, COLD, time, time));
        next.attest(COLD, 3_000_000, time, signatures);
        next.attest(COLD, 3_000_000, time + 1, _signed(next, 3_000_000, time + 1, 0, 3));
        equal(next.latest(COLD).breaches, 1);
    }

    function test_initialize_revertsIfSeriesAreWrong() public {
        ReadingLog logic = new ReadingLog();
        bytes32[] memory series = new bytes32[](1);
        int256[] memory high = new int256[](1);
        int256[] memory low = new int256[](1);
        (low[0], high[0]) = (3, 2);
        vm.expectRevert(IReadingLog.BadSeries.selector);
        proxy(address(logic), abi.encodeCall(ReadingLog.initialize, (groupOf(), none(), series, low, high)));
        high[0] = type(int256).max;
        vm.expectRevert(abi.encodeWithSelector(IReadingLog.ValueTooLarge.selector, high[0]));
        proxy(address(logic), abi.encodeCall(ReadingLog.initialize, (groupOf(), none(), series, low, high)));
        IApplication.Group memory group = groupOf();
        group.operatorQuorum = 2;
        high[0] = 4;
        vm.expectPartialRevert(IApplication.BadGroup.selector);
        proxy(address(logic), abi.encodeCall(ReadingLog.initialize, (group, none(), series, low, high)));
    }
}

/// @dev Takes its share, and tries to take it twice.
contract Greedy {
    RevenueShare private immutable _from;

    constructor(RevenueShare from) {
        _from = from;
    }

    receive() external payable {
        _from.release(address(this));
    }
}

contract RevenueShareTest is ApplicationBase {
    bytes32 private constant SHARES = keccak256("Shares(address[] payees,uint256[] shares,uint256 nonce)");

    RevenueShare private share;

    function setUp() public {
        prepare();
        share = _deploy(_shares(5, 3, 2));
    }

    function _deploy(uint256[] memory shares) private returns (RevenueShare) {
        bytes memory call = abi.encodeCall(RevenueShare.initialize, (groupOf(), none(), accounts(shares.length), shares));
        return RevenueShare(payable(proxy(address(new RevenueShare()), call)));
    }

    function _shares(uint256 a, uint256 b, uint256 c) private pure returns (uint256[] memory shares) {
        shares = new uint256[](3);
        (shares[0], shares[1], shares[2]) = (a, b, c);
    }

    function _pay(uint256 amount) private {
        vm.deal(address(this), amount);
        share.pay{value: amount}(keccak256("clip"));
    }

    function _setShares(address[] memory payees, uint256[] memory shares) private {
        bytes32 structHash = keccak256(
            abi.encode(
                SHARES, keccak256(abi.encodePacked(payees)), keccak256(abi.encodePacked(shares)), share.nonce()
            )
        );
        share.setShares(payees, shares, agreed(address(share), structHash, 0, 2));
    }

    function test_pay_dividesByShares() public {
        _pay(1000);
        equal(share.owed(vm.addr(keys[0])), 500);
        equal(share.owed(vm.addr(keys[2])), 200);
        share.release(vm.addr(keys[0]));
        equal(vm.addr(keys[0]).balance, 500);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.NothingOwed.selector, vm.addr(keys[0])));
        share.release(vm.addr(keys[0]));
        _pay(10);
        equal(share.owed(vm.addr(keys[0])), 5);
        vm.prank(vm.addr(keys[1]));
        share.releaseTo(payable(STRANGER));
        equal(STRANGER.balance, 303);
    }

    function test_release_worksWhilePausedAndAfterwards() public {
        _pay(1000);
        vm.prank(GUARDIAN);
        share.pause();
        share.release(vm.addr(keys[0]));
        vm.deal(address(this), 1);
        vm.expectRevert(Pausable.EnforcedPause.selector);
        share.pay{value: 1}(bytes32(0));
        migrateTo(share, address(this));
        vm.expectPartialRevert(IApplication.Moved.selector);
        share.pay{value: 1}(bytes32(0));
        share.release(vm.addr(keys[1]));
        share.release(vm.addr(keys[2]));
        equal(address(share).balance, 0);
    }

    function test_release_revertsIfCalledAgainWithin() public {
        Greedy greedy = new Greedy(share);
        address[] memory payees = accounts(3);
        payees[0] = address(greedy);
        _setShares(payees, _shares(1, 1, 1));
        _pay(300);
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.TransferFailed.selector, address(greedy)));
        share.release(address(greedy));
        equal(address(share).balance, 300);
    }

    function test_setShares_revertsIfWrongOrNotAgreed() public {
        vm.expectRevert(abi.encodeWithSelector(IApplication.TooFewSignatures.selector, 0, 2));
        share.setShares(accounts(3), _shares(1, 1, 1), new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.BadShares.selector, "a share is from 1 to 10^18"));
        this.setSharesFor(accounts(3), _shares(1, 0, 1));
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.BadShares.selector, "as many shares as payees"));
        this.setSharesFor(accounts(2), _shares(1, 1, 1));
        address[] memory twice = accounts(3);
        twice[1] = twice[0];
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.BadShares.selector, "a payee is zero or named twice"));
        this.setSharesFor(twice, _shares(1, 1, 1));
        vm.expectRevert(abi.encodeWithSelector(IRevenueShare.BadShares.selector, "1 to 64 payees"));
        this.setSharesFor(new address[](0), new uint256[](0));
    }

    /// @dev So that only the one call is expected to revert.
    function setSharesFor(address[] memory payees, uint256[] memory shares) external {
        _setShares(payees, shares);
    }

    /// @dev Through changes of shares and releases in between, everyone gets its part, and less than a wei each is left over.
    function testFuzz_shares_conserveEther(uint96[3] memory paid, uint64[9] memory shares, uint256 releases) public {
        uint256 total = 0;
        uint256[3] memory due;
        for (uint256 round = 0; round < 3; ++round) {
            uint256[] memory now_ = _shares(
                uint256(shares[3 * round]) % 1e18 + 1,
                uint256(shares[3 * round + 1]) % 1e18 + 1,
                uint256(shares[3 * round + 2]) % 1e18 + 1
            );
            _setShares(accounts(3), now_);
            _pay(paid[round]);
            total += paid[round];
            for (uint256 i = 0; i < 3; ++i) {
                due[i] += uint256(paid[round]) * now_[i] / (now_[0] + now_[1] + now_[2]);
                if ((releases >> (3 * round + i)) & 1 == 1) try share.release(vm.addr(keys[i])) {} catch {}
            }
        }
        uint256 sum = 0;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 got = vm.addr(keys[i]).balance + share.owed(vm.addr(keys[i]));
            // rounding: never less than by each payment alone, and at most the other payees' leftovers more
            check(got + 1 >= due[i] && got <= due[i] + 9, "a payee's part");
            sum += share.owed(vm.addr(keys[i]));
        }
        check(sum <= address(share).balance && address(share).balance - sum < 3, "owed is there");
        check(total >= sum, "no more than was paid");
    }
}
