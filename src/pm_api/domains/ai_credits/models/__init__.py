"""Tables, one module a noun; imported together so that Alembic knows them all."""

from pm_api.domains.ai_credits.models import (
    catalogue,
    corrections,
    gifts,
    insight,
    leads,
    ledger,
    pools,
    topups,
    usage_logs,
)

__all__ = ["catalogue", "corrections", "gifts", "insight", "leads", "ledger", "pools", "topups", "usage_logs"]
