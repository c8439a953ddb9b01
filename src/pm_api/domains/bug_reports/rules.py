"""Rules of bug reports: who sees and does what, which step follows which, and what is much alike. No session."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

from pm_api.domains.bug_reports.enums import SETTLED, ReportAction, ReportStatus
from pm_api.identity.permissions import RANK, Role

_S: Final = ReportStatus
TRANSITIONS: Final[Mapping[ReportStatus, frozenset[ReportStatus]]] = {
    _S.OPEN: frozenset({_S.TRIAGED, _S.IN_PROGRESS, _S.RESOLVED, _S.CLOSED, _S.DUPLICATE}),
    _S.TRIAGED: frozenset({_S.IN_PROGRESS, _S.RESOLVED, _S.CLOSED, _S.DUPLICATE}),
    _S.IN_PROGRESS: frozenset({_S.TRIAGED, _S.RESOLVED, _S.CLOSED, _S.DUPLICATE}),
    _S.RESOLVED: frozenset({_S.OPEN, _S.CLOSED}),
    _S.CLOSED: frozenset({_S.OPEN}),
    _S.DUPLICATE: frozenset({_S.OPEN}),
}
ALIKE_FROM: Final = 0.4
"""Share of the words of two titles that both have."""
WORD: Final = re.compile(r"\w+")
Known = TypeVar("Known")


def may_triage(*, in_workspace: bool, role: Role | None, is_operator: bool) -> bool:
    """Administrators of the report's workspace; operators those on the product."""
    if not in_workspace:
        return is_operator
    return role is not None and RANK[role] >= RANK[Role.ADMIN]


def may_see(*, is_reporter: bool, in_workspace: bool, role: Role | None, is_operator: bool) -> bool:
    """Who may triage it, and its reporter while they belong to its workspace."""
    if is_reporter and (not in_workspace or role is not None):
        return True
    return may_triage(in_workspace=in_workspace, role=role, is_operator=is_operator)


def allowed_actions(
    status: ReportStatus, *, is_reporter: bool, triages: bool, is_converted: bool
) -> list[ReportAction]:
    actions = []
    if (is_reporter or triages) and status not in SETTLED:
        actions.append(ReportAction.EDIT)
    if triages:
        actions.append(ReportAction.TRIAGE)
        if not is_converted:
            actions.append(ReportAction.CONVERT)
    return actions


def follows(before: ReportStatus, after: ReportStatus) -> bool:
    return after == before or after in TRANSITIONS[before]


def most_alike(title: str, others: Iterable[tuple[Known, str]], limit: int) -> list[Known]:
    """Those whose titles share most of their words with this one, the most alike first."""
    wanted = _words(title)
    scored = [(alikeness(wanted, _words(other)), known) for known, other in others]
    close = [(score, at, known) for at, (score, known) in enumerate(scored) if score >= ALIKE_FROM]
    return [known for _score, _at, known in sorted(close, key=lambda one: (-one[0], one[1]))[:limit]]


def alikeness(some: Collection[str], others: Collection[str]) -> float:
    """Jaccard's: what both have of what either has."""
    either = set(some) | set(others)
    return len(set(some) & set(others)) / len(either) if either else 0.0


def _words(title: str) -> frozenset[str]:
    return frozenset(WORD.findall(title.casefold()))
