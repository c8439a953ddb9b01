"""Packs and bundles that were paid for become credits, once for each payment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from pm_api.core.platform import Platform
from pm_api.domains.ai_credits.book import Applied, LotDraft, Refused, canonical_json, fingerprint
from pm_api.domains.ai_credits.commands import Grant
from pm_api.domains.ai_credits.enums import AccountKind, LotKind
from pm_api.domains.ai_credits.ledger import apply, by_system
from pm_api.domains.ai_credits.models.catalogue import CreditPackLot
from pm_api.domains.ai_credits.models.ledger import CreditPack
from pm_api.domains.ai_credits.repository import ledger as repository
from pm_api.domains.ai_credits.store import Order


class Till(StrEnum):
    """Where a purchase was paid; lots carry it as their source type."""

    CHECKOUT = "stripe_checkout"
    PAYMENT = "stripe_payment"


@dataclass(frozen=True, slots=True)
class _Words:
    """How a till's purchases are written down: permanent."""

    key: str
    content: str
    detail: str


_WORDS = {
    Till.CHECKOUT: _Words("s:stripe:checkout", "stripe checkout", "checkoutSession"),
    Till.PAYMENT: _Words("s:stripe:payment", "stripe payment", "paymentIntent"),
}


class UnknownPack(Exception):
    """No such version of a pack was ever on offer."""


class PurchaseRefused(Exception):
    """The account cannot take what was paid for."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A pack that was paid for. Stripe's id of its checkout session or payment intent makes it one purchase."""

    account_kind: str
    account_id: UUID
    pack: str
    pack_version: int
    reference: str
    cost_minor: int | None
    cost_currency: str | None
    till: Till = Till.CHECKOUT


async def grant_purchase(session: AsyncSession, platform: Platform, purchase: Purchase) -> int:
    """Bring what a pack holds, once for ever for one payment. What was bought and what came on top are lots
    of their own, a bundle's each with its service; none ever expires. Returns the credits granted now, 0 when they
    were granted before; raises UnknownPack, and PurchaseRefused, after which the caller must roll back.
    """
    pack = await repository.pack(session, purchase.pack, purchase.pack_version)
    if pack is None:
        raise UnknownPack(f"pack {purchase.pack} version {purchase.pack_version} is unknown")
    reference, words = purchase.reference, _WORDS[purchase.till]
    parts = await repository.pack_lots(session, pack.name, pack.version)
    command = Grant(
        account_id=purchase.account_id,
        key=f"{words.key}:{reference}",
        fingerprint=fingerprint(words.content, reference),
        by=by_system(),
        lots=tuple(_lots(purchase, pack, parts)),
        description=f"{pack.name} credit pack",
        details=canonical_json({"pack": pack.name, "packVersion": pack.version, words.detail: reference}),
    )
    [answer] = await apply(session, platform, [Order(AccountKind(purchase.account_kind), command)])
    if not isinstance(answer.result, Applied):
        reason = answer.result.reason if isinstance(answer.result, Refused) else "the key belongs to another command"
        raise PurchaseRefused(f"purchase {reference} cannot be granted: {reason}")
    return 0 if answer.replayed else pack.credits + pack.bonus


def _lots(purchase: Purchase, pack: CreditPack, parts: Sequence[CreditPackLot]) -> Iterator[LotDraft]:
    """What was paid is split over a bundle's lots by their credits; the first takes what does not divide."""
    reference = purchase.reference
    whole = [(pack.credits, None)] if not parts else [(part.credits, part.service) for part in parts]
    cost = purchase.cost_minor
    shares = [None if cost is None else cost * credits // pack.credits for credits, _ in whole]
    if cost is not None:
        shares[0] = cost - sum(share or 0 for share in shares[1:])
    for number, ((credits, service), share) in enumerate(zip(whole, shares, strict=True)):
        yield LotDraft(
            kind=LotKind.PURCHASE,
            amount=credits,
            source_type=purchase.till.value,
            source_ref=reference if number == 0 else f"{reference}:{number + 1}",
            service=service,
            cost_minor=share,
            cost_currency=purchase.cost_currency,
        )
    if pack.bonus:
        yield LotDraft(
            kind=LotKind.BONUS, amount=pack.bonus, source_type=purchase.till.value, source_ref=f"{reference}:bonus"
        )


async def granted(session: AsyncSession, till: Till, references: Sequence[tuple[UUID, str]]) -> set[str]:
    """Those of the (account, Stripe's id) that brought credits, whatever became of them since."""
    return await repository.sources_with_lots(session, till, references)
