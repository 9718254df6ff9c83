"""The site: the ledger in; pages, JSON twins, feeds and a static copy of them all out.

In: published metrics, facts and readings, each with its block. Out: HTML that needs no JavaScript, JSON, Atom.
Never: asks a chain, writes to the ledger (subscriptions aside), prints an unknown as 0 or a number without its as-of.
"""
