"""Switches that make API calls fail, hang, or act and then not say so."""

from dataclasses import dataclass

from pm_api.sandbox.stripe.errors import ApiError, InjectedFailure, RateLimited
from pm_api.sandbox.stripe.store import Store


@dataclass(frozen=True)
class Fault:
    """Strikes the next `times` calls whose path starts with `path_prefix` (and whose method is `method`).

    First the delay, then the failure; with `act_then_fail` the call acts before either. Without a status the
    call is only slow, and its real answer follows.
    """

    path_prefix: str
    method: str | None
    status: int | None
    delay_s: float
    act_then_fail: bool

    def failure(self) -> ApiError | None:
        if self.status is None:
            return None
        return RateLimited() if self.status == 429 else InjectedFailure(self.status)


def take_fault(store: Store, method: str, path: str) -> Fault | None:
    """The oldest switch that fits, used once."""
    for sequence, _, body in store.faults():
        fault = Fault(**body)
        if path.startswith(fault.path_prefix) and fault.method in {None, method}:
            store.use_fault(sequence)
            return fault
    return None
