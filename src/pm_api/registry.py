"""Every module with tables or jobs, imported once, so that Alembic and the worker know them all."""

from pm_api.core import tables as core_tables
from pm_api.domains.ai_credits import jobs as ai_credits_jobs
from pm_api.domains.ai_credits import models as ai_credits_models
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.domains.billing import models as billing_models
from pm_api.domains.changes import jobs as changes_jobs
from pm_api.domains.changes import models as changes_models
from pm_api.domains.notifications import models as notifications_models
from pm_api.domains.payments import models as payments_models
from pm_api.entitlements import models as entitlements_models
from pm_api.identity import jobs as identity_jobs
from pm_api.identity import models as identity_models
from pm_api.operations import jobs as operations_jobs
from pm_api.webhooks import jobs as webhooks_jobs

MODULES = (
    core_tables,
    ai_credits_jobs,
    ai_credits_models,
    billing_jobs,
    billing_models,
    changes_jobs,
    changes_models,
    notifications_models,
    payments_models,
    entitlements_models,
    identity_jobs,
    identity_models,
    operations_jobs,
    webhooks_jobs,
)
