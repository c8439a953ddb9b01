"""The operator's side of the service: health, metrics, problem pages, public configuration, held jobs, dev clock.

Promises: `/readyz` is green only when a request could be served; what was held is visible and can be released;
the business clock moves outside production only. Owns no table.
"""
