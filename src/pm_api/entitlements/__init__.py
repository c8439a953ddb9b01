"""Entitlements: what an account has bought, which plan and which limits, from when until when.

Owns plans (what is on offer) and entitlements. Promises: an account without a row is on the free plan; what has ended
or whose grace is over gives the free plan's limits from that moment on, by the clock; an older word never replaces a
newer one. Billing writes, everyone reads, so that no slice has to ask billing.
"""
