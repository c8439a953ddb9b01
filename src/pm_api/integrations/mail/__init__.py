"""Mail: a typed door over SMTP, letters as frozen dataclasses, and what turns words into them.

No object of the SMTP library passes this package; what can go wrong is one of four errors.
"""

from pm_api.integrations.mail.door import MailDeferred, MailDoor, MailRefused, MailServer, MailUnavailable
from pm_api.integrations.mail.message import Attachment, Mail, Recipient, build, message_id_of
from pm_api.integrations.mail.rendering import Letter, Rendered, Section, SectionItem, render

__all__ = [
    "Attachment",
    "Letter",
    "Mail",
    "MailDeferred",
    "MailDoor",
    "MailRefused",
    "MailServer",
    "MailUnavailable",
    "Recipient",
    "Rendered",
    "Section",
    "SectionItem",
    "build",
    "message_id_of",
    "render",
]
