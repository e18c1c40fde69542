// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IParticipantRegistry} from "./interfaces/IParticipantRegistry.sol";
import {IServiceAgreement} from "./interfaces/IServiceAgreement.sol";

/// @title Escrow and settlement of service level agreements
/// @notice What is in an open agreement's escrow follows from its Terms: price + fees/2 of the consumer, compensation +
/// fees/2 of the provider. The sum of balances and escrows is the contract's ether.
///
/// Who gets the price when there was no verdict: the consumer, to whom it belonged. The contract cannot know what was
/// kept, so it decides nothing. Each side then gains by silent witnesses at most what a true verdict would have cost it
/// (compensation, or the price); if silence paid the provider, a provider in breach would gain price and compensation.
///
/// Votes: more than half of the witnesses must agree, so no two sets of honest votes decide differently, whoever chooses
/// which votes to hand in. Fees are equal and flat: a witness earns the same for either verdict. No claim is made that
/// this makes witnesses truthful. Who hands in the votes may leave some out; any witness can hand them in itself.
///
/// Nothing can be stuck: every outcome credits balances and calls nobody, and after settleBy `expire` needs nobody's help.
/// @dev State changes precede calls. Calls: SignatureChecker (static), the participant registry (see _release), and
/// the transfer of a withdrawal.
contract ServiceAgreement is IServiceAgreement, EIP712 {
    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Terms(address provider,address consumer,bytes32 termsHash,uint128 price,uint128 compensation,uint128 witnessFee,uint64 start,uint64 end,uint64 settleBy,uint8 quorum,address[] witnesses,uint256 nonce)"
    );
    bytes32 private constant SEAL_TYPEHASH = keccak256("Seal(bytes32 agreement,bytes32 seal)");
    bytes32 private constant CANCEL_TYPEHASH = keccak256("Cancel(bytes32 agreement)");

    uint256 private constant MOST_WITNESSES = 32; // a settlement must fit any block, a set of places 32 bits
    uint256 private constant LONGEST = 3660 days; // a time in milliseconds by mistake must not lock anything for ages
    uint256 private constant REGISTRY_GAS = 100_000; // more than the registry needs to note or settle an obligation

    /// @dev One slot for an agreement.
    struct Slot {
        State state;
        bool providerObliged; // noted at the registry
        bool consumerObliged;
        uint32 excluded; // bit i: witness i signed two seals
    }

    /// @dev Zero: accounts speak for themselves.
    IParticipantRegistry private immutable _participants;

    mapping(address account => uint256) private _balances;
    mapping(bytes32 agreement => Slot) private _slots;

    /// @param registry whose keys speak for accounts; zero for none. It must answer: withdrawals ask it for the key.
    constructor(address registry) EIP712("DAppOps ServiceAgreement", "1") {
        _participants = IParticipantRegistry(registry);
        _keyOf(address(this));
    }

    // -- money -------------------------------------------------------------------------------------------------------
    /// @inheritdoc IServiceAgreement
    function deposit() external payable {
        _deposit(msg.sender, msg.value);
    }

    /// @inheritdoc IServiceAgreement
    function depositFor(address account) external payable {
        _deposit(account, msg.value);
    }

    /// @inheritdoc IServiceAgreement
    function withdraw(uint256 amount) external {
        _withdraw(msg.sender, payable(msg.sender), amount);
    }

    /// @inheritdoc IServiceAgreement
    function withdrawFrom(address account, address payable to, uint256 amount) external {
        _withdraw(account, to, amount);
    }

    function _deposit(address account, uint256 amount) private {
        _balances[account] += amount;
        emit Deposited(account, amount);
    }

    function _withdraw(address account, address payable to, uint256 amount) private {
        if (_keyOf(account) != msg.sender) revert NotTheKeyOf(account, msg.sender);
        _draw(account, amount, 0);
        emit Withdrawn(account, to, amount);
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert TransferFailed(to);
    }

    /// @dev Takes `amount` from a balance to which `more` is being added.
    function _draw(address account, uint256 amount, uint256 more) private {
        uint256 balance = _balances[account] + more;
        if (balance < amount) revert BalanceTooLow(account, balance, amount);
        unchecked {
            _balances[account] = balance - amount;
        }
    }

    /// @dev No sum of wei that exists overflows.
    function _credit(address account, uint256 amount) private {
        if (amount == 0) return;
        unchecked {
            _balances[account] += amount;
        }
    }

    // -- an agreement's life -----------------------------------------------------------------------------------------
    /// @inheritdoc IServiceAgreement
    function open(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature)
        external
        payable
        returns (bytes32 agreement)
    {
        if (block.timestamp > terms.start) revert TooLate(terms.start);
        agreement = identifierOf(terms);
        State state = _slots[agreement].state;
        if (state != State.None) revert WrongState(agreement, state);

        (address providerKey, address consumerKey) =
            _checkSides(terms, _hashTypedDataV4(agreement), providerSignature, consumerSignature);
        _checkTerms(terms, providerKey, consumerKey);
        _lock(terms, providerKey, consumerKey);
        // set before the registry is called
        _slots[agreement].state = State.Open;
        emit AgreementOpened(agreement, terms.provider, terms.consumer, terms.termsHash);
        if (address(_participants) != address(0)) {
            bool providerObliged = _oblige(terms.provider);
            bool consumerObliged = _oblige(terms.consumer);
            if (providerObliged || consumerObliged) {
                Slot storage slot = _slots[agreement]; // the state stays whatever it is
                slot.providerObliged = providerObliged;
                slot.consumerObliged = consumerObliged;
            }
        }
    }

    /// @inheritdoc IServiceAgreement
    function settle(Terms calldata terms, Vote[] calldata votes) external {
        if (block.timestamp < terms.end) revert TooEarly(terms.end);
        if (block.timestamp > terms.settleBy) revert TooLate(terms.settleBy);
        (bytes32 agreement, Slot memory slot) = _opened(terms);
        (uint256 kept, uint256 against) = _count(terms, votes, agreement, slot.excluded);
        bool violated = against >= terms.quorum;
        // more than half is needed, so not both
        if (!violated && kept < terms.quorum) revert NoQuorum(uint8(kept), uint8(against), terms.quorum);

        (uint256 ofProvider, uint256 ofConsumer) = _escrow(terms);
        uint256 fees = votes.length * terms.witnessFee;
        uint256 paid = violated ? terms.compensation : terms.price;
        unchecked {
            // fees/2 of all votes is never more than fees/2 of all witnesses: no underflow
            ofProvider -= fees / 2;
            ofConsumer -= fees - fees / 2;
            if (violated) (ofProvider, ofConsumer) = (ofProvider - paid, ofConsumer + paid);
            else (ofProvider, ofConsumer) = (ofProvider + paid, ofConsumer - paid);
        }
        _close(terms, agreement, violated ? State.Violated : State.Kept, ofProvider, ofConsumer);
        emit AgreementSettled(agreement, violated, uint8(kept), uint8(against), paid);
        _release(terms, slot);
    }

    /// @inheritdoc IServiceAgreement
    function expire(Terms calldata terms) external {
        if (block.timestamp <= terms.settleBy) revert TooEarly(terms.settleBy);
        (bytes32 agreement, Slot memory slot) = _opened(terms);
        (uint256 ofProvider, uint256 ofConsumer) = _escrow(terms);
        _close(terms, agreement, State.Expired, ofProvider, ofConsumer);
        emit AgreementExpired(agreement);
        _release(terms, slot);
    }

    /// @inheritdoc IServiceAgreement
    /// @dev Not from `end` on: by then the witnesses have done their work, and are paid by `settle`.
    function cancel(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature) external {
        if (block.timestamp >= terms.end) revert TooLate(terms.end);
        (bytes32 agreement, Slot memory slot) = _opened(terms);
        _checkSides(terms, cancelDigest(agreement), providerSignature, consumerSignature);
        (uint256 ofProvider, uint256 ofConsumer) = _escrow(terms);
        _close(terms, agreement, State.Cancelled, ofProvider, ofConsumer);
        emit AgreementCancelled(agreement);
        _release(terms, slot);
    }

    /// @inheritdoc IServiceAgreement
    function exclude(
        Terms calldata terms,
        uint8 witness,
        bytes32 oneSeal,
        bytes calldata oneSignature,
        bytes32 otherSeal,
        bytes calldata otherSignature
    ) external {
        (bytes32 agreement, Slot memory slot) = _opened(terms);
        if (witness >= terms.witnesses.length) revert NotAWitness(witness);
        address account = terms.witnesses[witness];
        if (slot.excluded & (1 << witness) != 0) revert ExcludedWitness(account);
        if (oneSeal == otherSeal) revert NotEquivocal();
        address key = _keyOf(account);
        _checkSignature(key, sealDigest(agreement, oneSeal), oneSignature);
        _checkSignature(key, sealDigest(agreement, otherSeal), otherSignature);
        _slots[agreement].excluded = slot.excluded | uint32(1 << witness);
        emit WitnessExcluded(agreement, account, oneSeal, otherSeal);
    }

    // -- parts -------------------------------------------------------------------------------------------------------
    function _opened(Terms calldata terms) private view returns (bytes32 agreement, Slot memory slot) {
        agreement = identifierOf(terms);
        slot = _slots[agreement];
        if (slot.state != State.Open) revert WrongState(agreement, slot.state);
    }

    function _checkSides(
        Terms calldata terms,
        bytes32 digest,
        bytes calldata providerSignature,
        bytes calldata consumerSignature
    ) private view returns (address providerKey, address consumerKey) {
        providerKey = _keyOf(terms.provider);
        consumerKey = _keyOf(terms.consumer);
        _checkSignature(providerKey, digest, providerSignature);
        _checkSignature(consumerKey, digest, consumerSignature);
    }

    /// @dev Moves both sides' parts from their balances, and what came along, into escrow.
    function _lock(Terms calldata terms, address providerKey, address consumerKey) private {
        uint256 toProvider;
        uint256 toConsumer;
        if (msg.value != 0) {
            if (msg.sender == providerKey) {
                toProvider = msg.value;
                emit Deposited(terms.provider, msg.value);
            } else if (msg.sender == consumerKey) {
                toConsumer = msg.value;
                emit Deposited(terms.consumer, msg.value);
            } else {
                revert NotTheKeyOf(terms.consumer, msg.sender);
            }
        }
        (uint256 ofProvider, uint256 ofConsumer) = _escrow(terms);
        _draw(terms.provider, ofProvider, toProvider);
        _draw(terms.consumer, ofConsumer, toConsumer);
    }

    function _checkTerms(Terms calldata terms, address providerKey, address consumerKey) private view {
        address provider = terms.provider;
        address consumer = terms.consumer;
        if (provider == consumer || providerKey == consumerKey) revert BadTerms("both sides are the same");
        if (terms.start >= terms.end) revert BadTerms("end is not after start");
        if (terms.end >= terms.settleBy) revert BadTerms("settleBy is not after end");
        if (terms.settleBy > block.timestamp + LONGEST) revert BadTerms("settleBy is more than ten years ahead");
        uint256 count = terms.witnesses.length;
        if (count > MOST_WITNESSES) revert BadTerms("more than 32 witnesses");
        if (terms.quorum > count) revert BadTerms("quorum above the number of witnesses");
        if (2 * uint256(terms.quorum) <= count) revert BadTerms("quorum is not more than half of the witnesses");
        address last = address(0);
        for (uint256 i = 0; i < count; ++i) {
            address witness = terms.witnesses[i];
            if (witness <= last) revert BadTerms("witnesses do not ascend");
            if (witness == provider || witness == consumer || witness == providerKey || witness == consumerKey) {
                revert BadTerms("a side is a witness");
            }
            last = witness;
        }
    }

    /// @dev Checks and counts each vote, and credits its witness's fee.
    function _count(Terms calldata terms, Vote[] calldata votes, bytes32 agreement, uint256 excluded)
        private
        returns (uint256 kept, uint256 against)
    {
        uint256 next = 0;
        for (uint256 i = 0; i < votes.length; ++i) {
            uint8 place = votes[i].witness;
            if (place < next) revert VotesNotAscending(place);
            if (place >= terms.witnesses.length) revert NotAWitness(place);
            next = uint256(place) + 1;
            address witness = terms.witnesses[place];
            if (excluded & (1 << place) != 0) revert ExcludedWitness(witness);
            if (_take(agreement, witness, votes[i])) ++against;
            else ++kept;
            _credit(witness, terms.witnessFee);
        }
    }

    /// @return violated what the witness found
    function _take(bytes32 agreement, address witness, Vote calldata vote) private returns (bool violated) {
        violated = vote.violated;
        bytes32 evidence = vote.evidence;
        bytes32 digest = sealDigest(agreement, keccak256(abi.encode(violated, evidence, vote.salt)));
        _checkSignature(_keyOf(witness), digest, vote.signature);
        emit VoteCounted(agreement, witness, violated, evidence);
    }

    /// @dev What each side has in the escrow of an open agreement.
    function _escrow(Terms calldata terms) private pure returns (uint256 ofProvider, uint256 ofConsumer) {
        uint256 fees = terms.witnesses.length * terms.witnessFee;
        ofProvider = terms.compensation + fees / 2;
        ofConsumer = terms.price + (fees - fees / 2);
    }

    function _close(
        Terms calldata terms,
        bytes32 agreement,
        State state,
        uint256 toProvider,
        uint256 toConsumer
    ) private {
        _slots[agreement].state = state;
        _credit(terms.provider, toProvider);
        _credit(terms.consumer, toConsumer);
    }

    function _checkSignature(address signer, bytes32 digest, bytes calldata signature) private view {
        if (!SignatureChecker.isValidSignatureNowCalldata(signer, digest, signature)) revert BadSignature(signer);
    }

    // -- the participant registry ------------------------------------------------------------------------------------
    /// @dev The key that speaks for an account: its participant's present or last one, else the account itself.
    function _keyOf(address account) private view returns (address key) {
        if (address(_participants) == address(0)) return account;
        key = _participants.keyOf(account);
        if (key == address(0)) key = account;
    }

    /// @dev A participant that did not allow this contract as a holder is not obliged; the agreement opens all the same.
    function _oblige(address account) private returns (bool noted) {
        _needGas();
        try _participants.oblige{gas: REGISTRY_GAS}(account) {
            noted = true;
        } catch {}
    }

    /// @dev A registry that fails must not hold money back. It is given enough gas, so that no caller can make it fail.
    function _release(Terms calldata terms, Slot memory slot) private {
        if (slot.providerObliged) _settleObligation(terms.provider);
        if (slot.consumerObliged) _settleObligation(terms.consumer);
    }

    function _settleObligation(address account) private {
        _needGas();
        try _participants.settle{gas: REGISTRY_GAS}(account) {} catch {}
    }

    /// @dev A call gets at most 63/64 of what is left (EIP-150), less its own cost.
    function _needGas() private view {
        if (gasleft() < REGISTRY_GAS + REGISTRY_GAS / 32 + 5000) revert TooLittleGas();
    }

    // -- questions ---------------------------------------------------------------------------------------------------
    /// @inheritdoc IServiceAgreement
    function balanceOf(address account) external view returns (uint256) {
        return _balances[account];
    }

    /// @inheritdoc IServiceAgreement
    function stateOf(bytes32 agreement) external view returns (State) {
        return _slots[agreement].state;
    }

    /// @inheritdoc IServiceAgreement
    function excludedOf(bytes32 agreement) external view returns (uint32) {
        return _slots[agreement].excluded;
    }

    /// @inheritdoc IServiceAgreement
    function identifierOf(Terms calldata terms) public pure returns (bytes32) {
        return keccak256(
            abi.encode(
                TERMS_TYPEHASH,
                terms.provider,
                terms.consumer,
                terms.termsHash,
                terms.price,
                terms.compensation,
                terms.witnessFee,
                terms.start,
                terms.end,
                terms.settleBy,
                terms.quorum,
                keccak256(abi.encodePacked(terms.witnesses)),
                terms.nonce
            )
        );
    }

    /// @inheritdoc IServiceAgreement
    function termsDigest(bytes32 agreement) external view returns (bytes32) {
        return _hashTypedDataV4(agreement);
    }

    /// @inheritdoc IServiceAgreement
    function sealDigest(bytes32 agreement, bytes32 seal) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(SEAL_TYPEHASH, agreement, seal)));
    }

    /// @inheritdoc IServiceAgreement
    function cancelDigest(bytes32 agreement) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CANCEL_TYPEHASH, agreement)));
    }

    /// @inheritdoc IServiceAgreement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IServiceAgreement
    function participants() external view returns (address) {
        return address(_participants);
    }
}
