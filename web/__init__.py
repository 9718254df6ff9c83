"""The public face: pages, their JSON twins, feeds, and the same pages as a static tree.

In: answers of the ledger. Out: HTML, JSON, Atom, SVG; the same bytes whether served or published.
Never: writes the ledger (subscriptions aside), computes a metric, reads a chain, or prints an unknown as a number.
"""
