"""A workspace full of documents, written by SQL in one go: as many tasks and comments as one likes.

Each says "common"; every second "half", every hundredth "hundredth", one in ten thousand "scarce"; "bygone" is what
the older half says, and not one of the newer. The rest are words of a vocabulary of five thousand.
"""

from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy.engine import make_url

from pm_api.domains.search import words

PROJECTS: Final = 100
STRETCH: Final = 50_000
VOCABULARY: Final = 5_000

_SCOPES: Final = """
INSERT INTO scopes (id, workspace_id, is_open)
SELECT md5('{workspace}' || 'scope' || n)::uuid, '{workspace}', true FROM generate_series(0, {projects} - 1) AS n
ON CONFLICT DO NOTHING
"""
# Of {total} documents those with the numbers {first} to {last}; of every six one is a task, the others its comments.
_DOCUMENTS: Final = """
INSERT INTO search_documents (kind, entity_id, position, workspace_id, scope_id, project_id, parent_id, number, title,
                              body, words, updated_at)
SELECT kind, entity_id, position, '{workspace}', scope_id, project_id, parent_id, number,
       CASE WHEN kind = 'task' THEN array_to_string(said[1:6], ' ') ELSE '' END,
       CASE WHEN kind = 'task' THEN array_to_string(said[7:], ' ') ELSE array_to_string(said, ' ') END,
       (SELECT string_agg(format('''%s%s'':%s%s', '{tag}', word, place,
                                 CASE WHEN kind = 'task' AND place <= 6 THEN 'A' ELSE 'B' END), ' ')
        FROM unnest(said) WITH ORDINALITY AS spoken(word, place))::tsvector
       || array_to_tsvector(ARRAY['{tag}!' || kind, '{tag}@' || right(replace(scope_id::text, '-', ''), 12),
                                  '{tag}%' || right(replace(project_id::text, '-', ''), 12),
                                  {stretches}])
       || array_to_tsvector(ARRAY(
              SELECT DISTINCT '{tag}^' || left(word, letters)
              FROM unnest(said) AS word, generate_series(3, least(length(word) - 1, 8)) AS letters)),
       timestamptz '2026-01-01T00:00:00Z' + position * interval '1 second'
FROM (
    SELECT n, nextval('search_positions') AS position,
           CASE WHEN n % 6 = 0 THEN 'task' ELSE 'comment' END AS kind,
           md5('{workspace}' || n)::uuid AS entity_id,
           CASE WHEN n % 6 <> 0 THEN md5('{workspace}' || (n - n % 6))::uuid END AS parent_id,
           CASE WHEN n % 6 = 0 THEN n END AS number,
           md5('{workspace}' || 'scope' || (n / 6) % {projects})::uuid AS scope_id,
           md5('{workspace}' || 'project' || (n / 6) % {projects})::uuid AS project_id,
           array_remove(ARRAY[
               'common', CASE WHEN n % 2 = 0 THEN 'half' END, CASE WHEN n % 100 = 0 THEN 'hundredth' END,
               CASE WHEN n % 10000 = 0 THEN 'scarce' END, CASE WHEN n < {total} / 2 THEN 'bygone' END
           ], NULL) || ARRAY(SELECT 'word' || (n * 7919 + k * 104729) % {vocabulary} FROM generate_series(1, 18) AS k)
               AS said
    FROM generate_series({first}::bigint, {last}::bigint) AS n
) AS made
"""
_INDEX: Final = "ix_search_documents_words"


async def fill(database_url: str, workspace_id: UUID, documents: int) -> None:
    """Give a workspace so many documents; the index is made anew when they are many, and statistics are taken."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url, command_timeout=None)
    tag = words.tag_of(workspace_id)
    facts = {
        "workspace": workspace_id,
        "tag": tag,
        "projects": PROJECTS,
        "total": documents,
        "vocabulary": VOCABULARY,
        "stretches": ", ".join(f"'{tag}#{shift}.' || position / {1 << shift}" for shift in words.SHIFTS),
    }
    try:
        await connection.execute(_SCOPES.format(**facts))
        defined = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = $1", _INDEX)
        if documents >= STRETCH:
            await connection.execute(f"DROP INDEX {_INDEX}")
        for first in range(0, documents, STRETCH):
            last = min(documents, first + STRETCH) - 1
            await connection.execute(_DOCUMENTS.format(**facts, first=first, last=last))
        if documents >= STRETCH:
            await connection.execute("SET maintenance_work_mem = '512MB'")
            await connection.execute(defined)
        await connection.execute("VACUUM (ANALYZE) search_documents")
    finally:
        await connection.close()
