"""Routes of a person's account."""

from typing import Final

from fastapi import APIRouter

from pm_api.domains.account.router import oauth, person, registration

ROUTERS: Final[tuple[APIRouter, ...]] = (registration.router, person.router, oauth.router)
