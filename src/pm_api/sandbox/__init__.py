"""Doubles of the providers and the embedded PostgreSQL, for development and tests; never in production.

Imports nothing of the floors above core.
"""
