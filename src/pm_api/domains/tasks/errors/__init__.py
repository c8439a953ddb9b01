"""Refusals, one module a noun."""
