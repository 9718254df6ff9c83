"""The alerts: metrics and facts in, messages to people who asked for them out.

In: rows of the ledger past the "live since" mark. Out: e-mails, webhooks and feeds' notices, each sent once.
Empty in this release: nothing is sent yet.
Never: computes a figure, alerts on history, or asks a chain.
"""
