"""Tables, one module a noun; imported together so that Alembic knows them all."""

from pm_api.domains.ai_credits.models import ledger

__all__ = ["ledger"]
