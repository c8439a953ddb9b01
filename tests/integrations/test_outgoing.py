"""The door to addresses that customers name: it leads nowhere inside, whatever a name says and whenever."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from pm_api.core.settings import LOOPBACK_NETWORKS, Environment, Settings, WebhookSettings
from pm_api.integrations.outgoing import (
    OutgoingDoor,
    TargetRefused,
    TargetUnreachable,
    check_address,
    check_url,
    resolve,
)
from pm_api.integrations.outgoing.addresses import parse_networks
from tests.support.processes import free_port
from tests.support.receivers import Received, receiving
from tests.support.settings import settings_for

HERE = "127.0.0.0/8"

CLOSED = [
    *("127.0.0.1", "127.255.255.254", "::1"),  # this machine
    *("0.0.0.0", "0.1.2.3", "::"),  # no address, which means this machine
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"),  # private
    *("169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1"),  # of the link, of the site
    *(
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ),  # metadata
    *("100.64.0.1", "100.127.255.255"),  # of the carrier
    *("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),  # multicast
    *("240.0.0.1", "255.255.255.255", "4000::1", "::2", "100::1", "5f00::1"),  # reserved
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),  # documentation
    *("198.18.0.1", "198.19.255.255"),  # measurements
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "::8.8.8.8"),  # IPv4 as IPv6
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1"),  # NAT64
    *("2002:7f00:1::1", "2002:808:808::1", "2001::1", "2001:0:7f00:1::1", "192.88.99.1"),  # 6to4, Teredo
]
OPEN = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "11.0.0.1", "2606:4700::1111", "2a00:1450::1", "2400::1"]


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(TargetRefused):
        check_address(ip_address(address), (), is_encrypted=True)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused):
        check_url(f"https://{host}/", ())


@pytest.mark.parametrize("address", OPEN)
def test_what_is_public_is_taken(address: str) -> None:
    check_address(ip_address(address), (), is_encrypted=True)
    with pytest.raises(TargetRefused):
        check_address(ip_address(address), (), is_encrypted=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: inside",
        "https://example.com\\@inside/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://api.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::1/",
        "https://-.-/",
        "https://example..com/",
        f"https://example.com/{'a' * 2000}",
    ],
)
def test_addresses_that_are_refused_without_asking_anybody(url: str) -> None:
    with pytest.raises(TargetRefused):
        check_url(url, ())


def test_addresses_are_taken_apart() -> None:
    target = check_url("https://Bücher.Example:8443/häken?a=1&b=%20", ())
    assert (target.host, target.port) == ("xn--bcher-kva.example", 8443)
    assert target.path == "/h%C3%A4ken?a=1&b=%20"
    assert target.authority == "xn--bcher-kva.example:8443"
    assert check_url("https://example.com", ()).authority == "example.com"
    assert check_url("https://[2606:4700::1111]/", ()).authority == "[2606:4700::1111]"


def test_the_operator_opens_networks() -> None:
    allowed = parse_networks(["10.1.0.0/16", "fd00:1::/32"])
    check_url("http://10.1.2.3:9000/", allowed)
    for inside in ("http://warehouse:9000/", "http://localhost/", "http://warehouse.internal/"):
        check_url(inside, allowed)
    for outside in ("http://example.com/", "http://nowhere.invalid/", "http://internal.example.com/"):
        with pytest.raises(TargetRefused):  # whether or not the name leads anywhere
            check_url(outside, allowed)
    check_address(ip_address("fd00:1::5"), allowed, is_encrypted=False)
    for refused in ("https://10.2.0.1/", "http://8.8.8.8/", "https://169.254.169.254/", "https://[::ffff:10.1.2.3]/"):
        with pytest.raises(TargetRefused):
            check_url(refused, allowed)


class Names:
    """A resolver that says something else every time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def door(names: Names, *, allow: str = "", tls: ssl.SSLContext | None = None, timeout_s: float = 2) -> OutgoingDoor:
    networks = tuple(filter(None, (allow,)))
    return OutgoingDoor(WebhookSettings(allow_networks=networks, timeout_s=timeout_s), resolve=names, tls=tls)


async def refused(opened: OutgoingDoor, url: str = "https://hooks.example.com/") -> None:
    with pytest.raises(TargetRefused):
        async with opened.line(url):
            pass


@pytest.mark.parametrize("address", [one for one in CLOSED if "%" not in one])
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    await refused(door(Names([address])))
    await refused(door(Names(["8.8.8.8", address])))


async def test_a_name_that_is_rebound_leads_nowhere_else() -> None:
    """It is asked for once: what it says afterwards moves no connection that is opened later."""
    async with receiving() as good, receiving() as evil:
        port = int(good.url.rsplit(":", 1)[1].split("/")[0])
        names = Names(["127.0.0.1"], ["127.0.0.2"], ["169.254.169.254"])
        opened = door(names, allow="127.0.0.1/32")
        async with opened.line(f"http://hooks.internal:{port}/hooks") as line:
            good.headers = {"connection": "close"}  # so that every request needs a connection of its own
            for _ in range(3):
                assert (await line.post({}, b"{}")).status == 200
        assert names.asked == [("hooks.internal", port)]
        assert [one.headers["host"] for one in good.received] == [f"hooks.internal:{port}"] * 3
        # The next line asks again, and looks again.
        await refused(opened, f"http://hooks.internal:{port}/hooks")
        await refused(opened, f"http://hooks.internal:{port}/hooks")
        assert evil.received == []


async def test_what_the_system_itself_says_of_this_machine_is_refused() -> None:
    opened = OutgoingDoor(WebhookSettings(timeout_s=2))
    assert "127.0.0.1" in await resolve("localhost", 443)
    assert await resolve("2130706433", 443) == ["127.0.0.1"], "the system takes it for an address"
    await refused(opened, "https://localhost/")
    await refused(opened, "https://2130706433/")


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as target:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with door(Names(["127.0.0.1"]), allow=HERE).line(target.url) as line:
            assert (await line.post({}, b"{}")).status == 200
        assert (len(proxy.received), len(target.received)) == (0, 1)


async def test_time_is_bounded_however_slowly_somebody_answers() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
        except OSError:
            writer.close()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = asyncio.get_running_loop().time()
    opened = door(Names(["127.0.0.1"]), allow=HERE, timeout_s=0.5)
    async with server, opened.line(f"http://127.0.0.1:{port}/") as line:
        with pytest.raises(TargetUnreachable, match=r"no answer within 0\.5 s"):
            await line.post({}, b"{}")
    assert asyncio.get_running_loop().time() - began < 2


async def test_who_is_not_there_is_told_apart() -> None:
    async with door(Names(["127.0.0.1"]), allow=HERE).line(f"http://127.0.0.1:{free_port()}/") as line:
        with pytest.raises(TargetUnreachable, match="no connection"):
            await line.post({}, b"{}")

    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(TargetUnreachable, match="could not be resolved"):
        async with OutgoingDoor(WebhookSettings(), resolve=nowhere).line("https://hooks.example.com/"):
            pass
    with pytest.raises(TargetUnreachable, match="no address"):
        async with door(Names([])).line("https://hooks.example.com/"):
            pass


async def test_who_speaks_no_http_is_told_apart() -> None:
    async def gibberish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, door(Names(["127.0.0.1"]), allow=HERE).line(f"http://127.0.0.1:{port}/") as line:
        with pytest.raises(TargetUnreachable):
            await line.post({}, b"{}")


def certificate_for(name: str, folder: Path) -> Path:
    """A certificate of its own, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@asynccontextmanager
async def over_tls(certificate: Path, asked_for: list[str | None]) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    certificate = certificate_for("hooks.example.com", tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    asked_for: list[str | None] = []
    async with over_tls(certificate, asked_for) as port:
        names = Names(["127.0.0.1"])
        async with door(names, allow=HERE, tls=trusting).line(f"https://hooks.example.com:{port}/") as line:
            assert (await line.post({}, b"{}")).status == 204
        assert asked_for == ["hooks.example.com"]
        async with door(names, allow=HERE, tls=trusting).line(f"https://other.example.com:{port}/") as line:
            with pytest.raises(TargetUnreachable, match="certificate"):
                await line.post({}, b"{}")
        async with door(names, allow=HERE).line(f"https://hooks.example.com:{port}/") as line:
            with pytest.raises(TargetUnreachable, match="certificate"):
                await line.post({}, b"{}")


async def test_a_redirect_inside_is_an_answer_like_any() -> None:
    async with receiving() as inside, receiving() as outside:
        outside.headers = {"location": inside.url, "retry-after": "7"}
        outside.answer = lambda _one: 302
        async with door(Names(["127.0.0.1"]), allow=HERE).line(outside.url) as line:
            answer = await line.post({"webhook-id": "one"}, b"{}")
        assert (answer.status, answer.retry_after_s) == (302, 7)
        assert inside.received == []
        [one] = outside.received
        assert isinstance(one, Received)
        assert one.headers["accept-encoding"] == "identity"


def test_networks_are_written_as_networks() -> None:
    read = WebhookSettings.model_validate({"allow_networks": "10.0.0.0/8, fd00:1::/32,"})
    assert read.allow_networks == ("10.0.0.0/8", "fd00:1::/32")
    for wrong in ("10.1.0.1/16", "localhost", "10.0.0.0/33"):
        with pytest.raises(ValidationError, match="no network"):
            WebhookSettings.model_validate({"allow_networks": wrong})


def test_this_machine_is_open_in_development_alone() -> None:
    assert OutgoingDoor(Settings(env=Environment.DEVELOPMENT).webhooks).allowed == parse_networks(LOOPBACK_NETWORKS)
    assert OutgoingDoor(settings_for("postgresql://nowhere/none").webhooks).allowed == ()
