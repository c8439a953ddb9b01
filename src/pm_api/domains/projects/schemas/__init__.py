"""Shapes of projects on the wire."""
