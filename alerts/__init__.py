"""The alerts: metrics and facts in, messages to people who asked for them out.

In: rows of the ledger past the "live since" mark (ruling.py, thresholds in rules.toml). Out: alerts with their
deliveries, in one transaction; then e-mails, webhooks and operators' channels (delivery.py, channels/), at least once.
Never: computes a metric, announces history, sends twice without the same message id, or asks a chain.
"""
