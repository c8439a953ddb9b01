"""Refusals of storage."""
