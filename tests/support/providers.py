"""Sign-in providers for tests: an independent OpenID provider in a process of its own, and doubles that can lie."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.processes import free_port
from tests.support.server import serve

CLIENT_ID = "pm-api-tests"
CLIENT_SECRET = "a secret of the tests: with / and % in it"
START_TIMEOUT_S = 120


def s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def claims_of(token: str) -> dict[str, Any]:
    """Of a JWT, unchecked."""
    part = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


# --- the independent provider --------------------------------------------------------------------------------------


@dataclass
class Exchange:
    """One request to the token endpoint, and what came back."""

    form: dict[str, str]
    authorization: str
    answer: dict[str, Any]


@dataclass
class IndependentProvider:
    """oidc-provider-mock behind a recording proxy, which is the issuer as far as anybody can see."""

    issuer: str
    exchanges: list[Exchange] = field(default_factory=list)
    down: bool = False

    def settings(self, name: str) -> dict[str, Any]:
        """An entry of `PM_OIDC_PROVIDERS`."""
        return {
            "name": name,
            "title": name.title(),
            "issuer": self.issuer,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
        }

    async def person(self, **claims: Any) -> str:
        """Somebody new with an account there; returns their subject."""
        subject = uuid4().hex
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            answer = await client.put(f"{self.issuer}/users/{subject}", json=claims)
        assert answer.status_code == 204, answer.text
        return subject

    async def allow(self, address: str, subject: str) -> str:
        """What a person does there: they let us in. Returns where they are led back to."""
        return await self._answer(address, {"sub": subject})

    async def deny(self, address: str) -> str:
        return await self._answer(address, {"action": "deny"})

    async def _answer(self, address: str, form: dict[str, str]) -> str:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            shown = await client.get(address)
            assert shown.status_code == 200, shown.text
            answer = await client.post(address, data=form)
        assert answer.status_code in (302, 303), answer.text
        return answer.headers["location"]


@asynccontextmanager
async def independent_provider() -> AsyncIterator[IndependentProvider]:
    """A process of its own, because its modules warn when they are imported."""
    port = free_port()
    with tempfile.NamedTemporaryFile("wb", prefix="pm-oidc-", suffix=".log", delete=False) as log:
        handle = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "oidc_provider_mock",
            "--port",
            str(port),
            "--require-nonce",
            "true",
            env={"PATH": os.environ["PATH"]},
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            stdin=asyncio.subprocess.DEVNULL,
        )
    provider = IndependentProvider("")
    try:
        await _answers(f"http://127.0.0.1:{port}/jwks", handle, log.name)
        async with (
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=20
            ) as behind,
            serve(_proxy(behind, provider)) as address,
        ):
            provider.issuer = address
            yield provider
    finally:
        with contextlib.suppress(ProcessLookupError):
            handle.kill()
        await handle.wait()
        await asyncio.to_thread(Path(log.name).unlink)


async def _answers(address: str, handle: asyncio.subprocess.Process, log: str) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client, asyncio.timeout(START_TIMEOUT_S):
        while True:
            if handle.returncode is not None:
                raise AssertionError(await asyncio.to_thread(Path(log).read_text, "utf-8", "replace"))
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(address, timeout=2)).status_code == 200:
                    return
            await asyncio.sleep(0.05)


def _proxy(behind: httpx.AsyncClient, provider: IndependentProvider) -> Starlette:
    async def forward(request: Request) -> Response:
        if provider.down:
            return Response(status_code=503)
        body = await request.body()
        kept = {"content-type", "authorization", "accept", "host"}
        headers = {name: value for name, value in request.headers.items() if name in kept}
        answer = await behind.request(
            request.method, f"{request.url.path}?{request.url.query}", content=body, headers=headers
        )
        if request.url.path == "/oauth2/token":
            form = dict(parse_qsl(body.decode()))
            provider.exchanges.append(Exchange(form, request.headers.get("authorization", ""), answer.json()))
        passed = {name: answer.headers[name] for name in ("content-type", "location") if name in answer.headers}
        return Response(answer.content, answer.status_code, headers=passed)

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST", "PUT"])])


# --- an issuer that can lie ----------------------------------------------------------------------------------------


@dataclass
class LyingIssuer:
    """Says of itself and of a person whatever a test wants: `claims` and `header` go over what would be right."""

    address: str = ""
    key: RSAKey = field(default_factory=lambda: new_key("one"))
    published: list[RSAKey] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    nonce: str = ""
    asked: list[str] = field(default_factory=list)

    def settings(self, name: str) -> dict[str, Any]:
        return {"name": name, "issuer": self.address, "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}

    def id_token(self) -> str:
        now = int(time.time())
        right = {
            "iss": self.address,
            "aud": CLIENT_ID,
            "sub": "somebody",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "somebody@example.com",
            "email_verified": True,
        }
        claims = {name: value for name, value in {**right, **self.claims}.items() if value is not None}
        header = {"alg": "RS256", "kid": self.key.kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        return jwt.encode(header, claims, self.key)


def new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})


@asynccontextmanager
async def lying_issuer() -> AsyncIterator[LyingIssuer]:
    issuer = LyingIssuer()

    async def configuration(_request: Request) -> Response:
        issuer.asked.append("configuration")
        told = {
            "issuer": issuer.address,
            "authorization_endpoint": f"{issuer.address}/authorize",
            "token_endpoint": f"{issuer.address}/token",
            "jwks_uri": f"{issuer.address}/keys",
            "userinfo_endpoint": f"{issuer.address}/userinfo",
            **issuer.metadata,
        }
        return JSONResponse({name: value for name, value in told.items() if value is not None})

    async def keys(_request: Request) -> Response:
        issuer.asked.append("keys")
        published = issuer.published or [issuer.key]
        return JSONResponse({"keys": [one.as_dict(private=False) for one in published]})

    async def token(_request: Request) -> Response:
        issuer.asked.append("token")
        told = {"access_token": "opaque", "token_type": "Bearer", **issuer.answer}
        if "id_token" not in told:
            told["id_token"] = issuer.id_token()
        return JSONResponse({name: value for name, value in told.items() if value is not None})

    async def userinfo(_request: Request) -> Response:
        issuer.asked.append("userinfo")
        return JSONResponse(issuer.userinfo)

    app = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", configuration),
            Route("/keys", keys),
            Route("/token", token, methods=["POST"]),
            Route("/userinfo", userinfo),
        ]
    )
    async with serve(app) as address:
        issuer.address = address
        yield issuer


# --- GitHub ----------------------------------------------------------------------------------------------------


@dataclass
class Github:
    """As much of GitHub as a sign-in needs. Unlike the independent provider it holds us to our PKCE."""

    address: str = ""
    user: dict[str, Any] = field(default_factory=dict)
    emails: list[dict[str, Any]] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        return {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "base": self.address,
            "api_base": f"{self.address}/api",
        }

    def becomes(self, *, verified: bool = True, email: str | None = None, name: str | None = "Octo Cat") -> str:
        """Somebody else signs in there from now on; returns their address."""
        number = uuid4().int % 10**9
        address = email or f"octo-{number}@example.com"
        self.user = {"id": number, "login": f"octo{number}", "name": name}
        self.emails = [
            {"email": f"{number}@users.noreply.example.com", "verified": False, "primary": False},
            {"email": address, "verified": verified, "primary": True},
        ]
        return address


@asynccontextmanager
async def github() -> AsyncIterator[Github]:
    hub = Github()
    hub.becomes()

    async def authorize(request: Request) -> Response:
        asked = request.query_params
        assert asked["code_challenge_method"] == "S256"
        code = uuid4().hex
        hub.challenges[code] = asked["code_challenge"]
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=302)

    async def access_token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        challenge = hub.challenges.pop(form["code"], None)
        right = (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        if not right or challenge is None or s256(form["code_verifier"]) != challenge:
            return JSONResponse({"error": "bad_verification_code"})  # with 200, as GitHub does
        return JSONResponse({"access_token": "gho_opaque", "token_type": "bearer", "scope": "read:user,user:email"})

    async def api(request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer gho_opaque":
            return JSONResponse({"message": "Bad credentials"}, 401)
        return JSONResponse(hub.user if re.fullmatch(r"/api/user", request.url.path) else hub.emails)

    app = Starlette(
        routes=[
            Route("/login/oauth/authorize", authorize),
            Route("/login/oauth/access_token", access_token, methods=["POST"]),
            Route("/api/user", api),
            Route("/api/user/emails", api),
        ]
    )
    async with serve(app) as address:
        hub.address = address
        yield hub
