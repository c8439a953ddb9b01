"""A real browser on the real `make run`. Only `make test-browser` collects this package."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

WANTED = os.environ.get("PM_BROWSER") == "1"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Its modules import a library that `make test` does without.
collect_ignore_glob = [] if WANTED else ["*.py"]

if WANTED:
    from playwright.async_api import Browser, async_playwright

    from tests.browser.stack import Stack, open_stack
    from tests.browser.visitor import Visitor

    SHOTS = pytest.StashKey[Path]()

    @pytest.fixture(scope="session")
    def shots(request: pytest.FixtureRequest) -> Path:
        """Where the screenshots go; `PM_BROWSER_SHOTS` names another folder."""
        chosen = os.environ.get("PM_BROWSER_SHOTS")
        folder = Path(chosen) if chosen else Path(tempfile.mkdtemp(prefix="pm-browser-"))
        folder.mkdir(parents=True, exist_ok=True)
        request.config.stash[SHOTS] = folder
        return folder

    @pytest.fixture(scope="session")
    async def chromium() -> AsyncIterator[Browser]:
        """The browser that this machine has; nothing is downloaded."""
        path = os.environ.get("PM_CHROMIUM") or next(filter(None, map(shutil.which, COMMANDS)), None)
        if path is None:
            pytest.skip(f"no browser: none of {', '.join(COMMANDS)} is installed, and PM_CHROMIUM names none")
        async with async_playwright() as playwright:
            # As root, which containers are, Chromium only starts without its own sandbox.
            rootless = hasattr(os, "geteuid") and os.geteuid() != 0
            browser = await playwright.chromium.launch(executable_path=path, chromium_sandbox=rootless)
            yield browser
            await browser.close()

    @pytest.fixture(scope="session")
    async def running_stack(chromium: Browser) -> AsyncIterator[Stack]:
        """One `make run` for all tests: business time is the installation's, and only goes on."""
        async with open_stack() as stack:
            yield stack

    @pytest.fixture
    async def stack(running_stack: Stack) -> Stack:
        assert running_stack.is_alive, running_stack.said()
        return running_stack

    @pytest.fixture
    async def visitor(
        chromium: Browser, stack: Stack, shots: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[Visitor]:
        """Somebody with a browser of their own, and a photograph of whatever a test fails at."""
        context = await chromium.new_context(viewport={"width": 1100, "height": 900}, accept_downloads=True)
        context.set_default_timeout(15_000)
        visitor = Visitor(await context.new_page(), stack, shots, request.node.name.removeprefix("test_"))
        yield visitor
        await visitor.shoot("end")
        await context.close()

    def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if SHOTS in config.stash:
            terminalreporter.write_line(f"screenshots: {config.stash[SHOTS]}")
