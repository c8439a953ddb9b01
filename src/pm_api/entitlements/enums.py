"""Words of entitlements."""

from enum import StrEnum


class Plan(StrEnum):
    FREE = "FREE"
    INDIVIDUAL_PRO = "INDIVIDUAL_PRO"
    TEAM_STANDARD = "TEAM_STANDARD"
    TEAM_PREMIUM = "TEAM_PREMIUM"
    ENTERPRISE = "ENTERPRISE"


class AccountType(StrEnum):
    USER = "USER"
    WORKSPACE = "WORKSPACE"


class Status(StrEnum):
    """GRACE: a payment is due, access stays until the grace ends. ENDED: over, whatever the dates say."""

    ACTIVE = "ACTIVE"
    TRIALING = "TRIALING"
    GRACE = "GRACE"
    ENDED = "ENDED"


class Source(StrEnum):
    """What brought an entitlement."""

    SUBSCRIPTION = "SUBSCRIPTION"
    CONTRACT = "CONTRACT"


class Support(StrEnum):
    EMAIL = "EMAIL"
    PRIORITY = "PRIORITY"
    AROUND_THE_CLOCK = "24/7"


class Metric(StrEnum):
    """What is counted against a limit."""

    USERS = "USERS"
    STORAGE = "STORAGE"
    AI_CREDITS = "AI_CREDITS"
    API_CALLS = "API_CALLS"
    PROJECTS = "PROJECTS"
    TASKS = "TASKS"
    API_KEYS = "API_KEYS"
