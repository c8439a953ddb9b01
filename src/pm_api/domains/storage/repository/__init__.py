"""Queries of storage, by noun."""
