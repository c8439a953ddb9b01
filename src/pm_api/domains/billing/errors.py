"""Refusals of billing."""

from pm_api.core.errors import Conflict, NotFound, Unprocessable


class PlanNotForAccount(Unprocessable):
    """This plan does not fit the account: INDIVIDUAL_PRO belongs to a user, TEAM and ENTERPRISE to a workspace.

    The free plan is what an account has without any other; it is neither bought nor agreed upon.
    """

    code = "plan_not_for_account"


class SubscriptionExists(Conflict):
    """The account has a live subscription. End it first: an account has one of them, or a contract."""

    code = "subscription_exists"


class ContractNotFound(NotFound):
    """The account has no contract that runs or is to begin."""

    code = "contract_not_found"


class ContractBegun(Conflict):
    """The contract has begun, so its beginning stays as it is. To begin anew, end it and set another one."""

    code = "contract_begun"


class InvalidContract(Unprocessable):
    """Something in the contract does not fit together; `details` names the fields.

    It lasts a whole number of months, at most 120, and is not over; what the plan leaves to the contract is in it.
    """

    code = "invalid_contract"
