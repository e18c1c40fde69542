// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Service level agreements: opened by two signatures, settled by sealed votes, never stuck
/// @notice One contract for all agreements; one slot for each. Money lives in internal balances: deposit, open, settle,
/// withdraw. The identifier of an agreement is the EIP-712 struct hash of its Terms.
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
        uint128 witnessFee; // wei for each vote that comes, whichever way; half from each side
        uint64 start; // Unix seconds
        uint64 end;
        uint64 settleBy; // afterwards anyone may expire it
        uint8 quorum; // equal votes that decide, more than half of the witnesses
        address[] witnesses;
        uint256 nonce; // the same terms can be agreed again
    }

    struct Vote {
        bool violated;
        bytes32 evidence; // digest of the witness's measurements
        bytes32 salt;
        bytes signature; // of Seal by the witness
    }

    enum State { None, Open, Kept, Violated, Expired, Cancelled }

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event AgreementOpened(bytes32 indexed agreement, address indexed provider, address indexed consumer, bytes32 termsHash);
    event VoteCounted(bytes32 indexed agreement, address indexed witness, bool violated, bytes32 evidence);
    event AgreementSettled(bytes32 indexed agreement, bool violated, uint8 votesFor, uint8 votesAgainst, uint256 paid);
    event AgreementExpired(bytes32 indexed agreement);
    event AgreementCancelled(bytes32 indexed agreement);

    error BadTerms(string why);
    error WrongState(bytes32 agreement, State state);
    error BadSignature(address expected);
    error NotAWitness(address signer);
    error TwiceVoted(address witness);
    error NoQuorum(uint8 votesFor, uint8 votesAgainst, uint8 quorum);
    error TooEarly(uint64 until);
    error TooLate(uint64 since);
    error BalanceTooLow(address account, uint256 balance, uint256 wanted);
    error TransferFailed(address to);

    function deposit() external payable;
    function withdraw(uint256 amount) external;
    function open(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature) external returns (bytes32 agreement);
    /// @notice After `end` and up to `settleBy`; votes of distinct witnesses, each as sealed.
    function settle(Terms calldata terms, Vote[] calldata votes) external;
    /// @notice After `settleBy` anyone gives every side its own back.
    function expire(Terms calldata terms) external;
    function cancel(Terms calldata terms, bytes calldata providerSignature, bytes calldata consumerSignature) external;

    function balanceOf(address account) external view returns (uint256);
    function stateOf(bytes32 agreement) external view returns (State);
    function identifierOf(Terms calldata terms) external view returns (bytes32);
    function sealDigest(bytes32 agreement, bytes32 seal) external view returns (bytes32);
}
