"""The first version of the API: the ledger's funds, numbers, readings, events and sources as lists for programs.

In: parameters, each of them bounded. Out: JSON as answers.py and models.py describe it, problems as RFC 9457 has
them, and the description of both as OpenAPI 3.1. It shares its rows with the JSON twins of the pages.
It never writes, never prints a number without its block and time, and never changes a field's meaning.
"""
