"""Builders of Stripe objects, one module per family.

Each answers the full shape that API version 2026-10-28 publishes, as plain JSON values. They read no store
and no clock: ids, references and moments come in as arguments.
"""
