"""One test over many names: where the check takes no time, a test for each name costs more than all checks."""

from collections.abc import Callable, Iterable

Check = Callable[[str], None]


def for_each(names: Iterable[str]) -> Callable[[Check], Callable[[], None]]:
    """Makes one test of a check: all names are looked at, and every one that fails is told."""
    found = tuple(names)
    assert found

    def decorate(check: Check) -> Callable[[], None]:
        def test() -> None:
            wrong = []
            for name in found:
                try:
                    check(name)
                except AssertionError as error:
                    error.add_note(f"This was {name}.")
                    wrong.append(error)
            if wrong:
                raise ExceptionGroup(f"{len(wrong)} of {len(found)} fail", wrong)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate
