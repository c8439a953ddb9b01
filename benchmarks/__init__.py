"""Benchmarks: ratios within one run, on an embedded server with its usual durability. `make bench` prints them.

`ground` is the server and the people on it, `server` the API under load, `baseline` the spend as an ORM would do it,
`load` the load generator, `alone` the ledger's writer beside pgbench, `books` the proof that no credit was lost.
`large` is a run of its own: `make bench-large`.
"""
