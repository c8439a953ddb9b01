"""One letter of every sort, as their slices write them; and one of words that are longer than any line."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pm_api.integrations.mail import Letter, Section, SectionItem

SITE: Final = "https://app.acme.example"
NOW: Final = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
TOKEN: Final = "Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6"
LONG: Final = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2
UNSUBSCRIBE: Final = f"https://api.acme.example/api/notifications/unsubscribe?token={TOKEN}"


def _letter(type: str, title: str, body: str, reason: str, **more: Any) -> Letter:
    return Letter(
        type=type,
        title=title,
        body=body,
        reason=reason,
        product="Acme Projects",
        site_url=SITE,
        **{"name": "Zoë Öztürk", "time_zone": "Europe/Berlin", **more},
    )


def _stoppable(type: str, title: str, body: str, reason: str, **more: Any) -> Letter:
    urls = {"unsubscribe_url": UNSUBSCRIBE, "settings_url": f"{SITE}/settings/notifications"}
    return _letter(type, title, body, reason, **urls, **more)


def _until(hours: int) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


def _item(title: str, text: str, hours_ago: int, link: str | None = "/credits") -> SectionItem:
    return SectionItem(title, text, None if link is None else f"{SITE}{link}", NOW - timedelta(hours=hours_ago))


GALLERY: Final[dict[str, Letter]] = {
    "invitation": _letter(
        "team.invitation",
        "Ann Example invites you to Rocket Works",
        "Ann Example would like you to join the workspace Rocket Works.\n"
        "You would come in as MEMBER, with the address zoe@example.com.",
        "Ann Example entered this address to invite you.",
        link=f"{SITE}/invitations/{TOKEN}",
        data={"workspaceName": "Rocket Works", "linkExpiresAt": _until(7 * 24)},
    ),
    "event": _letter(
        "calendar.letter",
        "Invitation: Sprint planning",
        "Ann Example invites you to a meeting.\nWhat comes next.",
        "Ann Example entered this address to invite you, in the workspace Rocket Works.",
        link=f"{SITE}/api/calendar/invitations/{TOKEN}",
        action="Answer the invitation",
        data={
            "eventWhen": "Monday, 4 March 2030, 09:00–10:00 (America/Argentina/Buenos_Aires)",
            "eventRecurs": "Every week on Monday at 09:00, 10 times",
            "eventWhere": "Room 4",
            "eventOrganizer": "Ann Example",
        },
    ),
    "verify": _letter(
        "identity.verify",
        "Confirm your e-mail address",
        "Open the link once, and this address is known to be yours.",
        "You get this because an account was opened with this address.",
        link=f"{SITE}/verify-email?token={TOKEN}",
        data={"linkExpiresAt": _until(24)},
    ),
    "reset": _letter(
        "identity.reset",
        "Set a new password",
        "Open the link and choose a new password. You will be signed out everywhere else.",
        "You get this because somebody asked for a new password for the account with this address.",
        link=f"{SITE}/reset-password?token={TOKEN}",
        data={"linkExpiresAt": _until(1)},
    ),
    "change_email": _letter(
        "identity.change_email",
        "Confirm your new e-mail address",
        "Open the link, and from then on you sign in with this address.",
        "You get this because an account is to be moved to this address.",
        link=f"{SITE}/verify-email?token={TOKEN}",
        data={"linkExpiresAt": _until(1)},
    ),
    "security": _letter(
        "identity.security",
        "A new sign-in to your account",
        "Somebody signed in from a device that we have not seen before.",
        "It is about the door to your account, so nobody can switch these off.",
        link=f"{SITE}/settings/security",
        data={
            "occurredAt": NOW.isoformat(),
            "device": "Firefox 145 on Linux",
            "ipAddress": "2001:db8:85a3:8d3:1319:8a2e:370:7348",
            "signInMethod": "Google",
        },
    ),
    "low_balance": _stoppable(
        "credits.low_balance",
        "At most 20 % of the credits are left",
        "18 credits are left of 100 after the last grant. The SMALL pack brings 100 credits. Most went into analyses "
        "of projects at 5 credits; the chat assistant does similar work for 2.",
        "They are your credits.",
        link=f"{SITE}/credits",
        data={"percent": 20, "available": 18, "base": 100},
    ),
    "reminder": _stoppable(
        "reminders.inactivity",
        "You have not been here for 14 days",
        "4 notifications wait for you:\n• Ben gave you 5 credits\n• Rocket Works has a new name\n"
        "• 40 credits expire within 7 days",
        "You switched this reminder on. It cost 1 credit of your wallet.",
        link=f"{SITE}/notifications",
        data={"days": 14, "unread": 4, "credits": 1},
    ),
    "receipt": _letter(
        "billing.receipt",
        "Receipt: 99.99 USD",
        "Rocket Works: TEAM_STANDARD, monthly. 99.99 USD were paid, invoice ACME-0042.",
        "You manage the plan and the bills of Rocket Works.",
        link=f"{SITE}/dashboard/billing",
        data={
            "workspaceName": "Rocket Works",
            "plan": "TEAM_STANDARD",
            "billingInterval": "MONTHLY",
            "number": "ACME-0042",
            "credits": 500,
            "amount": 9999,
            "currency": "USD",
            "cardLast4": "4242",
            "paidAt": NOW.isoformat(),
            "nextPaymentAt": "2026-12-21T00:00:00Z",
        },
    ),
    "weekly_digest": _stoppable(
        "notification.digest",
        "Your week: 37 unread",
        "",
        "You chose one mail a week for what is unread. It comes on Mondays at 08:00.",
        link=f"{SITE}/notifications",
        action="See all",
        sections=(
            Section(
                "Credits",
                (
                    _item("At most 20 % of the credits are left", "18 credits are left of 100.", 3),
                    _item("Ben gave you 5 credits", "“For the launch. Thank you!”", 30),
                    _item("40 credits expire within 7 days", "", 80),
                ),
            ),
            Section(
                "Workspaces",
                (
                    _item("Rocket Works has a new name", "It is called Apex Works now.", 50, "/workspaces/1"),
                    _item("مرحبا بكم في مساحة العمل", "تمت إضافتك كعضو.", 90, None),
                ),
            ),
        ),
        more=32,
    ),
    "message": _stoppable(
        "team.message",
        "Ann Example to Rocket Works",
        "Tomorrow we ship.\nPlease look over your open tasks tonight, and say what cannot be done.\nThank you all!",
        "You are a member of Rocket Works.",
        link=f"{SITE}/workspaces/1",
    ),
    "export": _letter(
        "account.export",
        "Your data is ready",
        "All that we hold about you is in one file.",
        "You asked for your data.",
        link=f"{SITE}/settings/export/1",
        data={"linkExpiresAt": _until(7 * 24)},
    ),
    "deletion": _letter(
        "account.deletion",
        "Your account will be deleted",
        "In seven days it goes for good, with all that is yours alone.",
        "You asked us to delete your account.",
        link=f"{SITE}/settings/account",
        data={"deletesAt": _until(7 * 24)},
    ),
    "general": _stoppable(
        "workspace.renamed",
        "Rocket Works has a new name",
        "It is called Apex Works now.",
        "You are a member of it.",
        link=f"{SITE}/workspaces/1",
    ),
    "long_words": _stoppable(
        "billing.receipt",
        LONG,
        f"{LONG}\n{LONG}{LONG}",
        LONG,
        link=f"{SITE}/{'x' * 400}",
        action=LONG[:58],
        data={"workspaceName": LONG, "number": LONG, "amount": 123456789012, "currency": "USD", "device": LONG},
    ),
    "long_words_invitation": _letter(
        "team.invitation",
        f"{LONG} invites you",
        LONG,
        LONG,
        link=f"{SITE}/{'x' * 400}",
        data={"linkExpiresAt": _until(1)},
        time_zone="America/Argentina/ComodRivadavia",
    ),
    "long_words_digest": _stoppable(
        "notification.digest",
        "Your day: 2 unread",
        "",
        LONG,
        link=f"{SITE}/notifications",
        action="See all",
        sections=(Section("Workspaces", (_item(LONG, LONG * 2, 3), _item("Short", LONG, 5, None))),),
    ),
    "long_words_message": _stoppable("team.message", LONG, f"{LONG}\n{LONG}", LONG, link=SITE),
}
"""By name. What is long here has no place to break."""
