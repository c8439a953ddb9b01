"""Feeds hold ids alone: nothing in them tells of anybody once the rows behind the ids do not."""

from pm_api.core.personal import keeps_back
from pm_api.domains.changes.models import StreamTicket

keeps_back(StreamTicket, "a secret, good for half a minute")
