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

    struct Vote {
        uint8 witness; // place in Terms.witnesses, from 0; votes come in ascending places
        bool violated;
        bytes32 evidence; // digest of the witness's measurements
        bytes32 salt;
        bytes signature; // of Seal by the witness, or by the key that speaks for it
    }

    enum State { None, Open, Kept, Violated, Expired, Cancelled }

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, address indexed to, uint256 amount);
    event AgreementOpened(bytes32 indexed agreement, address indexed provider, address indexed consumer, bytes32 termsHash);
    event VoteCounted(bytes32 indexed agreement, address indexed witness, bool violated, bytes32 evidence);
    /// @param paid wei that one side owed the other: the price when kept, the compensation when violated
    event AgreementSettled(bytes32 indexed agreement, bool indexed violated, uint8 votesKept, uint8 votesViolated, uint256 paid);
    event AgreementExpired(bytes32 indexed agreement);
    event AgreementCancelled(bytes32 indexed agreement);
    event WitnessExcluded(bytes32 indexed agreement, address indexed witness, bytes32 oneSeal, bytes32 otherSeal);

    error BadTerms(string why);
    error WrongState(bytes32 agreement, State state);
    error BadSignature(address expected);
    error NotAWitness(uint8 place);
    error VotesNotAscending(uint8 place);
    error ExcludedWitness(address witness);
    error NotEquivocal();
    error NoQuorum(uint8 votesKept, uint8 votesViolated, uint8 quorum);
    error TooEarly(uint64 until);
    error TooLate(uint64 since);
    error BalanceTooLow(address account, uint256 balance, uint256 wanted);
    error NotTheKeyOf(address account, address caller);
    error TransferFailed(address to);
    error TooLittleGas();

    function deposit() external payable;
    function depositFor(address account) external payable;
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

    function balanceOf(address account) external view returns (uint256);
    function stateOf(bytes32 agreement) external view returns (State);
    function excludedOf(bytes32 agreement) external view returns (uint32 places);
    function identifierOf(Terms calldata terms) external pure returns (bytes32);
    function termsDigest(bytes32 agreement) external view returns (bytes32);
    function sealDigest(bytes32 agreement, bytes32 seal) external view returns (bytes32);
    function cancelDigest(bytes32 agreement) external view returns (bytes32);
    function domainSeparator() external view returns (bytes32);
    function participants() external view returns (address registry);
}
