"""Refusals of dependencies, and of moving dates along them."""

from pm_api.core.errors import Conflict, Forbidden, NotFound, Unprocessable


class DependencyNotFound(NotFound):
    """The task has no such dependency, or the other task is not yours to see."""

    code = "dependency_not_found"


class DependencyOnItself(Unprocessable):
    """A task cannot depend on itself."""

    code = "dependency_on_itself"


class DependencyExists(Conflict):
    """These two tasks are linked in this way already."""

    code = "dependency_exists"


class DependencyCycle(Conflict):
    """The task would wait for itself: what it is to block, blocks it already.

    `path` is the way round, from the task that would block back to it, by the tasks' keys; null stands for one that
    you may not see.
    """

    code = "dependency_cycle"


class TooManyDependencies(Conflict):
    """A task has at most 100 dependencies, and a chain of tasks that block each other has at most 10,000 links."""

    code = "too_many_dependencies"


class InvalidShift(Unprocessable):
    """The dates cannot be moved like this.

    A task whose dates are days is moved by `days`, not by `minutes`; nothing is moved beyond the years 2 to 9998.
    """

    code = "invalid_shift"


class ShiftTooLarge(Conflict):
    """One call moves at most 200 tasks. Begin further down the chain."""

    code = "shift_too_large"


class ShiftForbidden(Forbidden):
    """Some of the tasks that would move are not yours to edit, or their project is archived; nothing was moved.

    `tasks` says which. Ask somebody who may, or move with `follow: NEEDED`, which touches only what is in the way.
    """

    code = "shift_forbidden"
