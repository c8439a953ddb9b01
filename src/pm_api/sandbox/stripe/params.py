"""Request parameters: from `a[b][0]=c` to nested values, and read with a type and a refusal."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from pm_api.sandbox.stripe.errors import InvalidParameter, MissingParameter, UnknownParameter
from pm_api.sandbox.stripe.objects.common import Json

FIELD_LIMIT = 2000
DEPTH_LIMIT = 10
METADATA_LIMIT = 50
KEY_PATTERN = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode_form(text: str) -> Json:
    """Stripe's form encoding; raises `InvalidParameter` for a key that no value can live under."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELD_LIMIT)
    except ValueError as error:
        raise InvalidParameter("Too many parameters.") from error
    tree: Json = {}
    for key, value in pairs:
        _place(tree, _split(key), value, key)
    return {name: value if name == "metadata" else _with_lists(value) for name, value in tree.items()}


def _split(key: str) -> list[str]:
    match = KEY_PATTERN.match(key)
    if match is None:
        raise InvalidParameter(f"Invalid parameter name: {key}", param=key)
    steps = [match.group(1), *re.findall(r"\[([^\[\]]*)\]", match.group(2))]
    if len(steps) > DEPTH_LIMIT:
        raise InvalidParameter(f"Parameter nested too deeply: {key}", param=key)
    return steps


def _place(tree: Json, steps: list[str], value: str, key: str) -> None:
    branch = tree
    for position, step in enumerate(steps):
        name = step if step or position == 0 else str(len(branch))
        if position == len(steps) - 1:
            if isinstance(branch.get(name), dict):
                raise InvalidParameter(f"Invalid object: {key}", param=key)
            branch[name] = value
            return
        following = branch.setdefault(name, {})
        if not isinstance(following, dict):
            raise InvalidParameter(f"Invalid object: {key}", param=key)
        branch = following


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(re.fullmatch(r"[0-9]{1,6}", name) for name in value):
        return [_with_lists(value[name]) for name in sorted(value, key=int)]
    # Keys of metadata are the caller's own, and may be all digits.
    return {name: inner if name == "metadata" else _with_lists(inner) for name, inner in value.items()}


class Params:
    """One level of decoded parameters. Every reader names the parameter by its full path when it refuses."""

    def __init__(self, values: Json, path: str = "") -> None:
        self.values = values
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def name_of(self, name: str) -> str:
        return f"{self.path}[{name}]" if self.path else name

    def refuse_unknown(self, known: Collection[str]) -> None:
        """What the sandbox does not model is refused, so that nothing sent to it is silently ignored."""
        for name in self.values:
            if name not in known and name != "expand":
                raise UnknownParameter(self.name_of(name))

    def text(self, name: str, *, limit: int = 5000) -> str | None:
        """The text, or None when absent or sent empty (Stripe's way to unset)."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise InvalidParameter("Invalid string", param=self.name_of(name))
        if len(value) > limit:
            raise InvalidParameter(f"Invalid string: must be at most {limit} characters", param=self.name_of(name))
        return value

    def required_text(self, name: str, *, limit: int = 5000) -> str:
        if self.values.get(name) == "":
            raise InvalidParameter(
                f"You passed an empty string for '{self.name_of(name)}'. It cannot be unset.",
                param=self.name_of(name),
                code="parameter_invalid_empty",
            )
        value = self.text(name, limit=limit)
        if value is None:
            raise MissingParameter(self.name_of(name))
        return value

    def choice(self, name: str, options: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in options:
            raise InvalidParameter(
                f"Invalid {self.name_of(name)}: must be one of {', '.join(sorted(options))}",
                param=self.name_of(name),
            )
        return value

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise InvalidParameter(
                f"Invalid integer: {value}", param=self.name_of(name), code="parameter_invalid_integer"
            )
        return int(value)

    def required_integer(self, name: str) -> int:
        value = self.integer(name)
        if value is None:
            raise MissingParameter(self.name_of(name))
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.choice(name, ("true", "false"))
        return None if value is None else value == "true"

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not re.match(r"https?://[^\s/]", value):
            raise InvalidParameter("Not a valid URL", param=self.name_of(name), code="url_invalid")
        return value

    def texts(self, name: str, *, limit: int = 100) -> list[str]:
        value = self.values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise InvalidParameter("Invalid array", param=self.name_of(name))
        if len(value) > limit:
            raise InvalidParameter(f"Array too long: at most {limit} entries", param=self.name_of(name))
        return value

    def within(self, name: str) -> "Params | None":
        """The parameters nested under a name, or None when absent or unset."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise InvalidParameter("Invalid object", param=self.name_of(name))
        return Params(value, self.name_of(name))

    def entries(self, name: str, *, limit: int = 100) -> list["Params"]:
        value = self.values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise InvalidParameter("Invalid array", param=self.name_of(name))
        if len(value) > limit:
            raise InvalidParameter(f"Array too long: at most {limit} entries", param=self.name_of(name))
        return [Params(entry, f"{self.name_of(name)}[{index}]") for index, entry in enumerate(value)]

    def metadata(self, current: dict[str, str] | None = None) -> dict[str, str]:
        """`current` with the given keys set; a key sent empty goes, all of them sent empty clears."""
        value = self.values.get("metadata")
        if value is None:
            return dict(current or {})
        if value == "":
            return {}
        if not isinstance(value, dict):
            raise InvalidParameter("Invalid metadata: metadata must be a set of key-value pairs", param="metadata")
        merged = dict(current or {})
        for key, entry in value.items():
            if not isinstance(entry, str) or len(key) > 40 or len(entry) > 500:
                raise InvalidParameter(
                    "Metadata keys can be up to 40 characters long and values up to 500.",
                    param=f"{self.name_of('metadata')}[{key}]",
                )
            merged[key] = entry
        merged = {key: entry for key, entry in merged.items() if entry != ""}
        if len(merged) > METADATA_LIMIT:
            raise InvalidParameter(f"Metadata can have at most {METADATA_LIMIT} keys.", param="metadata")
        return merged
