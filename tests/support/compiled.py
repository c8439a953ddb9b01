"""Statements compiled once a process: each engine would do it again, and a test often has one of its own."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import LRUCache


class _OfAnyEngine:
    """Keys name the dialect object of their engine first; all engines of a test process talk to the same server."""

    def __init__(self) -> None:
        self._found: LRUCache[Any, Any] = LRUCache(4000)

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._found.get((type(key[0]), *key[1:]))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        self._found[(type(key[0]), *key[1:])] = compiled


_COMPILED = _OfAnyEngine()


def share_compiled(engine: AsyncEngine) -> None:
    engine.sync_engine.update_execution_options(compiled_cache=_COMPILED)
