"""How the account collects what was not paid: when it tries again, and what it does in the end."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pm_api.sandbox.stripe.billing.arithmetic import DAY_S
from pm_api.sandbox.stripe.store import Store

NAME = "collection"
LastStep = Literal["cancel", "unpaid", "past_due"]


@dataclass(frozen=True)
class CollectionRules:
    """Days after each failed attempt before the next, and what becomes of the subscription after the last."""

    retry_days: tuple[int, ...] = (3, 5, 7)
    last_step: LastStep = "cancel"

    def next_attempt(self, attempts_made: int, now: int) -> int | None:
        if not 1 <= attempts_made <= len(self.retry_days):
            return None
        return now + self.retry_days[attempts_made - 1] * DAY_S


def collection_rules(store: Store) -> CollectionRules:
    kept = store.setting(NAME)
    if kept is None:
        return CollectionRules()
    values = json.loads(kept)
    return CollectionRules(retry_days=tuple(values["retry_days"]), last_step=values["last_step"])


def set_collection_rules(store: Store, rules: CollectionRules) -> None:
    store.set_setting(NAME, json.dumps(asdict(rules)))
