// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Service level agreements: opened by two signatures, settled by sealed votes, never stuck
/// @notice One contract for all agreements, one slot for each. Money lies in internal balances: deposit, open, settle,
/// withdraw. The identifier of an agreement is the EIP-712 struct hash of its Terms; whoever acts on it hands the Terms in
/// again. Times are the chain's: Unix seconds of the block.
/// @dev EIP-712 domain: name "DAppOps ServiceAgreement", version "1", chainId, verifyingContract.
/// Terms(address provider,address consumer,bytes32 termsHash,uint128 price,uint128 compensation,uint128 witnessFee,uint64 start,uint64 end,uint64 settleBy,uint8 quorum,address[] witnesses,uint256 nonce)
/// Seal(bytes32 agreement,bytes32 seal) where seal = keccak256(abi.encode(violated, evidence, salt))
/// Cancel(bytes32 agreement)
interface IServiceAgreement {
    /// @notice What both sides sign.
    struct Terms {
        address provider;
        address consumer;
        bytes32 termsHash; // root of the agreement version's graph
        uint128 price; // wei, consumer to provider when kept
        uint128 compensation; // wei, provider to consumer when violated (the price goes back, too)
        uint128 witnessFee; // wei for each vote that comes, whichever way; half from each side, an odd wei from the consumer
        uint64 start; // Unix seconds; it can be opened up to here
        uint64 end; // votes count from here on
        uint64 settleBy; // up to here; afterwards anyone may expire it
        uint8 quorum; // equal votes that decide, more than half of the witnesses
        address[] witnesses; // ascending, at most 32, neither side among them
        uint256 nonce; // the same terms can be agreed again
    }

    /// @notice A witness's opened vote.
    struct Vote {
        uint8 witness; // place in Terms.witnesses, from 0; votes come in ascending places
        bool violated;
        bytes32 evidence; // digest of the witness's measurements
        bytes32 salt;
        bytes signature; // of Seal by the witness, or by the key that speaks for it
    }

    /// @notice Where an agreement is; only Open can change.
    enum State { None, Open, Kept, Violated, Expired, Cancelled }

    /// @notice An account has `amount` wei more to agree with.
    event Deposited(address indexed account, uint256 amount);
    /// @notice An account took `amount` wei out, to `to`.
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    /// @notice Both signed and what each may owe is set aside.
    event AgreementOpened(bytes32 indexed agreement, address indexed provider, address indexed consumer, bytes32 termsHash);
    /// @notice A witness voted; `evidence` is the digest of its measurements.
    event VoteCounted(bytes32 indexed agreement, address indexed witness, bool violated, bytes32 evidence);
    /// @param paid wei that one side owed the other: the price when kept, the compensation when violated
    event AgreementSettled(bytes32 indexed agreement, bool indexed violated, uint8 votesKept, uint8 votesViolated, uint256 paid);
    /// @notice No verdict in time: every side has its own back.
    event AgreementExpired(bytes32 indexed agreement);
    /// @notice Both sides ended it: every side has its own back.
    event AgreementCancelled(bytes32 indexed agreement);
    /// @notice The witness signed two seals: its vote does not count.
    event WitnessExcluded(bytes32 indexed agreement, address indexed witness, bytes32 oneSeal, bytes32 otherSeal);

    /// @notice Terms that no agreement can have.
    error BadTerms(string why);
    /// @notice Not possible in this state.
    error WrongState(bytes32 agreement, State state);
    /// @notice Not signed by `expected`, nor by the key that speaks for it.
    error BadSignature(address expected);
    /// @notice No witness at this place.
    error NotAWitness(uint8 place);
    /// @notice Votes come in ascending places, each once.
    error VotesNotAscending(uint8 place);
    /// @notice This witness signed two seals.
    error ExcludedWitness(address witness);
    /// @notice Twice the same seal is no contradiction.
    error NotEquivocal();
    /// @notice No verdict has enough votes.
    error NoQuorum(uint8 votesKept, uint8 votesViolated, uint8 quorum);
    /// @notice Not before `until`.
    error TooEarly(uint64 until);
    /// @notice Not after `since`.
    error TooLate(uint64 since);
    /// @notice The account has less than is wanted.
    error BalanceTooLow(address account, uint256 balance, uint256 wanted);
    /// @notice The caller does not speak for the account.
    error NotTheKeyOf(address account, address caller);
    /// @notice The receiver did not take it.
    error TransferFailed(address to);
    /// @notice Not enough gas to tell the registry; send more.
    error TooLittleGas();

    /// @notice Wei into the caller's balance.
    function deposit() external payable;
    /// @notice Wei into somebody's balance.
    function depositFor(address account) external payable;
    /// @notice Wei out of the caller's balance.
    function withdraw(uint256 amount) external;
    /// @notice For an account whose key was rotated, or a contract that takes no ether itself; by the key of the account.
    function withdrawFrom(address account, address payable to, uint256 amount) external;
    /// @notice By anyone who holds both signatures, until `start`. Ether sent along is credited to the caller's side first.
    function open(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature) external payable returns (bytes32 agreement);
    /// @notice By anyone, from `end` to `settleBy`; votes of distinct witnesses, each as sealed.
    function settle(Terms calldata terms, Vote[] calldata votes) external;
    /// @notice By anyone, after `settleBy`: every side gets its own back, the price goes to the consumer.
    function expire(Terms calldata terms) external;
    /// @notice By anyone who holds both signatures, before `end`: every side gets its own back.
    function cancel(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature) external;
    /// @notice By anyone who holds two different seals that one witness signed for one open agreement: its vote no longer counts.
    function exclude(Terms calldata terms, uint8 witness, bytes32 oneSeal, bytes calldata oneSignature, bytes32 otherSeal, bytes calldata otherSignature) external;

    /// @notice Wei that an account can withdraw or agree with.
    function balanceOf(address account) external view returns (uint256);
    /// @notice Where an agreement is.
    function stateOf(bytes32 agreement) external view returns (State);
    /// @notice Bit mask of the witnesses that do not count.
    function excludedOf(bytes32 agreement) external view returns (uint32 places);
    /// @notice EIP-712 struct hash of the terms: the name of the agreement.
    function identifierOf(Terms calldata terms) external pure returns (bytes32);
    /// @notice What both sides sign to open.
    function termsDigest(bytes32 agreement) external view returns (bytes32);
    /// @notice What a witness signs.
    function sealDigest(bytes32 agreement, bytes32 seal) external view returns (bytes32);
    /// @notice What both sides sign to cancel.
    function cancelDigest(bytes32 agreement) external view returns (bytes32);
    /// @notice Of EIP-712, for this chain and contract.
    function domainSeparator() external view returns (bytes32);
    /// @notice The registry that knows keys and takes note of obligations.
    function participants() external view returns (address registry);
}
