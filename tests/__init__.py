"""Tests, in the rooms of what they test. A package, so that no other package named tests can take its place."""
