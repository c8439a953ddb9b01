"""A long past for an account, written by SQL in one go: as many spends as one likes, with all that spends leave."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy.engine import make_url

SPENDS_OF_A_LOT: Final = 1000
SPENDS_TO_A_HOLD: Final = 100
SPAN: Final = timedelta(days=360)
STRETCH: Final = 500_000

_SERVICE: Final = "(ARRAY['CHAT_ASSISTANT', 'TASK_GENERATION', 'PROJECT_ANALYSIS', 'DOCUMENT_ANALYSIS'])[1 + n % 4]"
_MOMENT: Final = "(timestamptz '{now}' - ({spends} - n) * (interval '{span} s' / {spends}))"
_KEY: Final = "'c:user:{account}:spendCredits:past-' || n"
_LOT: Final = "md5('{account}' || 'lot' || (n - 1) / {lot})::uuid"

# One spend each. What they took from was granted for them and is used up; the account's balance stays as it was.
_LINES: Final = f"""
INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, actor_user_id, service,
                            quantity, price_version, description, metadata, command_key, request_id, created_at, hash)
SELECT '{{account}}', {{last}} + n, ('{{ids}}' || lpad(to_hex(n), 12, '0'))::uuid, 'USAGE', -1, 1000000, 'user',
       '{{account}}', {_SERVICE}, 1, 1, 'Task list for launch', '{{{{}}}}', {_KEY}, '0192f0a00000700080000000',
       {_MOMENT}, sha256(n::text::bytea)
FROM generate_series({{first}}::bigint, {{end}}::bigint) AS n;
INSERT INTO credit_allocations (account_id, entry_seq, grant_id, amount)
SELECT '{{account}}', {{last}} + n, {_LOT}, -1 FROM generate_series({{first}}::bigint, {{end}}::bigint) AS n;
INSERT INTO credit_commands (account_id, key, fingerprint, status, result, created_at)
SELECT '{{account}}', {_KEY}, '\\x00112233445566778899aabbccddeeff', 'APPLIED',
       json_build_object('seq', {{last}} + n, 'entries', 1, 'available', 1000000, 'held', 0, 'debt', 0), {_MOMENT}
FROM generate_series({{first}}::bigint, {{end}}::bigint) AS n;
INSERT INTO credit_usage_days AS d (account_id, day, service, actor_user_id, credits, entries)
SELECT '{{account}}'::uuid, ({_MOMENT} AT TIME ZONE 'UTC')::date, {_SERVICE}, '{{account}}'::uuid, count(*), count(*)
FROM generate_series({{first}}::bigint, {{end}}::bigint) AS n GROUP BY 2, 3 ORDER BY 2, 3
ON CONFLICT (account_id, day, service, actor_user_id)
DO UPDATE SET credits = d.credits + excluded.credits, entries = d.entries + excluded.entries;
"""
# Half of the lots were bought and used up, half ran out; every hundredth spend came out of a hold.
_AROUND: Final = f"""
INSERT INTO credit_grants (account_id, id, kind, priority, amount, remaining, spent, source_type, source_ref,
                           effective_at, expires_at, created_at)
SELECT '{{account}}', {_LOT}, CASE WHEN n / {{lot}} % 2 = 0 THEN 'PURCHASE' ELSE 'SUBSCRIPTION_GRANT' END,
       CASE WHEN n / {{lot}} % 2 = 0 THEN 70 ELSE 10 END, {{lot}}, 0, {{lot}}, 'past', n::text, {_MOMENT},
       CASE WHEN n / {{lot}} % 2 = 1 THEN {_MOMENT} + interval '1 day' END, {_MOMENT}
FROM generate_series(1, {{spends}}::bigint, {{lot}}) AS n;
INSERT INTO credit_holds (account_id, id, status, amount, captured, description, expires_at, created_at)
SELECT '{{account}}', ('{{ids}}' || lpad(to_hex(n), 12, '0'))::uuid, 'CAPTURED', 1, 1, 'Task list for launch',
       {_MOMENT} + interval '15 min', {_MOMENT}
FROM generate_series(1, {{spends}}::bigint, {{hold}}) AS n;
UPDATE credit_accounts SET seq = seq + {{spends}}, granted = granted + {{spends}}, spent = spent + {{spends}}
WHERE id = '{{account}}';
"""


async def add_past(database_url: str, account_id: UUID, spends: int, *, now: datetime) -> None:
    """Let an account have made so many spends in the last 360 days. The hash chain is none; all sums are right."""
    identifier = account_id.hex
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        facts = {
            "account": str(account_id),
            "ids": f"{identifier[:8]}-{identifier[-4:]}-7{identifier[-7:-4]}-8000-",
            "last": await connection.fetchval("SELECT seq FROM credit_accounts WHERE id = $1", account_id),
            "spends": spends,
            "now": now.isoformat(),
            "span": int(SPAN.total_seconds()),
            "lot": SPENDS_OF_A_LOT,
            "hold": SPENDS_TO_A_HOLD,
        }
        for first in range(1, spends + 1, STRETCH):
            await connection.execute(_LINES.format(**facts, first=first, end=min(spends, first + STRETCH - 1)))
        await connection.execute(_AROUND.format(**facts))
    finally:
        await connection.close()


async def tidy(database_url: str) -> None:
    """What the server's own housekeeping would have done long ago."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
