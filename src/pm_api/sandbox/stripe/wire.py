"""What all API calls share: the call, its route, the list envelope with its cursors, and filters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pm_api.sandbox.stripe.errors import InvalidParameter, ReferenceMissing, ResourceMissing
from pm_api.sandbox.stripe.objects.common import Json, list_object
from pm_api.sandbox.stripe.params import Params
from pm_api.sandbox.stripe.store import Condition, Cursor, field_is
from pm_api.sandbox.stripe.world import Origin, Sandbox

PAGE_LIMIT = 100
PAGING = ("limit", "starting_after", "ending_before")
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True)
class ApiCall:
    """One authenticated request. `values` are the path's own, `base_url` ends with a slash."""

    sandbox: Sandbox
    path: str
    values: Mapping[str, str]
    params: Params
    origin: Origin
    base_url: str


Handler = Callable[[ApiCall], Json]


@dataclass(frozen=True)
class ApiRoute:
    """`path` as in `/v1/customers/{id}`; a segment in braces becomes one of the call's `values`."""

    method: str
    path: str
    handler: Handler

    def match(self, method: str, path: str) -> dict[str, str] | None:
        pattern, segments = self.path.split("/"), path.split("/")
        if method != self.method or len(pattern) != len(segments):
            return None
        values: dict[str, str] = {}
        for expected, segment in zip(pattern, segments, strict=True):
            if expected.startswith("{") and segment:
                values[expected[1:-1]] = segment
            elif expected != segment:
                return None
        return values


Filter = Callable[[Params, str], list[Condition]]


def by_text(params: Params, name: str) -> list[Condition]:
    value = params.text(name)
    return [] if value is None else [field_is(name, value)]


def by_boolean(params: Params, name: str) -> list[Condition]:
    value = params.boolean(name)
    return [] if value is None else [field_is(name, value)]


def by_any_of(field: str) -> Filter:
    """The parameter is an array; the object's field is one of its entries."""

    def condition(params: Params, name: str) -> list[Condition]:
        wanted = params.texts(name)
        if not wanted:
            return []
        places = ", ".join("?" for _ in wanted)
        return [Condition(f"json_extract(body, ?) IN ({places})", (f"$.{field}", *wanted))]

    return condition


def by_fields_of(names: Sequence[str]) -> Filter:
    """The parameter is an object, as in `recurring[interval]`; each of its fields must be equal."""

    def condition(params: Params, name: str) -> list[Condition]:
        inner = params.within(name)
        if inner is None:
            return []
        inner.refuse_unknown(names)
        texts = {field: inner.text(field) for field in names}
        return [field_is(f"{name}.{field}", text) for field, text in texts.items() if text is not None]

    return condition


def by_moment(params: Params, name: str) -> list[Condition]:
    """`created=<moment>`, or `created[gte]=<moment>` and its siblings."""
    if isinstance(params.values.get(name), str):
        return [Condition("created = ?", (params.required_integer(name),))]
    bounds = params.within(name)
    if bounds is None:
        return []
    bounds.refuse_unknown(COMPARISONS)
    moments = {bound: bounds.integer(bound) for bound in COMPARISONS}
    return [
        Condition(f"created {COMPARISONS[bound]} ?", (moment,))
        for bound, moment in moments.items()
        if moment is not None
    ]


def read_limit(params: Params) -> int:
    limit = params.integer("limit")
    if limit is None:
        return 10
    if limit < 1:
        raise InvalidParameter("This value must be greater than or equal to 1.", param="limit")
    if limit > PAGE_LIMIT:
        raise InvalidParameter(
            f"This value must be less than or equal to {PAGE_LIMIT} (it currently is '{limit}').", param="limit"
        )
    return limit


def read_cursor(params: Params) -> Cursor | None:
    after, before = params.text("starting_after"), params.text("ending_before")
    if after is not None and before is not None:
        raise InvalidParameter("You may only specify one of these parameters: starting_after, ending_before.")
    if after is not None:
        return Cursor(after, forward=True)
    return None if before is None else Cursor(before, forward=False)


def list_page(call: ApiCall, object_name: str, conditions: Sequence[Condition] = ()) -> Json:
    """The requested page of all objects of this kind that meet the conditions, newest first."""
    cursor = read_cursor(call.params)
    if cursor is not None and call.sandbox.store.find(cursor.object_id, object_name) is None:
        param = "starting_after" if cursor.forward else "ending_before"
        raise ReferenceMissing(object_name, cursor.object_id, param=param)
    bodies, has_more = call.sandbox.store.page(
        object_name,
        conditions=[Condition("json_extract(body, '$.deleted') IS NULL"), *conditions],
        cursor=cursor,
        limit=read_limit(call.params),
    )
    return list_object(bodies, call.path, has_more=has_more)


def slice_page(call: ApiCall, items: list[Json], object_name: str) -> Json:
    """The requested page of a list that is already in its order."""
    limit, cursor = read_limit(call.params), read_cursor(call.params)
    if cursor is None:
        return list_object(items[:limit], call.path, has_more=len(items) > limit)
    position = next((index for index, item in enumerate(items) if item["id"] == cursor.object_id), None)
    if position is None:
        param = "starting_after" if cursor.forward else "ending_before"
        raise ReferenceMissing(object_name, cursor.object_id, param=param)
    rest = items[position + 1 :] if cursor.forward else items[:position]
    shown = rest[:limit] if cursor.forward else rest[-limit:]
    return list_object(shown, call.path, has_more=len(rest) > limit)


def filtered_list(object_name: str, filters: Mapping[str, Filter]) -> Handler:
    """A list route; a parameter that is neither a filter nor paging is refused."""

    def handle(call: ApiCall) -> Json:
        call.params.refuse_unknown({*filters, *PAGING})
        conditions = [piece for name, read in filters.items() for piece in read(call.params, name)]
        return list_page(call, object_name, conditions)

    return handle


def retrieve_one(object_name: str, *, param: str = "id") -> Handler:
    """A retrieve route; `param` is what Stripe calls the id in its refusal."""

    def handle(call: ApiCall) -> Json:
        call.params.refuse_unknown(())
        return stored(call.sandbox, object_name, call.values["id"], param=param)

    return handle


def stored(sandbox: Sandbox, object_name: str, identifier: str, *, param: str = "id") -> Json:
    """Raises `ResourceMissing` when there is none."""
    found = sandbox.store.find(identifier, object_name)
    if found is None:
        raise ResourceMissing(object_name, identifier, param=param)
    return found


def referenced(sandbox: Sandbox, object_name: str, identifier: str, *, param: str) -> Json:
    """An object that a parameter names. Raises `ReferenceMissing`, also for one that was deleted."""
    found = sandbox.store.find(identifier, object_name)
    if found is None or found.get("deleted"):
        raise ReferenceMissing(object_name, identifier, param=param)
    return found
