"""Processes that a process starts end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from orchestrate import demo
from orchestrate.crms import CRMS

PATIENCE = 60.0
"""The longest time in seconds to wait for an event, on a very busy machine."""

OWNER = """
import sys
from orchestrate.processes import at_the_end, end_by_exception, owned

end_by_exception()
sleep = "{} -c 'import time; time.sleep(900)'".format(sys.executable)
both = "{0} {1} & exec {1}".format(sys.argv[2], sleep)
try:
    with at_the_end("touch", sys.argv[1]), owned(["/bin/sh", "-c", both]) as process:
        print(process.pid, flush=True)
        process.wait()
except KeyboardInterrupt:
    print("cleaned up", flush=True)
"""

WILLING = ""
STUBBORN = "trap '' TERM;"
"""The shell's preparation: a signal that it ignores is also ignored by the processes that it starts."""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def members(group: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def start_owner(
    *arguments: str | Path, environment: dict[str, str] | None = None
) -> tuple[subprocess.Popen[str], int]:
    """Start a process that owns a process group of two; return it and the group."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | (environment or {}),
    )
    assert owner.stdout
    group = int(owner.stdout.readline())
    wait_for(lambda: len(members(group)) == 2)
    return owner, group


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_group_ends_with_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    owner, group = start_owner(tmp_path / "ended", WILLING)
    owner.send_signal(number)
    owner.wait()
    wait_for(lambda: not members(group))
    wait_for((tmp_path / "ended").exists)
    assert owner.stdout
    assert ("cleaned up" in owner.stdout.read()) is (number != signal.SIGKILL)
    owner.stdout.close()


def test_processes_that_do_not_stop_are_killed(tmp_path: Path) -> None:
    owner, group = start_owner(tmp_path / "ended", STUBBORN)
    owner.kill()
    wait_for(lambda: not members(group))
    owner.communicate()


def test_the_whole_group_of_the_owner_can_be_killed(tmp_path: Path) -> None:
    owner, group = start_owner(tmp_path / "ended", WILLING)
    os.killpg(owner.pid, signal.SIGKILL)
    wait_for(lambda: not members(group))
    wait_for((tmp_path / "ended").exists)
    owner.communicate()


def test_the_owner_ends_with_make(tmp_path: Path) -> None:
    """A shell stands in for make: the owner's parent ends, and the owner knows that make started it."""
    script = '"$0" -c "$1" "$2" "$3" & echo $!; wait'
    parent = subprocess.Popen(
        ["/bin/sh", "-c", script, sys.executable, OWNER, tmp_path / "ended", WILLING],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"MAKELEVEL": "1"},
    )
    assert parent.stdout
    owner, group = int(parent.stdout.readline()), int(parent.stdout.readline())
    parent.kill()
    wait_for(lambda: not psutil.pid_exists(owner) or psutil.Process(owner).status() == psutil.STATUS_ZOMBIE)
    wait_for(lambda: not members(group))
    parent.communicate()


def test_a_cancelled_cleanup_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    script = f"""
from orchestrate.processes import at_the_end
with at_the_end("touch", {str(path)!r}) as call_off:
    call_off()
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert not path.exists()


def test_only_one_process_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = f"""
from pathlib import Path
from orchestrate.processes import locked
with locked(Path({str(path)!r})) as is_held:
    print(is_held, flush=True)
    input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = []
    for is_held in ("True\n", "False\n"):
        processes.append(subprocess.Popen([sys.executable, "-c", script], **pipes))  # type: ignore[call-overload]
        assert processes[-1].stdout.readline() == is_held
    assert path.read_text() == str(processes[0].pid)
    processes[0].kill()
    processes[0].communicate()
    processes.append(subprocess.Popen([sys.executable, "-c", script], **pipes))  # type: ignore[call-overload]
    assert processes[-1].stdout.readline() == "True\n"
    for process in processes[1:]:
        process.communicate("\n")


def test_a_killed_demo_leaves_no_file_outside_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cleaned up after a kill -9, so that nothing may be there while the demo runs."""
    outside = tmp_path / "tmp"
    outside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(outside))
    for name in ("RUN", "LOGS", "DEMO_SEEDS"):
        monkeypatch.setattr(demo, name, tmp_path / name.lower())
    (tmp_path / "run").mkdir()
    with demo.Demo(CRMS["pipedrive"], 1).serve() as variables:
        assert variables["TAP_PIPEDRIVE_DEMO_API_URL"].startswith("http://127.0.0.1:")
        assert list(outside.iterdir()) == []
