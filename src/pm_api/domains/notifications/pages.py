"""The two small pages behind the link at the foot of a mail."""

import html
from typing import Final

from pm_api.domains.notifications.enums import Category, Delivery

WORDS: Final[dict[Category | Delivery, str]] = {
    Category.CREDITS: "about your credits",
    Category.BILLING: "about payments",
    Category.WORKSPACE: "about your workspaces",
    Category.SECURITY: "about the security of your account",
    Category.REMINDERS: "that remind you",
    Category.TASKS: "about tasks",
    Category.MESSAGES: "about messages",
    Category.CALENDAR: "about your calendar",
    Category.FILES: "about files",
    Delivery.INSTANT: "that are sent at once, but for payments and the security of your account",
    Delivery.HOURLY: "that gather what is new every hour",
    Delivery.DAILY: "that gather what is new every day",
    Delivery.WEEKLY: "that gather what is new every week",
}


def question(of: Category | Delivery) -> str:
    """A form that posts to the address it was read from."""
    return _page(
        "Stop these mails?",
        f"You will get no more mails {WORDS[of]}. Inside the app you are still told.",
        '<form method="post"><button>Stop these mails</button></form>',
    )


def done(of: Category | Delivery) -> str:
    return _page(
        "Done",
        f"You will get no more mails {WORDS[of]}. You can switch them on again in the app's settings.",
        "",
    )


def _page(title: str, text: str, rest: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{html.escape(title)}</title>"
        "<style>:root{color-scheme:light dark}body{font:17px/1.55 system-ui,sans-serif;max-width:30rem;"
        "margin:14vh auto 0;padding:0 1.25rem}h1{font-size:1.4rem;line-height:1.3}"
        "button{font:inherit;font-weight:600;padding:.7rem 1.2rem;border:0;border-radius:.5rem;background:#4b45d1;"
        "color:#fff;cursor:pointer}button:focus-visible{outline:3px solid #8f8bff;outline-offset:2px}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{rest}</html>"
    )
