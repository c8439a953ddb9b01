"""Tables, one module a noun; imported together so that Alembic knows them all."""

from pm_api.domains.billing.models import contracts

__all__ = ["contracts"]
