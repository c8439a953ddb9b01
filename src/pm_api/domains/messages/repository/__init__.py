"""Queries of messages, by noun."""
