"""Queries of the calendar, one module a noun."""
