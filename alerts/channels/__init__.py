"""The ways out: a parcel in, a receipt or ChannelError out; one small module each, blind to the others.

Never: opens the ledger, decides who gets what, or tries twice.
"""
