"""The calculator: ledger in, metrics out.

Comes in: facts, readings, prices and what was observed of a segment. Goes out: metric rows with window, quality,
reason and the digest of their inputs. Every module but compute.py is pure arithmetic: numbers in, numbers out.
This room never asks a chain, never turns an unknown into a number, and never nets one segment against another.
"""
