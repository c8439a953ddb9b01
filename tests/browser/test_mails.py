"""How every sort of letter looks when it has arrived: in a narrow window, in the dark, with words that do not end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser
from pydantic import SecretStr

from pm_api.core.settings import SmtpSettings
from pm_api.integrations.mail import Mail, MailDoor, Recipient, render
from tests.support.letters import GALLERY, NOW
from tests.support.mail import SENDER, Post, post_office

LEAST_CONTRAST: Final = 4.5
"""WCAG 2.2, 1.4.3: of text this size."""

MEASURE: Final = """
() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim(), of = walk.currentNode.parentElement;
    if (!words || !of.offsetParent || words === '·') continue;
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    const [above, below] = [light(getComputedStyle(of).color), light(ground(of))].sort((a, b) => b - a);
    found.push({words: words.slice(0, 40), contrast: (above + 0.05) / (below + 0.05), left: box.left,
                right: box.right});
  }
  return {texts: found, width: document.documentElement.scrollWidth};
}
"""


@pytest.fixture(scope="module")
async def post() -> AsyncIterator[Post]:
    async with post_office() as opened:
        yield opened


async def arrived(post: Post, name: str) -> str:
    """The HTML that a mailbox got over SMTP."""
    said, to = GALLERY[name], f"{name}@example.com"
    if not post.to(to):
        door = MailDoor(SmtpSettings(url=SecretStr(post.url), sender=SENDER, sender_name="Acme"))
        written = render(said)
        await door.send(
            Mail(Recipient(to), written.subject, written.text, written.html, f"<{name}@acme.example>", NOW)
        )
    return post.to(to)[0].part("html")


@pytest.mark.parametrize("name", sorted(GALLERY))
@pytest.mark.parametrize("width", [320, 640])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read(
    chromium: Browser, post: Post, shots: Path, name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    """Nothing reaches out of the window, and every word stands out from what is behind it."""
    context = await chromium.new_context(viewport={"width": width, "height": 500}, color_scheme=scheme)
    try:
        page = await context.new_page()
        await page.set_content(await arrived(post, name))
        await page.screenshot(path=shots / f"mail_{name}_{scheme}_{width}.png", full_page=True)
        measured: dict[str, Any] = await page.evaluate(MEASURE)
    finally:
        await context.close()
    assert measured["width"] <= width
    assert len(measured["texts"]) >= 5
    for one in measured["texts"]:
        assert one["contrast"] >= LEAST_CONTRAST, one
        assert one["left"] >= 0, one
        assert one["right"] <= width, one
