"""What slices hold of a person: how it is handed to them as files, and how it goes when they go.

    hands_out(CreditGift, "credits/gifts.json", "Gifts you made.", of="created_by_user_id")   # rows as they are
    keeps_back(RefreshToken, "a secret")

    @contributes("workspaces.json", "Where you belong.")        # a file that is more than a table
    async def places(session, person_id, after, limit) -> Stretch: ...

    @encloses                                   # bytes of the person's own, as they are
    async def own_files(platform, person_id) -> AsyncIterator[Enclosed]: ...

    @obstructs("billing")                       # what has to be settled before an account can be deleted
    @ends("billing", order=20)                  # what a slice does when a person goes; safe to run twice

A table with a `user_id` or an `account_id` that no slice speaks of is handed out as it is, and its marked columns
(`core.db.personal`) end by their marks: nothing is left out because somebody forgot it.
"""

from pm_api.core.personal.going import DELETED_USER, Ending, Leaving, Obstacle, endings, ends, obstacles, obstructs
from pm_api.core.personal.handing import (
    Enclosed,
    ExportFile,
    Stretch,
    contributes,
    enclosed,
    encloses,
    files,
    hands_out,
    keeps_back,
    wire_form,
)
from pm_api.core.personal.marks import Mark, erase_marked, marks_of, strike, strike_by_pages

__all__ = [
    "DELETED_USER",
    "Enclosed",
    "Ending",
    "ExportFile",
    "Leaving",
    "Mark",
    "Obstacle",
    "Stretch",
    "contributes",
    "enclosed",
    "encloses",
    "endings",
    "ends",
    "erase_marked",
    "files",
    "hands_out",
    "keeps_back",
    "marks_of",
    "obstacles",
    "obstructs",
    "strike",
    "strike_by_pages",
    "wire_form",
]
