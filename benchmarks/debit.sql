-- One debit as one SQL statement in one transaction, writing the same rows as the ledger: command, entry,
-- allocation, lot, account, day sum. No rules, no hash chain, no result: the least that any correct debit must write.
\set key random(1, 9000000000000000000)
WITH account AS (
    UPDATE credit_accounts
    SET seq = seq + 1, balance = balance - 3, spent = spent + 3, updated_at = now()
    WHERE id = CAST(:account AS uuid) AND balance >= 3
    RETURNING id, seq, balance
), lot AS (
    UPDATE credit_grants SET remaining = remaining - 3, spent = spent + 3
    WHERE account_id = CAST(:account AS uuid) AND id = CAST(:lot AS uuid) AND remaining >= 3
    RETURNING id
), command AS (
    INSERT INTO credit_commands (account_id, key, fingerprint, status, result, created_at)
    SELECT id, 'c-user-0192f0a0-0000-7000-8000-000000000000-spendCredits-' || CAST(:key AS text), '\x00112233445566778899aabbccddeeff', 'APPLIED', json_build_object('seq', seq, 'entries', 1, 'available', balance, 'held', 0, 'debt', 0), now()
    FROM account
), entry AS (
    INSERT INTO credit_entries (account_id, seq, id, type, amount, balance_after, actor_kind, request_id, service, quantity, price_version, description, metadata, command_key, hash, created_at)
    SELECT id, seq, gen_random_uuid(), 'USAGE', -3, balance, 'user', '0192f', 'TASK_GENERATION', 1, 1, 'Task list for launch', '{}', 'c-user-0192f0a0-0000-7000-8000-000000000000-spendCredits-' || CAST(:key AS text), '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', now()
    FROM account
), allocation AS (
    INSERT INTO credit_allocations (account_id, entry_seq, grant_id, amount)
    SELECT account.id, account.seq, lot.id, -3 FROM account, lot
)
INSERT INTO credit_usage_days AS d (account_id, day, service, actor_user_id, credits, entries)
SELECT id, current_date, 'TASK_GENERATION', id, 3, 1 FROM account
ON CONFLICT (account_id, day, service, actor_user_id)
DO UPDATE SET credits = d.credits + 3, entries = d.entries + 1;
