"""Advice on getting more out of credits: pure, from what was used, bought and forecast."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from pm_api.domains.ai_credits.enums import Service
from pm_api.domains.ai_credits.schemas.insight import Suggestion, SuggestionCode

BOUGHT_DAYS: Final = 90
PERIOD_DAYS: Final = 30
MIN_USES: Final = 5
"""Below this, advice on a service is noise."""
MIN_PURCHASES: Final = 2
SIMILAR: Final[Mapping[Service, Service]] = {
    Service.PROJECT_ANALYSIS: Service.DOCUMENT_ANALYSIS,
    Service.WORKFLOW_OPTIMIZATION: Service.TASK_GENERATION,
    Service.DOCUMENT_ANALYSIS: Service.CHAT_ASSISTANT,
    Service.TASK_GENERATION: Service.CHAT_ASSISTANT,
}
"""What does similar work; it is only advised where it costs less at the time."""
FREE_INSTEAD: Final[Mapping[Service, str]] = {
    Service.SMART_NOTIFICATIONS: "Ordinary notifications cost no credits: keep the smart ones for what is urgent.",
    Service.INACTIVITY_REMINDER: "Due dates remind people without credits: set them, and keep this for old tasks.",
}
WORDS: Final[Mapping[Service, str]] = {one: one.value.replace("_", " ").lower() for one in Service}


@dataclass(frozen=True, slots=True)
class Ending:
    """A lot with what the forecast says will be left of it."""

    lot_id: UUID
    credits: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """`used` is net credits by service in thirty days; `bought` the packs' credits in ninety, bonus included."""

    used: Mapping[str, int]
    costs: Mapping[str, int]
    purchases: int
    bought: int
    paid: Mapping[str, int]
    plan_credits: int
    plans: Mapping[str, int]
    ending: Sequence[Ending]


def suggestions(facts: Facts) -> list[Suggestion]:
    """All that applies, what concerns most credits first."""
    found = [*_before_expiry(facts), *_cheaper_services(facts), *_free_features(facts), *_plan(facts)]
    return sorted(found, key=lambda one: (-one.credits_saved, one.code, str(one.service), str(one.lot_id)))


def _cheaper_services(facts: Facts) -> list[Suggestion]:
    found = []
    for service, other in SIMILAR.items():
        cost, other_cost = facts.costs.get(service, 0), facts.costs.get(other, 0)
        uses = facts.used.get(service, 0) // cost if cost else 0
        if uses < MIN_USES or not 0 < other_cost < cost:
            continue
        saved = uses * (cost - other_cost)
        found.append(
            Suggestion(
                code=SuggestionCode.CHEAPER_SERVICE,
                title=f"Try {WORDS[other]} where it will do",
                text=(
                    f"You used {WORDS[service]} {uses} times in {PERIOD_DAYS} days at {cost} credits. "
                    f"{WORDS[other].capitalize()} does similar work for {other_cost}."
                ),
                credits_saved=saved,
                service=service,
                instead=other,
            )
        )
    return found


def _free_features(facts: Facts) -> list[Suggestion]:
    return [
        Suggestion(
            code=SuggestionCode.FREE_FEATURE,
            title=f"Something free instead of {WORDS[service]}",
            text=f"{WORDS[service].capitalize()} took {used} credits in {PERIOD_DAYS} days. {advice}",
            credits_saved=used,
            service=service,
        )
        for service, advice in FREE_INSTEAD.items()
        if (used := facts.used.get(service, 0)) > 0 and used >= MIN_USES * facts.costs.get(service, 1)
    ]


def _plan(facts: Facts) -> list[Suggestion]:
    """Bought again and again, what a plan brings every month."""
    monthly = facts.bought * PERIOD_DAYS // BOUGHT_DAYS
    if facts.purchases < MIN_PURCHASES or monthly <= 0:
        return []
    enough = [(credits, name) for name, credits in facts.plans.items() if credits >= facts.plan_credits + monthly]
    larger = [(credits, name) for name, credits in facts.plans.items() if credits > facts.plan_credits]
    if not larger:
        return []
    credits, plan = min(enough) if enough else max(larger)
    covered = min(monthly, credits - facts.plan_credits)
    return [
        Suggestion(
            code=SuggestionCode.PLAN_INSTEAD_OF_PACKS,
            title=f"{plan} instead of packs",
            text=(
                f"You bought {facts.purchases} packs with {facts.bought} credits in {BOUGHT_DAYS} days, "
                f"about {monthly} a month. "
                f"{plan} brings {credits} credits every month."
            ),
            credits_saved=covered,
            plan=plan,
            paid=dict(facts.paid),
        )
    ]


def _before_expiry(facts: Facts) -> list[Suggestion]:
    return [
        Suggestion(
            code=SuggestionCode.SPEND_BEFORE_EXPIRY,
            title=f"{lot.credits} credits expire soon",
            text=(
                f"As things go, {lot.credits} credits expire unused on {lot.expires_at:%Y-%m-%d}. "
                "Run what is planned before then."
            ),
            credits_saved=lot.credits,
            lot_id=lot.lot_id,
            expires_at=lot.expires_at,
        )
        for lot in facts.ending
    ]
