"""How events reach the endpoint: as they come, or twice, late, out of order, or never. Set by a control route."""

import json
from dataclasses import asdict, dataclass

from pm_api.sandbox.stripe.store import Store

SETTING = "delivery_manners"
COUNTED = "delivery_events"
STEP_S = 0.25
"""Between two events of a group that is turned round."""


@dataclass(frozen=True)
class Manners:
    """`duplicate`: sent so many times more. `delay_s`: each waits so long. `reorder`: of each so many the last goes
    first. `drop_every`: of each so many the last never goes, and stays undelivered. They hold for events whose type
    begins so; without any, for all.
    """

    duplicate: int = 0
    delay_s: float = 0
    reorder: int = 0
    drop_every: int = 0
    type_prefix: str = ""


@dataclass(frozen=True)
class Way:
    """What happens to one event."""

    is_dropped: bool = False
    wait_s: float = 0
    copies: int = 0


def manners_of(store: Store) -> Manners:
    return Manners(**json.loads(store.setting(SETTING) or "{}"))


def set_manners(store: Store, wanted: Manners) -> None:
    """From the next event on, which is the first that is counted."""
    store.set_setting(SETTING, json.dumps(asdict(wanted)))
    store.set_setting(COUNTED, "0")


def way_of(store: Store, event_type: str) -> Way:
    """The next event's, which is counted by this."""
    manners = manners_of(store)
    if manners == Manners() or not event_type.startswith(manners.type_prefix):
        return Way()
    number = int(store.setting(COUNTED) or 0)
    store.set_setting(COUNTED, str(number + 1))
    turned = (manners.reorder - 1 - number % manners.reorder) * STEP_S if manners.reorder > 1 else 0
    return Way(
        is_dropped=manners.drop_every > 0 and (number + 1) % manners.drop_every == 0,
        wait_s=manners.delay_s + turned,
        copies=manners.duplicate,
    )
