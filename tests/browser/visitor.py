"""What a person does on the hosted pages, with a photograph of each."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Page, Response

from tests.browser.stack import Stack

PAYS, OTHER_PAYS, DECLINES, ASKS, FAILS_LATER = (
    "4242 4242 4242 4242",
    "5555 5555 5555 4444",
    "4000 0000 0000 0002",
    "4000 0025 0000 3155",
    "4000 0000 0000 0341",
)
TRY = ("4242 4242 4242 4242", "6011 1111 1111 1117", "3056 9300 0902 0004", "3566 0020 2036 0505")
"""Cards that pay, one for each story that begins with a trial: no card has a second one."""


@dataclass
class Visitor:
    """One person's browser."""

    page: Page
    stack: Stack
    shots: Path
    story: str
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def shoot(self, what: str) -> None:
        """The whole page as it is now, for somebody to look at."""
        path = self.shots / f"{self.story}-{next(self._numbers):02d}-{what}.png"
        await self.page.screenshot(path=str(path), full_page=True)

    async def open(self, address: str, *, status: int = 200) -> Response:
        answer = await self.page.goto(address)
        assert answer is not None
        assert answer.status == status, f"{address} answered {answer.status}"
        return answer

    async def heading(self) -> str:
        return str(await self.page.locator("h1").inner_text())

    async def text(self) -> str:
        return str(await self.page.locator("main").inner_text())

    async def alert(self) -> str:
        """Why it was refused, as the page says it."""
        return str(await self.page.get_by_role("alert").inner_text())

    async def type_card(self, card: str, *, email: str | None = None) -> None:
        """Fill the card form in and send it off; the e-mail only where the page lets one."""
        box = self.page.locator("#email")
        if email is not None and await box.count() and await box.is_editable():
            await box.fill(email)
        await self.page.locator("#card_number").fill(card)
        await self.page.locator("#name").fill("Ada Lovelace")
        await self.page.locator("form:has(#card_number) button").click()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    @property
    def is_back(self) -> bool:
        """Whether they have come back to the application."""
        return bool(self.page.url.startswith(self.stack.site))
