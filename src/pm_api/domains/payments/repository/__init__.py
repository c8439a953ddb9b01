"""Queries of the till, one module a noun."""
