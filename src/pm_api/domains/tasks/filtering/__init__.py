"""The filter language of tasks, pure: what people write, checked and bounded; no session, no clock.

    wanted = parse('status in (TODO, IN_PROGRESS) and (assignee = me or label = "Bug") and due < today + 7d')
    printed(wanted)      # the same as text
    json_form(wanted)    # the same as JSON

`repository.filtering` turns it into SQL. What is not there (no due date, no such field) is neither equal to, smaller
nor greater than anything; `!=` is the opposite of `=`, and `not` of what stands behind it.
"""

from pm_api.domains.tasks.filtering.dates import resolve
from pm_api.domains.tasks.filtering.parsing import parse
from pm_api.domains.tasks.filtering.printing import json_form, printed
from pm_api.domains.tasks.filtering.terms import (
    And,
    Condition,
    Field,
    Filter,
    Kind,
    Me,
    Not,
    Op,
    Or,
    Relative,
    conditions_of,
    field_named,
)

__all__ = [
    "And",
    "Condition",
    "Field",
    "Filter",
    "Kind",
    "Me",
    "Not",
    "Op",
    "Or",
    "Relative",
    "conditions_of",
    "field_named",
    "json_form",
    "parse",
    "printed",
    "resolve",
]
