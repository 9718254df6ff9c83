"""The memory: tables, their history, every SQL statement.

In: rows from the indexer and metrics from the calculator. Out: answers to the questions of every other room.
Never: knows another room, fetches anything, or decides what a number means.
"""
