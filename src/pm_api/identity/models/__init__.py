"""Tables, one module a noun; imported together so that Alembic knows them all."""

from pm_api.identity.models import credentials, people, sign_in

__all__ = ["credentials", "people", "sign_in"]
