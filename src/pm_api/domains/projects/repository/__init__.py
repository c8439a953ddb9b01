"""Queries of projects, by what they are about."""
