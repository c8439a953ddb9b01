"""Shapes of messages on the wire, by noun."""
