"""Checks that are run by `make lint`, beside the test suite."""
