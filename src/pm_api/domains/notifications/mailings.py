"""Mails of several notifications: digests, and what waited for the end of quiet hours.

A mailing is made in one transaction with taking its notifications up and putting its mail into the outbox: a worker
that dies before has done nothing, one that comes second finds nothing left. What it says is read when it is sent:
what is unread then, wanted by mail, and may be seen; nothing of that, no mail.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.notifications import mails, preferences, rules
from pm_api.domains.notifications.enums import REQUIRED, Category, Delivery
from pm_api.domains.notifications.models import Notification, NotificationPreferences
from pm_api.domains.notifications.repository import choices
from pm_api.domains.notifications.repository import mailings as repository
from pm_api.domains.notifications.repository.mailings import Due
from pm_api.domains.notifications.repository.rows import Wait
from pm_api.identity.models.people import User
from pm_api.integrations.mail import Letter, Recipient, Section, SectionItem
from pm_api.outbox import service as outbox
from pm_api.outbox.service import Claim, Composed, NewMail, Unwanted

KIND: Final = "notification.mailing"
LETTER: Final = "notification.digest"
LINK: Final = "/notifications"
MOST_SHOWN: Final = 30
LABELS: Final = {
    Category.SECURITY: "Security of your account",
    Category.BILLING: "Payments",
    Category.CREDITS: "Credits",
    Category.WORKSPACE: "Workspaces",
    Category.REMINDERS: "Reminders",
    Category.TASKS: "Tasks",
    Category.MESSAGES: "Messages",
    Category.CALENDAR: "Calendar",
    Category.FILES: "Files",
}
PERIODS: Final = {
    Delivery.INSTANT: "While you were not to be disturbed",
    Delivery.HOURLY: "Your last hour",
    Delivery.DAILY: "Your day",
    Delivery.WEEKLY: "Your week",
}
REASONS: Final = {
    Delivery.INSTANT: "These waited for the end of your quiet hours.",
    Delivery.HOURLY: "You chose one mail an hour for what is unread.",
    Delivery.DAILY: "You chose one mail a day for what is unread.",
    Delivery.WEEKLY: "You chose one mail a week for what is unread.",
}


# --- gathering -------------------------------------------------------------------------------------------------


async def gather_each(session: AsyncSession, platform: Platform, found: Sequence[Due]) -> None:
    """One mail for each that is due still."""
    for one in found:
        await gather(session, platform, one)


async def gather(session: AsyncSession, platform: Platform, one: Due) -> bool:
    """One mail of what waits for one person; False when it is not time yet after all, or another worker was faster.

    Quiet hours are asked again, because they may have changed.
    """
    now = platform.clock.now()
    ids = await repository.lock_due(session, one)
    if not ids:
        return False
    zone, chosen = (await choices.zones_and_choices(session, [one.user_id]))[one.user_id]
    rhythm = preferences.rhythm_of(chosen, zone)
    quiet_until = rules.quiet_until(now, rhythm)
    if quiet_until is not None:
        await choices.put_off(session, ids, Wait(quiet_until, one.delivery))
        return False
    mailing_id = platform.randomness.uuid()
    if not await repository.insert_mailing(session, mailing_id, one, now):
        # Told so late that its digest is made already: it comes with the next.
        later = rules.due_at(now, one.delivery, rhythm) or now
        await choices.put_off(session, ids, Wait(later, one.delivery))
        return False
    await repository.take_up(session, ids, mailing_id)
    await outbox.put(session, platform, [NewMail(KIND, mailing_id, one.user_id, is_urgent=True)])
    return True


# --- saying it -------------------------------------------------------------------------------------------------


async def compose(session: AsyncSession, platform: Platform, claimed: Claim) -> Composed | Unwanted:
    """The mail of a mailing as of now. What waited alone for its hour is a mail of its own."""
    found = await repository.mailing(session, claimed.subject_id)
    if found is None:
        return Unwanted("forgotten")
    mailing, user, chosen = found
    wanted = [one.value for one in Category if preferences.wants_mail(chosen, one)]
    rows, count = await repository.contents(session, mailing.id, wanted, platform.clock.now(), limit=MOST_SHOWN)
    if not rows:
        return Unwanted("nothing_unread")
    delivery = Delivery(mailing.delivery)
    if delivery is Delivery.INSTANT and count == 1:
        return mails.alone(platform, rows[0], user)
    unsubscribe = _unsubscribe(platform, user, delivery, rows)
    return Composed(
        Recipient(user.email, user.name),
        _letter(platform, user, chosen, delivery, rows, count, unsubscribe),
        unsubscribe,
    )


def _unsubscribe(platform: Platform, user: User, delivery: Delivery, rows: Sequence[Notification]) -> str | None:
    """What its link stops: the digest; of what waited for its hour only its category, where all is of one."""
    categories = {Category(row.category) for row in rows} - REQUIRED
    if not categories:
        return None
    is_of_one = delivery is Delivery.INSTANT and len(categories) == 1
    return mails.unsubscribe_url(platform, user.id, categories.pop() if is_of_one else delivery)


def _letter(
    platform: Platform,
    user: User,
    chosen: NotificationPreferences | None,
    delivery: Delivery,
    rows: Sequence[Notification],
    count: int,
    unsubscribe: str | None,
) -> Letter:
    site = platform.settings.site_url.rstrip("/")
    return Letter(
        type=LETTER,
        title=f"{PERIODS[delivery]}: {count} unread",
        body="",
        reason=_reason(chosen, delivery),
        product=platform.settings.smtp.sender_name,
        site_url=site,
        name=user.name,
        link=f"{site}{LINK}",
        action="See all",
        time_zone=user.time_zone,
        settings_url=f"{site}{mails.SETTINGS_PATH}",
        unsubscribe_url=unsubscribe,
        sections=sections_of(rows, site),
        more=count - len(rows),
    )


def _reason(chosen: NotificationPreferences | None, delivery: Delivery) -> str:
    if delivery is Delivery.INSTANT or delivery is Delivery.HOURLY:
        return REASONS[delivery]
    rhythm = preferences.rhythm_of(chosen, "UTC")
    day = f" on {rhythm.digest_weekday.capitalize()}s" if delivery is Delivery.WEEKLY else ""
    return f"{REASONS[delivery]} It comes{day} at {rhythm.digest_hour:02}:00."


def sections_of(rows: Sequence[Notification], site: str) -> tuple[Section, ...]:
    """By category in the order of weight, newest first."""
    return tuple(
        Section(
            label,
            tuple(
                SectionItem(
                    mails.title_of(row), row.body, None if row.link is None else f"{site}{row.link}", row.created_at
                )
                for row in rows
                if row.category == category
            ),
        )
        for category, label in LABELS.items()
        if any(row.category == category for row in rows)
    )
