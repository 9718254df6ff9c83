"""The only JSON-RPC client: transport, provider pool, error table, limiter.

In: requests for headers, logs, code and contract calls. Out: typed answers that name who gave them, or a ChainError.
Never: decodes an event, opens the ledger, or turns a missing answer into a value.
"""
