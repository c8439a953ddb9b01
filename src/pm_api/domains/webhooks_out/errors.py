"""Refusals of outgoing webhooks."""

from pm_api.core.errors import Conflict, Unprocessable


class WebhookUrlRefused(Unprocessable):
    """Webhooks are not sent to this address.

    An address begins with https:// and leads to a host on the public internet: not to this machine, a private network
    or a cloud's own services. It holds no user, no password and no part after #. What a name leads to is looked at
    again each time something is sent; `POST /api/webhook-endpoints/{id}/test` shows what comes of it.
    """

    code = "webhook_url_refused"


class TooManyWebhookEndpoints(Conflict):
    """A workspace has at most 20 webhook endpoints. Delete one, or let one of them take more events."""

    code = "too_many_webhook_endpoints"


class WebhookEndpointDisabled(Conflict):
    """Nothing is sent to this endpoint, because it is disabled. Enable it first."""

    code = "webhook_endpoint_disabled"
