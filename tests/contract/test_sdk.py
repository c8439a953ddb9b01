"""The Python client that `make sdk` generates from openapi.json works against a served API (`make test-sdk`)."""

import importlib
import json
import os
import pkgutil
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from fastapi import FastAPI

from tests.conftest import PASSWORD
from tests.support.server import serve

SDK: Final = os.environ.get("PM_SDK", "")
"""The folder that the package lies in."""
DOCUMENT: Final = Path(__file__).parents[2] / "openapi.json"
LEFT_OUT: Final = {"importevents"}
"""The generator knows no body of plain text."""

pytestmark = pytest.mark.skipif(not SDK, reason="the generated client is not here: `make test-sdk` makes it")


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SDK)
    return importlib.import_module("pm_api_client")


def part(name: str) -> Any:
    return importlib.import_module(f"pm_api_client.{name}")


def test_every_operation_is_there_and_can_be_imported(sdk: Any) -> None:
    operations = {
        operation["operationId"].lower()
        for methods in json.loads(DOCUMENT.read_bytes())["paths"].values()
        for operation in methods.values()
    }
    modules = [importlib.import_module(one.name) for one in pkgutil.walk_packages(sdk.__path__, "pm_api_client.")]
    generated = {one.__name__.rpartition(".")[2].replace("_", "") for one in modules if hasattr(one, "asyncio")}
    assert generated == operations - LEFT_OUT


def test_no_class_is_named_by_a_number(sdk: Any) -> None:
    models = part("models").__all__
    assert "ListTasksOrder" in models
    assert [name for name in models if "Type0" in name or "Type1" in name] == []


async def test_a_person_makes_a_workspace_and_sees_it(sdk: Any, app: FastAPI) -> None:
    models, identity = part("models"), "api.identity"
    async with serve(app) as address:
        async with sdk.Client(address) as anybody:
            body = models.Registration(email=f"{uuid4().hex[:12]}@example.com", password=PASSWORD, name="Ann")
            signed_in = await part("api.account.register").asyncio(client=anybody, body=body)
        assert isinstance(signed_in, models.SignInAnswer)
        async with sdk.AuthenticatedClient(address, signed_in.access_token) as ann:
            create, show = part(f"{identity}.create_workspace"), part(f"{identity}.list_workspaces")
            made = await create.asyncio(client=ann, body=models.WorkspaceCreate(name="Wharf"), idempotency_key="once")
            listed = await show.asyncio(client=ann)
            answer = await part(f"{identity}.get_workspace").asyncio_detailed(uuid4(), client=ann)
    assert made.workspace.name == "Wharf"
    assert made.workspace.id in [one.id for one in listed.workspaces]
    assert answer.status_code == 404
    assert isinstance(answer.parsed, models.Problem)
    assert answer.parsed.code == "workspace_not_found"
