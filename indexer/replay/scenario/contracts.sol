// SPDX-License-Identifier: MIT
pragma solidity 0.8.19;

/// A price feed in Chainlink's shape whose answer is set by the player of the scenario; every set() is a round.
contract Aggregator {
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    uint8 public immutable decimals;
    string public description;
    uint80 public latestRound;
    int256 public latestAnswer;
    uint256 public latestTimestamp;

    constructor(uint8 decimals_, string memory description_, int256 answer) {
        decimals = decimals_;
        description = description_;
        set(answer);
    }

    function set(int256 answer) public {
        latestRound += 1;
        latestAnswer = answer;
        latestTimestamp = block.timestamp;
        emit AnswerUpdated(answer, latestRound, block.timestamp);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (latestRound, latestAnswer, latestTimestamp, latestTimestamp, latestRound);
    }
}

/// Morpho's oracle shape over an Aggregator: price = answer * scale, scale = 10^(36 + loan - collateral - feed decimals).
contract MorphoOracle {
    Aggregator public immutable feed;
    uint256 public immutable scale;

    constructor(Aggregator feed_, uint256 scale_) {
        feed = feed_;
        scale = scale_;
    }

    function price() external view returns (uint256) {
        return uint256(feed.latestAnswer()) * scale;
    }
}

/// Receives the surplus that the insurance fund distributes; the fund asks it which token it takes.
contract Beneficiary {
    address public immutable getToken;

    constructor(address token) {
        getToken = token;
    }
}

/// Many calls in one, behind the published signature aggregate3((address,bool,bytes)[]).
contract Multicall {
    struct Call {
        address target;
        bool mayFail;
        bytes data;
    }
    struct Answer {
        bool success;
        bytes data;
    }

    function aggregate3(Call[] calldata calls) external payable returns (Answer[] memory answers) {
        answers = new Answer[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (answers[i].success, answers[i].data) = calls[i].target.call(calls[i].data);
            require(answers[i].success || calls[i].mayFail, "a call failed");
        }
    }
}
