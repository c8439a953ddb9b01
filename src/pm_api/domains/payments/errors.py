"""Refusals of the till."""

from pm_api.core.errors import Unprocessable


class BillingDetailsRefused(Unprocessable):
    """The payment provider does not take the name or the e-mail address of the account's owner."""

    code = "billing_details_refused"
