"""Shapes of the calendar on the wire, one module a noun."""
