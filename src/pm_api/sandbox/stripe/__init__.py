"""A Stripe for development and tests: its wire protocol, a hosted checkout page and an event log.

It speaks API version 2026-10-28 to the official SDK, keeps its state in SQLite, signs and retries webhooks, and
fails on demand. Imports nothing of the floors above; only the command line and tests start it, and never in
production.
"""

from pm_api.sandbox.stripe.app import create_app
from pm_api.sandbox.stripe.webhooks import sign_payload

__all__ = ["create_app", "sign_payload"]
