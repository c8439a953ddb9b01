"""Mails of notifications are composed here when the outbox sends them."""

from pm_api.domains.notifications import mails
from pm_api.domains.notifications.service import MAIL_KIND
from pm_api.outbox.service import composes

composes(MAIL_KIND)(mails.compose)
