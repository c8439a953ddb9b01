"""Files are asked of Stripe alone, or of what stands in for it, wherever an invoice says that they are."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr

from pm_api.core.settings import StripeSettings
from pm_api.integrations.stripe import StripeDoor, files
from tests.support.settings import STRIPE_KEY


def door(api_base: str) -> StripeDoor:
    return StripeDoor(StripeSettings(secret_key=SecretStr(STRIPE_KEY), api_base=api_base))


@pytest.mark.parametrize("api_base", ["", "http://127.0.0.1:8901"])
async def test_stripes_own_address_is_asked_as_it_is(api_base: str) -> None:
    opened = door(api_base)
    address = "https://pay.stripe.com/invoice/acct_1/live_2/pdf?s=ap"
    assert str(files._first_asked(opened, address)) == address
    await opened.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://pay.stripe.com/invoice/pdf",
        "https://pay.stripe.com:8443/invoice/pdf",
        "https://stripe.com.example/invoice/pdf",
        "https://paystripe.com/invoice/pdf",
        "https://169.254.169.254/latest/meta-data",
        "http://localhost:5432/",
        "file:///etc/passwd",
        "https://bucket.s3.amazonaws.com/invoice",
    ],
)
async def test_no_other_address_is_asked(address: str) -> None:
    opened = door("")
    with pytest.raises(httpx.InvalidURL):
        files._first_asked(opened, address)
    await opened.close()


async def test_at_a_stand_in_the_path_alone_counts() -> None:
    opened = door("http://127.0.0.1:8901")
    found = files._first_asked(opened, "http://my-laptop:1/invoices/in_1/pdf?s=1")
    assert str(found) == "http://127.0.0.1:8901/invoices/in_1/pdf?s=1"
    await opened.close()


@pytest.mark.parametrize(
    ("address", "is_theirs"),
    [
        ("https://stripe-upload-api.s3.us-west-1.amazonaws.com/invoice?X-Amz-Signature=1", True),
        ("https://s3-us-west-1.amazonaws.com/stripe-upload-api/invoice", True),
        ("https://ec2-10-0-0-1.compute.amazonaws.com/invoice", False),
        ("http://bucket.s3.amazonaws.com/invoice", False),
        ("https://s3.amazonaws.com.example/invoice", False),
    ],
)
def test_whom_stripe_may_send_us_to(address: str, is_theirs: bool) -> None:
    assert files._is_at(httpx.URL(address), files.STRIPES_STORE) is is_theirs


async def test_a_redirection_elsewhere_is_not_followed() -> None:
    asked: list[str] = []

    async def send_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().split()[1])
        there = b"/next" if asked[-1] == "/first" else b"http://127.0.0.2:1/secret"
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(send_on, "127.0.0.1", 0) as stand_in:
        opened = door(f"http://127.0.0.1:{stand_in.sockets[0].getsockname()[1]}")
        with pytest.raises(httpx.InvalidURL):
            async with files._asked(opened, "https://invoices.example/first"):
                pass
        await opened.close()
    assert asked == ["/first", "/next"]
