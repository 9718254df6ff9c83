"""The scenario: a leveraged-market crash played with genuine contract code on a local anvil node.

In: a seed, the anvil binary, a node_modules folder with the contract packages, the price path in prices.json.
Out: a running node with the whole history on it, and a manifest of addresses, actors and moments.
Never: contract code of third parties in this repository, a key of a real chain, or a network beyond loopback.
"""
