"""AI credits: accounts (a user's wallet, a workspace's pool, a lead's trial), lots, holds, an append-only ledger.

Promises: a command is applied exactly once under its key; a balance never goes below zero; every credit ever granted
is available, held, spent, expired, voided or transferred, and `/verify` proves it from raw entries. The doors are
`ledger.apply` (the caller's transaction) and `writer.submit` (group commit); docs/credits.md tells how. Owns the
credit_* tables, leads and ai_usage_logs.
"""
