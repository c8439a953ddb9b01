"""What every builder needs: the JSON type, the API version and ids that look like Stripe's."""

import secrets
import string
from typing import Any

ID_ALPHABET = string.ascii_letters + string.digits

Json = dict[str, Any]

API_VERSION = "2026-10-28.endive"

# Code that stores ids must meet the real lengths here, not first in production.
ID_LENGTHS = {"cus": 14, "prod": 14, "req": 14, "cs_test": 58}


def new_id(prefix: str) -> str:
    """A random id of Stripe's form and length, e.g. `pi_` and 24 letters and digits."""
    length = ID_LENGTHS.get(prefix, 24)
    return f"{prefix}_" + "".join(secrets.choice(ID_ALPHABET) for _ in range(length))


def empty_address() -> Json:
    return {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def list_object(items: list[Json], url: str, *, has_more: bool = False) -> Json:
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
