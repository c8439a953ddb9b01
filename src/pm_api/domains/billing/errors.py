"""Refusals of billing."""

from typing import Final

from pm_api.core.errors import Conflict, NotFound, PaymentRequired, Unprocessable

BESIDE_A_CONTRACT: Final = (
    "This account has a contract, which runs or is to begin and takes the place of a subscription. It cannot be "
    "ended here: write to sales."
)


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


class PlanNotOnSale(Unprocessable):
    """This plan cannot be bought with this billing interval: there is no price for it on sale at Stripe.

    `GET /api/billing/plans` lists what is on offer. An operator puts prices on sale: `POST /api/billing/sync-prices`.
    """

    code = "plan_not_on_sale"


class PaymentMethodUnusable(Unprocessable):
    """This payment method cannot be used for this account.

    It must come from a setup intent of the same account: `POST /api/billing/payment-methods/setup-intent`. One that
    was taken away once cannot be added again; take it anew.
    """

    code = "payment_method_unusable"


class LastPaymentMethod(Conflict):
    """A live subscription is paid with this payment method, and there is no other.

    Add another one first, or end the subscription.
    """

    code = "last_payment_method"


class InvalidCardExpiry(Unprocessable):
    """The bank does not take this month and year: the date has passed, or it is not a card that has one."""

    code = "invalid_card_expiry"


class PromotionCodeInvalid(Unprocessable):
    """This promotion code cannot be used; `reason` says why.

    `unknown`, `inactive`, `expired` and `used_up` speak of the code; `other_customer` and `first_time_only` of who
    asks; `minimum_amount`, `other_currency` and `nothing_to_pay` of what is bought. Credits come of a payment alone:
    a code that makes a pack or bundle cost nothing cannot be used for it (`nothing_to_pay`).
    """

    code = "promotion_code_invalid"


class NothingToConfirm(Conflict):
    """This purchase does not wait for anybody: it was paid, declined or called off."""

    code = "nothing_to_confirm"


class TooManyPrices(Conflict):
    """Stripe has more products or prices than one synchronisation takes in. Archive what is no longer used."""

    code = "too_many_prices"


class SubscriptionNotFound(NotFound):
    """The account has no live subscription. `POST /api/billing/subscriptions` begins one."""

    code = "subscription_not_found"


class ContactSales(Unprocessable):
    """ENTERPRISE is agreed upon in a contract, not bought here. Write to sales."""

    code = "contact_sales"


class PlanUnchanged(Conflict):
    """The subscription has this plan and billing interval already, or is going to have it."""

    code = "plan_unchanged"


class SubscriptionNotChangeable(Conflict):
    """Nothing can be changed while a payment is due or the subscription has not begun: see `subscriptionStatus`.

    Pay the open invoice first, or end the subscription.
    """

    code = "subscription_not_changeable"


class SubscriptionEnding(Conflict):
    """The subscription has been canceled and ends with its period. Take that back first: `POST …/resume`."""

    code = "subscription_ending"


class ChangeAwaitsPayment(Conflict):
    """An upgrade waits for its payment. Pay it with its `clientSecret`, or let it lapse: that takes a day."""

    code = "change_awaits_payment"


class NothingToResume(Conflict):
    """The subscription goes on as it is: it was not canceled, and no change of plan is scheduled."""

    code = "nothing_to_resume"


class InvalidQuote(Unprocessable):
    """This is not a quote of this account for this change. Ask for a new one: `POST …/preview`."""

    code = "invalid_quote"


class QuoteExpired(Conflict):
    """The quote holds no longer. Ask for a new one: `POST …/preview`. Nothing was changed or charged."""

    code = "quote_expired"


class QuoteChanged(Conflict):
    """Something else would be charged now than the quote says, so nothing was changed or charged.

    The subscription, its discount or the customer's balance is another since. Ask for a new one: `POST …/preview`.
    """

    code = "quote_changed"


class SubscriptionRefused(Unprocessable):
    """Stripe does not begin or change this subscription; `reason` is its word for why. Nothing was charged."""

    code = "subscription_refused"


class InvoiceNotFinal(Conflict):
    """This invoice is still a draft: it has no number and no file yet. It is finished within about an hour."""

    code = "invoice_not_final"


class InvoiceHasNoFile(NotFound):
    """Of an automatic charge Stripe makes no invoice, and so no file.

    The invoice itself (`GET /api/billing/invoices/{id}`) says what was charged, when and for what.
    """

    code = "invoice_has_no_file"


class InvoiceNotPaid(Conflict):
    """Nothing was paid for this by card, so there is nothing to give back."""

    code = "invoice_not_paid"


class RefundExceedsPayment(Conflict):
    """That much is not left of the payment. `left` says how much is, in minor units.

    Refunds that are under way count already.
    """

    code = "refund_exceeds_payment"


class PaymentDisputed(Conflict):
    """The cardholder disputes this payment at their bank, which holds the money: it cannot be refunded as well."""

    code = "payment_disputed"


class RefundRefused(Conflict):
    """Stripe does not make this refund; `reason` is its word for why."""

    code = "refund_refused"


class ReturnUrlNotAllowed(Unprocessable):
    """The payment page may not lead back to this address; `details` names the field.

    An operator says which origins are allowed: `PM_RETURN_ORIGINS`; else the site's own and those that may call from
    a browser.
    """

    code = "return_url_not_allowed"


class CheckoutRefused(Unprocessable):
    """Stripe does not open this payment page; `reason` is its word for why. Nothing was charged."""

    code = "checkout_refused"


class InvalidWindow(Unprocessable):
    """The window of time must end after it begins, and be no longer than 366 days."""

    code = "invalid_window"


class SubscriptionIncomplete(Conflict):
    """Another subscription waits for its first payment. Pay it, or cancel it first to begin this one.

    It is of another plan or interval, or has another promotion code. The same request again answers it with its
    `clientSecret`; `POST /api/billing/subscription/cancel` ends it, and nothing of it was charged.
    """

    code = "subscription_incomplete"


class BankDeclined(PaymentRequired):
    """The bank declined this card; `declineCode` is its reason, where it tells one. Nothing was charged or begun.

    Try another payment method.
    """

    code = "card_declined"
