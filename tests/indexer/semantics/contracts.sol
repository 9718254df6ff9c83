// SPDX-License-Identifier: MIT
pragma solidity ^0.8.0;

contract Child {
    event Loss(address indexed account, uint256 amount);

    constructor(uint256 amount) {
        emit Loss(msg.sender, amount);
    }

    function lose(uint256 amount) external {
        emit Loss(msg.sender, amount);
    }
}

contract Factory {
    event Created(address indexed child, uint256 seed);

    function create(uint256 amount) external {
        Child child = new Child(amount);
        emit Created(address(child), amount);
        child.lose(amount + 1);
    }
}

// Claims that any contract is its child.
contract Forger {
    event Created(address indexed child, uint256 seed);

    function announce(address child) external {
        emit Created(child, 0);
    }
}

contract Proxy {
    address public implementation;

    function upgrade(address to) external {
        implementation = to;
    }

    fallback() external {
        (bool done, ) = implementation.delegatecall(msg.data);
        require(done);
    }
}

contract FirstLayout {
    event Covered(address indexed account, uint256 amount);

    function cover(uint256 amount) external {
        emit Covered(msg.sender, amount);
    }
}

// Another event: another first topic.
contract SecondLayout {
    event Covered(address indexed account, uint256 amount, uint256 fee);

    function cover(uint256 amount) external {
        emit Covered(msg.sender, amount, 5);
    }
}

// The first event's topic in another layout.
contract UnknownLayout {
    event Covered(address account, uint256 amount);

    function cover(uint256 amount) external {
        emit Covered(msg.sender, amount);
    }
}

contract Extremes {
    event Unsigned(uint256 amount);
    event Signed(int256 amount);

    function emitAll() external {
        emit Unsigned(type(uint256).max);
        emit Unsigned(0);
        emit Signed(type(int256).min);
        emit Signed(type(int256).max);
        emit Signed(-1);
    }
}

// As old tokens are: the symbol is a word, and nobody can ask for the decimals.
contract OldToken {
    event Transfer(address indexed from, address indexed to, uint256 value);

    bytes32 public constant symbol = "OLD";
    mapping(address => uint256) public balanceOf;

    function give(address to, uint256 value) external {
        unchecked {
            balanceOf[to] += value;
        }
        emit Transfer(address(0), to, value);
    }
}
