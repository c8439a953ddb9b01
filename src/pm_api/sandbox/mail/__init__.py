"""A mailbox for one machine: it takes every mail over real SMTP, sends none on, and shows them to a person.

Never in production, like all of the sandbox.
"""

from pm_api.sandbox.mail.app import create_app
from pm_api.sandbox.mail.server import MailReceiver, receiving
from pm_api.sandbox.mail.store import Faults, Mailbox

__all__ = ["Faults", "MailReceiver", "Mailbox", "create_app", "receiving"]
