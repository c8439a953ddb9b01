"""Jobs, one module a noun; imported together so that the worker knows them all."""

from pm_api.identity.jobs import housekeeping, sign_in

__all__ = ["housekeeping", "sign_in"]
