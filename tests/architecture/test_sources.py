"""What the sources may not contain, read from their syntax trees."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import pm_api

ROOT: Final = Path(pm_api.__file__).parent
SOURCES: Final = {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
PRODUCT: Final = {name: tree for name, tree in SOURCES.items() if not name.startswith(("sandbox/", "migrations/"))}
SLICES: Final = sorted(
    {"/".join(name.split("/")[:2]) for name in SOURCES if name.startswith("domains/") and name.count("/") > 1}
    | {"identity", "operations", "webhooks"}
)
MAX_LINES: Final = 450
READ_A_BODY_AS_IT_COMES: Final = ("forms", "leases", "tus")

COMMITTERS: Final = {
    "core/db.py": "the one place that commits a request's session",
    "core/idempotency.py": "the effect's savepoint, and the key's commit together with its answer",
    "core/flows/running.py": "the savepoint of an intent, whose refusal is kept",
    "core/flows/work.py": "the savepoint of a result, whose refusal is kept",
}

RAW_TRANSACTIONS: Final = {"domains/ai_credits/writer.py": "the ledger's group commit, over a connection of its own"}

SELECTORS: Final = {
    "core/idempotency.py": "owns idempotency_keys",
    "core/idempotency_upkeep.py": "the same",
    "core/inbox.py": "owns inbox_events and inbox_leases",
    "core/flows/records.py": "owns flows",
    "core/personal/marks.py": "walks every table by the marks of its columns",
    "core/personal/handing.py": "walks every table that carries a person",
    "core/business_clock.py": "owns business_clock",
}
"""Modules with queries that are no slice's repository."""

WALL_CLOCKS: Final = {
    "core/clock.py": "is the clock",
    "core/ids.py": "a UUIDv7 holds the real time; the one source of randomness",
    "core/ratelimit.py": "a window ends in wall time",
    "core/crypto.py": "a nonce that could be chosen could be repeated",
}
"""Modules that may look at the real time or make randomness. The sandbox has a clock and ids of its own."""


NEEDS_A_CLOCK: Final = frozenset(
    {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "time_ns"),
        ("uuid", "uuid1"),
        ("uuid", "uuid4"),
        ("os", "urandom"),
    }
)
RANDOM_MODULES: Final = frozenset({"random", "secrets"})


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression, as far as it is names."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func)


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module and every name taken from one: `a.b` and `a.b.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{one.name}" for one in node.names)


def names_where(sources: dict[str, ast.Module], found: Callable[[ast.Module], bool]) -> set[str]:
    return {name for name, tree in sources.items() if found(tree)}


def looks_at_the_clock(tree: ast.Module) -> bool:
    used = {tuple(name.split(".")[-2:]) for name in calls(tree)}
    bare = {name.rsplit(".", 1)[-1] for name in imports(tree)} & {"uuid1", "uuid4", "time_ns", "urandom"}
    taken = {name.split(".")[0] for name in imports(tree)} & RANDOM_MODULES
    return bool(used & NEEDS_A_CLOCK or bare or taken)


def test_the_tree_was_read() -> None:
    assert {"app.py", "core/db.py", "domains/ai_credits/service.py"} <= set(SOURCES)
    assert {"domains/ai_credits", "domains/changes", "identity", "webhooks"} <= set(SLICES)


def test_only_the_floor_commits() -> None:
    """Everything else gets a session and gives it back; `database.commit` is counted too."""
    assert names_where(PRODUCT, lambda tree: any(name.endswith(".commit") for name in calls(tree))) == set(COMMITTERS)


def test_only_the_writer_opens_a_transaction_beside_sqlalchemy() -> None:
    def is_raw(tree: ast.Module) -> bool:
        opened = {name for name in calls(tree) if name.endswith(".transaction")}
        return any(not name.endswith("database.transaction") for name in opened)

    assert names_where(PRODUCT, is_raw) == set(RAW_TRANSACTIONS)


def test_queries_stand_in_repositories() -> None:
    found = names_where(PRODUCT, lambda tree: "select" in set(calls(tree)))
    assert {name for name in found if "/repository" not in name} == set(SELECTORS)


def test_refusals_are_typed() -> None:
    """Only `core.problem` and `core.http` know the framework's own exception."""
    found = names_where(PRODUCT, lambda tree: any(name.endswith(".HTTPException") for name in imports(tree)))
    assert found == {"core/problem.py", "core/http.py"}


def test_no_import_hides_in_a_function() -> None:
    def hidden(tree: ast.Module) -> bool:
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        return any(isinstance(inner, ast.Import | ast.ImportFrom) for one in functions for inner in ast.walk(one))

    assert names_where(SOURCES, hidden) == set()


def test_time_and_randomness_are_injected() -> None:
    assert names_where(PRODUCT, looks_at_the_clock) == set(WALL_CLOCKS)


def test_no_sql_clock_in_business_columns() -> None:
    """`now()` of the server cannot be moved by a test; pgqueuer's own tables are the exception, in its own SQL."""

    def asks_the_server(tree: ast.Module) -> bool:
        return any(name.endswith(("func.now", "func.current_timestamp")) for name in calls(tree))

    assert names_where(SOURCES, asks_the_server) == set()


def test_no_offset() -> None:
    assert names_where(PRODUCT, lambda tree: any(name.endswith(".offset") for name in calls(tree))) == set()


def test_services_know_no_web_framework() -> None:
    """Routers and guards do, and what reads a body while it comes; rules, queries, tables and jobs do not."""
    web = ("fastapi", "starlette")
    allowed = ("router", "guards", "browser", "limits", *READ_A_BODY_AS_IT_COMES)
    for name, tree in PRODUCT.items():
        if not name.startswith(("domains/", "identity/", "operations/", "webhooks/")):
            continue
        stem = Path(name).stem
        if stem.startswith(allowed) or "/routers/" in name or "/router/" in name:
            continue
        assert not any(one.split(".")[0] in web for one in imports(tree)), name


def test_no_module_is_longer_than_a_sitting() -> None:
    lengths = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in PRODUCT}
    assert {name for name, lines in lengths.items() if lines > MAX_LINES} == set()


@pytest.mark.parametrize("slice_name", SLICES)
def test_each_slice_says_what_it_owns_and_promises(slice_name: str) -> None:
    text = ast.get_docstring(SOURCES[f"{slice_name}/__init__.py"])
    assert text, "no docstring"
    assert 3 <= len(text.splitlines()) <= 8
    assert "Promises:" in text
    assert "Own" in text or "own" in text


@pytest.mark.parametrize("slice_name", SLICES)
def test_public_functions_of_services_say_what_they_promise(slice_name: str) -> None:
    """One to five lines each; a name that says it all in a one-liner may stand alone."""
    tree = SOURCES.get(f"{slice_name}/service.py")
    functions = [] if tree is None else [one for one in tree.body if isinstance(one, ast.AsyncFunctionDef)]
    for one in functions:
        if one.name.startswith("_"):
            continue
        text = ast.get_docstring(one) or ""
        short = len(one.body) == 1
        assert text or short, f"{slice_name}.service.{one.name}"
        assert len(text.splitlines()) <= 5, f"{slice_name}.service.{one.name}"


def test_every_module_says_what_it_is() -> None:
    empty = {name for name, tree in PRODUCT.items() if not ast.get_docstring(tree)}
    assert empty == set()
