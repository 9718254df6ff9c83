"""Which logs are still to fetch, in which requests, and how we know that an answer is complete.

In: filters of all segments and what the ledger covers. Out: ranges, merged filters, verified logs.
Never: stores anything, or takes an answer for complete because it came without an error.
"""
