"""Recorded chain data: written by a recorder or an import, served again as a JSON-RPC node.

In: a JSON-RPC node to listen to, or files of real data. Out: recordings (docs/recordings.md), and a node over HTTP
that answers from them.
Never: an answer that was not recorded, contract code, or a decision about what a log means.
"""
