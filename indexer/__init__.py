"""The indexer: chains and venues into the ledger.

In: JSON-RPC nodes, venue APIs, fund files. Out: blocks, raw logs, facts, readings, prices, coverage.
Never: computes a metric, knows a page, or writes a row without the coverage that proves it complete.
"""
