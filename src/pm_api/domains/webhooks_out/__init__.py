"""Outgoing webhooks: a workspace's changes, told to the addresses its admins name.

Promises: every change in a workspace's feed that all its members may see and that an endpoint's filter lets through
reaches the endpoint, those of one entity in the order of their commits, signed by Standard Webhooks; a repetition has
the id of the first. It is tried for three days, and what is given up stays in the log to be replayed. No request is
sent with a session in hand, two workers never send for one endpoint at once. Owns webhook_endpoints,
webhook_deliveries and webhook_attempts.
"""
