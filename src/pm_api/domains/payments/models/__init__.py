"""Tables of the till, one module a noun."""

from pm_api.domains.payments.models import checkouts, customers

__all__ = ["checkouts", "customers"]
