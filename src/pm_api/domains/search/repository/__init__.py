"""Queries of search."""
