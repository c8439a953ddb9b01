"""What the audit log's details are called outside."""

from pm_api.identity.audit_log import on_the_wire


def test_details_of_the_log_are_named_as_everything_is_outside() -> None:
    stored = {
        "user_id": "1",
        "to_user_id": None,
        "fields": ["time_zone", "name"],
        "left": {"time_entries": 2},
        "before": "a_b",
        "many": [{"some_thing": "kept_as_it_is"}],
    }
    assert on_the_wire(stored) == {
        "userId": "1",
        "toUserId": None,
        "fields": ["timeZone", "name"],
        "left": {"timeEntries": 2},
        "before": "a_b",
        "many": [{"someThing": "kept_as_it_is"}],
    }
