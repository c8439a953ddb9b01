"""How long a first page of search takes beside a plain list of tasks; part of `make bench-large`, or
`python -m benchmarks.search`.

One API process and one workspace with 100,000 tasks and 500,000 comments, written by SQL. Searches and lists of 50
tasks go out in turn over one connection, so that drift of the machine meets all alike. What comes out are times of
each and, as what is promised, how many times the 95th percentile of the lists that of the searches is.
"""

import argparse
import random
import sys
import time
from statistics import median
from typing import Final
from uuid import UUID

import asyncpg
import httpx
import uvloop
from sqlalchemy.engine import make_url
from tests.conftest import PASSWORD
from tests.support import processes, searchable

from benchmarks import ground
from pm_api.core import telemetry

DOCUMENTS: Final = 600_000
QUICK_DOCUMENTS: Final = 12_000
ROUNDS: Final = 200
QUICK_ROUNDS: Final = 20
WARM_UP: Final = 20
PROMISED: Final = 5.0
LIST: Final = "plain list"
QUESTIONS: Final = {
    "common": "in every document",
    "half": "in every second",
    "hundredth": "in every hundredth",
    "scarce": "in one of 10,000",
    "word42": "in one of 280",
    "com": "the beginning of what is in every document",
    "common half": "two words",
    '"common half"': "a phrase",
    "common -half": "a word without another",
}
BYGONE: Final = "bygone"
"""In all of the older half and none of the newer: the worst for a search from new to old. Told, not counted."""
_TASKS: Final = """
INSERT INTO projects (id, workspace_id, scope_id, key, name, description, status, colour, icon, created_by_user_id,
                      created_at, updated_at)
SELECT md5('{workspace}' || 'project' || n)::uuid, '{workspace}', md5('{workspace}' || 'scope' || n)::uuid, 'P' || n,
       'Project ' || n, '', 'ACTIVE', '#888888', '', '{user}', timestamptz '2026-01-01T00:00:00Z',
       timestamptz '2026-01-01T00:00:00Z'
FROM generate_series(0, {projects} - 1) AS n;
INSERT INTO project_statuses (id, workspace_id, scope_id, project_id, key, name, category, colour, position)
SELECT gen_random_uuid(), workspace_id, scope_id, id, 'TODO', 'To do', 'TODO', '#888888', 0
FROM projects WHERE workspace_id = '{workspace}';
INSERT INTO tasks (id, workspace_id, scope_id, project_id, number, title, description, status, priority, board_key,
                   fields, created_by_user_id, created_at, updated_at)
SELECT entity_id, workspace_id, scope_id, project_id, number, title, body, 'TODO', 0, 'a' || number, '{{}}', '{user}',
       updated_at, updated_at
FROM search_documents WHERE workspace_id = '{workspace}' AND kind = 'task';
VACUUM (ANALYZE) projects, project_statuses, tasks, scopes;
"""


class Broken(Exception):
    """Something else came out than must; the figures would mean nothing."""


async def register(client: httpx.AsyncClient) -> tuple[UUID, UUID]:
    """(user, workspace); the client carries their token from then on."""
    body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
    answer = (await client.post("/api/auth/register", json=body)).json()
    client.headers["Authorization"] = f"Bearer {answer['accessToken']}"
    client.cookies.clear()
    made = await client.post("/api/workspaces", json={"name": "Acme", "slug": "acme"})
    return UUID(answer["user"]["id"]), UUID(made.json()["workspace"]["id"])


async def fill(database_url: str, user_id: UUID, workspace_id: UUID, documents: int) -> None:
    await searchable.fill(database_url, workspace_id, documents)
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        written = _TASKS.format(workspace=workspace_id, user=user_id, projects=searchable.PROJECTS)
        for statement in written.split(";\n"):
            if statement.strip():
                await connection.execute(statement)
    finally:
        await connection.close()


async def sample(client: httpx.AsyncClient, workspace_id: UUID, rounds: int) -> dict[str, list[float]]:
    """Times in milliseconds."""
    found: dict[str, list[float]] = {one: [] for one in (LIST, *QUESTIONS, BYGONE)}
    order = [one for one in found for _ in range(rounds)]
    random.Random(1).shuffle(order)
    warm_up = [one for one in found for _ in range(WARM_UP)]
    for place, one in enumerate([*warm_up, *order]):
        path = "/api/tasks" if one == LIST else "/api/search"
        parameters = {"workspaceId": str(workspace_id), "limit": "50"} | ({} if one == LIST else {"q": one})
        began = time.perf_counter()
        answer = await client.get(path, params=parameters)
        took_ms = (time.perf_counter() - began) * 1000
        if answer.status_code != 200 or not answer.json()["tasks" if one == LIST else "results"]:
            raise Broken(f"{one}: {answer.status_code} {answer.text[:300]}")
        if place >= len(warm_up):
            found[one].append(took_ms)
    return found


def p95(times: list[float]) -> float:
    return sorted(times)[len(times) * 95 // 100]


def report(found: dict[str, list[float]]) -> float:
    """Prints all; returns the ratio that is promised."""
    plain = p95(found[LIST])
    print(f"\n{'50 of':<16}{'median ms':>11}{'p95 ms':>10}{'of the list':>13}   what it is")
    for one, times in found.items():
        about = QUESTIONS.get(one, "tasks, newest first" if one == LIST else "in the older half alone, not counted")
        print(f"{one:<16}{median(times):>11.2f}{p95(times):>10.2f}{p95(times) / plain:>12.2f}x   {about}")
    return p95([took for one in QUESTIONS for took in found[one]]) / plain


async def measure(database_url: str, documents: int, rounds: int) -> int:
    async with (
        processes.api(database_url, PM_LOG_LEVEL="ERROR", **ground.LIMITS) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        user_id, workspace_id = await register(client)
        await fill(database_url, user_id, workspace_id, documents)
        found = await sample(client, workspace_id, rounds)
    ratio = report(found)
    print(
        f"\nSearch over {documents:,} documents: the 95th percentile of a first page is {ratio:.2f} x that of"
        f" the plain list (promised: {PROMISED:.0f} x)."
    )
    return 0 if ratio <= PROMISED else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: too few for a figure")
    chosen = parser.parse_args()
    telemetry.configure_logging(level="WARNING", as_json=False)
    documents, rounds = (QUICK_DOCUMENTS, QUICK_ROUNDS) if chosen.quick else (DOCUMENTS, ROUNDS)
    with ground.database_server() as server:
        try:
            return uvloop.run(measure(server.url, documents, rounds))
        except (Broken, TimeoutError, AssertionError) as error:
            print(f"the benchmark broke: {error!r}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
