"""Refusals of the calendar, one module a noun."""
