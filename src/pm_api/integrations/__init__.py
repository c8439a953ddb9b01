"""Typed doors to other people's services. Frozen dataclasses in our nouns come out; no SDK object passes."""
