"""Shapes of forecast, analytics, suggestions, boards and badges. Credits are integers."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from pm_api.core.schema import ApiModel, Timestamp
from pm_api.domains.ai_credits.enums import EntryType, LotKind, Service


class ForecastReason(StrEnum):
    NO_HISTORY = "no_history"
    NO_USAGE = "no_usage"
    BEYOND_HORIZON = "beyond_horizon"


class GroupBy(StrEnum):
    SERVICE = "service"
    MEMBER = "member"
    DAY = "day"


class ExportFormat(StrEnum):
    JSON = "json"
    CSV = "csv"


class BoardPeriod(StrEnum):
    WEEK = "WEEK"
    MONTH = "MONTH"
    YEAR = "YEAR"
    ALL = "ALL"


class SuggestionCode(StrEnum):
    CHEAPER_SERVICE = "CHEAPER_SERVICE"
    PLAN_INSTEAD_OF_PACKS = "PLAN_INSTEAD_OF_PACKS"
    FREE_FEATURE = "FREE_FEATURE"
    SPEND_BEFORE_EXPIRY = "SPEND_BEFORE_EXPIRY"


class AchievementCode(StrEnum):
    FIRST_SPEND = "FIRST_SPEND"
    SPENT_100 = "SPENT_100"
    SPENT_1000 = "SPENT_1000"
    SPENT_10000 = "SPENT_10000"
    SEVEN_DAYS_RUNNING = "SEVEN_DAYS_RUNNING"
    FIRST_REFERRAL = "FIRST_REFERRAL"
    FIRST_GIFT = "FIRST_GIFT"
    EARNED_100 = "EARNED_100"
    EARNED_1000 = "EARNED_1000"
    TOP_OF_THE_MONTH = "TOP_OF_THE_MONTH"


class RunOut(ApiModel):
    """When usage meets the last credit. One time in ten it comes before p10, one in ten after p90."""

    p10: Timestamp | None = Field(description="Early; null when it lies beyond the horizon.")
    p50: Timestamp | None = Field(description="In the middle; null when it lies beyond the horizon.")
    p90: Timestamp | None = Field(description="Late; null when it lies beyond the horizon.")


class LotUnused(ApiModel):
    """A lot that will not be used up before it ends."""

    lot_id: UUID = Field(description="Id of the lot.")
    kind: LotKind = Field(description="Where its credits came from.")
    credits: int = Field(description="Credits that expire unused, as things go.", examples=[40])
    expires_at: Timestamp = Field(description="When they do.")


class ComingGrant(ApiModel):
    """Plan credits that renewal brings."""

    credits: int = Field(description="Credits, after what pays off a debt.", examples=[100])
    at: Timestamp = Field(description="When they come.")


class PackChoice(ApiModel):
    """The pack that closes the gap for the least money."""

    name: str = Field(description="Name of the pack.", examples=["MEDIUM"])
    quantity: int = Field(description="How often to buy it.", examples=[1])
    credits: int = Field(description="Credits of all of them, bonus included.", examples=[550])
    price: int = Field(description="Price of all of them in minor units.", examples=[899])
    currency: str = Field(description="ISO 4217.", examples=["USD"])


class PlanChoice(ApiModel):
    """The smallest plan whose credits last a period of this usage."""

    name: str = Field(description="Name of the plan.", examples=["INDIVIDUAL_PRO"])
    credits_per_period: int = Field(description="Credits it brings each period.", examples=[100])


class ForecastRead(ApiModel):
    """What becomes of an account's credits if usage goes on as it went."""

    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    reason: ForecastReason | None = Field(
        description="Why there is no p50: no_history (fewer than three whole days), no_usage, or beyond_horizon."
    )
    exact: bool = Field(description="Whether the past repeats itself exactly, so that this follows from it.")
    horizon_days: int = Field(description="How far the forecast looks.", examples=[365])
    history_days: int = Field(description="Whole days it is made from.", examples=[90])
    daily_usage: float | None = Field(description="Mean credits a day in that time.", examples=[3.5])
    available: int = Field(description="Credits that may be spent now.", examples=[97])
    held: int = Field(description="Credits of open holds, taken for spent.", examples=[0])
    run_out: RunOut = Field(description="When nothing will be left, with how much certainty.")
    expiring_unused: list[LotUnused] = Field(description="Lots that end before they are used up, first to end first.")
    expiring_unused_total: int = Field(description="Their credits added up.", examples=[40])
    next_grant: ComingGrant | None = Field(description="The next renewal; later ones are reckoned with too.")
    buy_by: date | None = Field(description="Latest UTC day to buy on, from p10; null when nothing runs out.")
    gap: int = Field(description="Credits lacking in the thirty days after `buyBy`.", examples=[120])
    cheapest_pack: PackChoice | None = Field(description="What closes the gap for the least money.")
    smallest_plan: PlanChoice | None = Field(description="A plan that brings enough, when this one does not.")


class ForecastAnswer(ApiModel):
    forecast: ForecastRead = Field(description="How the credits will go, if usage goes on as it went.")


class UsageFigures(ApiModel):
    """Usage added up."""

    gross: int = Field(description="Credits spent.", examples=[30])
    refunded: int = Field(description="Credits of these that were given back since.", examples=[4])
    net: int = Field(description="What remains spent.", examples=[26])
    entries: int = Field(description="Spends.", examples=[9])


class ComparedFigures(UsageFigures):
    """Usage beside that of the time before."""

    net_before: int = Field(description="Net credits in the time before.", examples=[20])


class UsageByService(ComparedFigures):
    service: Service | None = Field(description="The service; null for spends without one.")


class UsageByMember(ComparedFigures):
    member_id: UUID | None = Field(description="The user; null for the system.")


class UsageByDay(UsageFigures):
    day: date = Field(description="The UTC day.", examples=["2026-03-01"])


class TimeBefore(UsageFigures):
    """The time of equal length before."""

    from_: Timestamp = Field(alias="from", description="Where it begins, included.")
    to: Timestamp = Field(description="Where it ends, not included.")


class AnalyticsRead(ApiModel):
    """Usage of an account in a time of whole UTC days, against the time of equal length before."""

    account_id: UUID = Field(description="The wallet's user or the pool's workspace.")
    type: EntryType | None = Field(
        description="Only lines of this type: `gross` and `net` are the credits they moved, whichever way. Null for "
        "usage: spends, less what was given back of them since."
    )
    from_: Timestamp = Field(alias="from", description="Where the time begins, included.")
    to: Timestamp = Field(description="Where it ends, not included.")
    totals: UsageFigures = Field(description="All of the time asked for.")
    before: TimeBefore = Field(description="The same of the equal time before.")
    net_change: int = Field(description="Net of this time minus net of the time before.", examples=[6])
    net_change_percent: float | None = Field(
        description="The same in percent of the time before; null when that was nothing.", examples=[30.0]
    )
    members_shown: bool = Field(
        description="Whether `byMember` tells of everybody, or (without credits.manage in a pool) of yourself only."
    )
    by_service: list[UsageByService] | None = Field(description="Largest first; null when grouped otherwise.")
    by_member: list[UsageByMember] | None = Field(
        description="The thousand who used most, largest first; null when grouped otherwise."
    )
    by_day: list[UsageByDay] | None = Field(description="Every day of the time; null when grouped otherwise.")


class AnalyticsAnswer(ApiModel):
    analytics: AnalyticsRead = Field(description="Usage in the time asked for.")


class Suggestion(ApiModel):
    """One way to get more out of the credits."""

    code: SuggestionCode = Field(description="What kind of advice it is.")
    title: str = Field(description="In a few words.", examples=["10 credits expire soon"])
    text: str = Field(description="In a sentence or two.")
    credits_saved: int = Field(description="Credits it concerns: saved in thirty days, or kept from expiry.")
    service: Service | None = Field(None, description="The service it is about.")
    instead: Service | None = Field(None, description="The service to use instead.")
    plan: str | None = Field(None, description="The plan to take.", examples=["INDIVIDUAL_PRO"])
    paid: dict[str, int] = Field(
        default_factory=dict,
        description="What the packs cost, in minor units by currency.",
        examples=[{"USD": 1798}],
    )
    lot_id: UUID | None = Field(None, description="The lot that ends.")
    expires_at: Timestamp | None = Field(None, description="When it ends.")


class Suggestions(ApiModel):
    suggestions: list[Suggestion] = Field(description="What concerns most credits first.")


class Ranked(ApiModel):
    """A place on a board. Equal credits share a rank."""

    rank: int = Field(description="From 1.", examples=[1])
    user_id: UUID = Field(description="The member.")
    name: str = Field(description="Their name.", examples=["Ann Archer"])
    credits: int = Field(description="Credits.", examples=[120])
    achievements: list[AchievementCode] = Field(description="Their badges, oldest first.")


class LeaderboardRead(ApiModel):
    """Two boards of a workspace's present members; empty when it has switched them off."""

    enabled: bool = Field(description="Whether the workspace shows its boards.")
    workspace_id: UUID = Field(description="The workspace.")
    period: BoardPeriod = Field(
        description="The UTC calendar week (from Monday), month or year at hand, or all time."
    )
    from_: Timestamp | None = Field(alias="from", description="Where the period begins; null for all time.")
    earned: list[Ranked] = Field(
        description="By credits their own wallets were brought by referrals, gifts and bonuses; the first hundred."
    )
    spent: list[Ranked] = Field(description="By credits of the pool they used, net; the first hundred.")


class LeaderboardAnswer(ApiModel):
    leaderboard: LeaderboardRead = Field(description="Who earned and who spent most.")


class AchievementRead(ApiModel):
    """A badge."""

    id: UUID = Field(description="Id of the badge.")
    code: AchievementCode = Field(description="What it is for.")
    reason: str = Field(description="Why it was given.", examples=["Spent 100 credits in all"])
    workspace_id: UUID | None = Field(description="Where it was earned, when it belongs to one workspace.")
    earned_at: Timestamp = Field(description="When it was earned.")


class Achievements(ApiModel):
    achievements: list[AchievementRead] = Field(description="Newest first; each is earned once.")
