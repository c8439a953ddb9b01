"""Every slice that holds something of a person, imported once, so that its files, obstacles and endings are known.

A new slice with people's data registers them (`core.personal`) in a module of its own and is named here.
"""

from pm_api.domains.ai_credits import closing as ai_credits
from pm_api.domains.billing import closing as billing
from pm_api.domains.bug_reports import closing as bug_reports
from pm_api.domains.changes import closing as changes
from pm_api.domains.messages import closing as messages
from pm_api.domains.notifications import closing as notifications
from pm_api.domains.projects import departing as projects
from pm_api.domains.storage import closing as storage
from pm_api.domains.tasks import closing as task_talk
from pm_api.domains.tasks import departing as tasks
from pm_api.domains.team import departing as team
from pm_api.identity import leaving as identity

CONTRIBUTORS = (
    identity,
    changes,
    notifications,
    ai_credits,
    billing,
    projects,
    tasks,
    task_talk,
    team,
    messages,
    bug_reports,
    storage,
)
