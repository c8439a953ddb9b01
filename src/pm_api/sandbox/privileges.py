"""Whom a program runs as that refuses root, also where the folders on its way are closed to other users.

The file is a script too (`python privileges.py UID GID PROGRAM ARGUMENT...`, as root, on Linux): what `run_as`
changes is the whole process, and code between fork and exec is not safe in a program with threads.
"""

import ctypes
import os
import pwd
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522
# The first allows reading only; containers are often given just the second.
CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE = 2, 1


class Account(NamedTuple):
    """Ourselves, or for root another user; with a prefix for the command where folders are closed to them."""

    user: int | None = None
    group: int | None = None
    prefix: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """What subprocess needs beside the command."""
        if self.user is None or self.prefix:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hands over something we have just made."""
        if self.user is not None:
            os.chown(path, self.user, self.group or 0)


def choose_account(folder: Path, program: Path) -> Account:
    """The owner of an existing folder, else postgres or nobody; raises PermissionError with what to do."""
    if os.geteuid() != 0:
        return Account()
    name, user, group = _server_user(folder)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    script = (sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(user), str(group))
    # Tried rather than computed: modes, access lists and mount options all have a say.
    attempt = ["/bin/sh", "-c", 'test -x "$1" && "$2" --version', "attempt", str(existing), str(program)]
    for prefix in ((), script):
        account = Account(user, group, prefix)
        command = [*prefix, *attempt]
        result = subprocess.run(command, check=False, capture_output=True, cwd="/", **account.options())
        if result.returncode == 0:
            return account
    closed = [str(path) for path in _closed_folders(account, existing, program.parent)] or [str(existing)]
    raise PermissionError(
        f"PostgreSQL does not run as root, and the user {name} cannot enter {' and '.join(closed)}: "
        "open that to others (chmod o+x), work as an ordinary user, set PM_DATA_DIR to a folder that is open, "
        "or set PM_DATABASE_URL to a server of yours."
    )


def _server_user(folder: Path) -> tuple[str, int, int]:
    if folder.exists() and (status := folder.stat()).st_uid != 0:
        return str(status.st_uid), status.st_uid, status.st_gid
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return name, entry.pw_uid, entry.pw_gid
    raise PermissionError("PostgreSQL does not run as root, and there is no user postgres or nobody.")


def _closed_folders(account: Account, *paths: Path) -> list[Path]:
    closed = []
    for folder in dict.fromkeys(folder for path in paths for folder in (*reversed(path.parents), path)):
        status = folder.stat()
        mine, ours = status.st_uid == account.user, status.st_gid == account.group
        if not status.st_mode & (0o100 if mine else 0o010 if ours else 0o001):
            closed.append(folder)
    return closed


def run_as(user: int, group: int, command: list[str]) -> None:
    """Replaces this process; raises OSError when the kernel refuses, and then nothing was run."""
    kernel = ctypes.CDLL(None, use_errno=True)
    # Without this bit setresuid drops all capabilities, and access(2), which PostgreSQL calls, ignores them.
    if kernel.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process may not set its secure bits")
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        # Effective, permitted and inheritable, low words then high words: all others are given up here.
        sets = (ctypes.c_uint32 * 6)(*[1 << capability] * 3)
        if kernel.capset(header, sets) == 0:
            if kernel.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0:
                os.execv(command[0], command)  # noqa: S606 - a shell has nothing to add
            break
    raise OSError(ctypes.get_errno(), "this process may not hand on the right to pass closed folders")


if __name__ == "__main__":
    run_as(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
