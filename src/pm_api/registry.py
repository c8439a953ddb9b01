"""Every module with tables or jobs, imported once, so that Alembic and the worker know them all."""

from pm_api.core import tables as core_tables
from pm_api.domains.account import jobs as account_jobs
from pm_api.domains.account import models as account_models
from pm_api.domains.account import notices as account_notices
from pm_api.domains.ai_credits import belongings as ai_credits_belongings
from pm_api.domains.ai_credits import jobs as ai_credits_jobs
from pm_api.domains.ai_credits import models as ai_credits_models
from pm_api.domains.billing import jobs as billing_jobs
from pm_api.domains.billing import models as billing_models
from pm_api.domains.billing.flows import checkouts as checkout_flows
from pm_api.domains.billing.flows import payment_methods as payment_method_flows
from pm_api.domains.billing.flows import portal as portal_flows
from pm_api.domains.bug_reports import models as bug_reports_models
from pm_api.domains.calendar import jobs as calendar_jobs
from pm_api.domains.calendar import models as calendar_models
from pm_api.domains.changes import jobs as changes_jobs
from pm_api.domains.changes import models as changes_models
from pm_api.domains.messages import attaching as messages_attaching
from pm_api.domains.messages import belongings as messages_belongings
from pm_api.domains.messages import jobs as messages_jobs
from pm_api.domains.messages import models as messages_models
from pm_api.domains.notifications import jobs as notifications_jobs
from pm_api.domains.notifications import models as notifications_models
from pm_api.domains.payments import models as payments_models
from pm_api.domains.projects import departing as projects_departing
from pm_api.domains.projects import jobs as projects_jobs
from pm_api.domains.projects import models as projects_models
from pm_api.domains.reminders import jobs as reminders_jobs
from pm_api.domains.search import models as search_models
from pm_api.domains.storage import jobs as storage_jobs
from pm_api.domains.storage import join_jobs as storage_join_jobs
from pm_api.domains.storage import models as storage_models
from pm_api.domains.tasks import attaching as tasks_attaching
from pm_api.domains.tasks import departing as tasks_departing
from pm_api.domains.tasks import jobs as tasks_jobs
from pm_api.domains.tasks import keeping as tasks_keeping
from pm_api.domains.tasks import models as tasks_models
from pm_api.domains.team import jobs as team_jobs
from pm_api.domains.team import models as team_models
from pm_api.domains.webhooks_out import jobs as webhooks_out_jobs
from pm_api.domains.webhooks_out import models as webhooks_out_models
from pm_api.entitlements import models as entitlements_models
from pm_api.identity import jobs as identity_jobs
from pm_api.identity import models as identity_models
from pm_api.operations import jobs as operations_jobs
from pm_api.outbox import jobs as outbox_jobs
from pm_api.outbox import models as outbox_models
from pm_api.webhooks import jobs as webhooks_jobs

MODULES = (
    core_tables,
    account_jobs,
    account_models,
    ai_credits_belongings,
    account_notices,
    ai_credits_jobs,
    ai_credits_models,
    billing_jobs,
    billing_models,
    checkout_flows,
    portal_flows,
    payment_method_flows,
    bug_reports_models,
    calendar_jobs,
    calendar_models,
    changes_jobs,
    changes_models,
    messages_attaching,
    messages_belongings,
    messages_jobs,
    messages_models,
    notifications_jobs,
    notifications_models,
    payments_models,
    projects_departing,
    projects_jobs,
    projects_models,
    search_models,
    storage_jobs,
    storage_join_jobs,
    storage_models,
    tasks_attaching,
    tasks_departing,
    tasks_jobs,
    tasks_keeping,
    tasks_models,
    webhooks_out_jobs,
    webhooks_out_models,
    reminders_jobs,
    team_jobs,
    team_models,
    entitlements_models,
    identity_jobs,
    identity_models,
    operations_jobs,
    outbox_jobs,
    outbox_models,
    webhooks_jobs,
)
