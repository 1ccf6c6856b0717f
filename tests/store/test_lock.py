"""One writer a run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from metamodel.errors import RunError
from metamodel.store.run_directory import RunDirectory
from metamodel.store.storage import Folder

HOLD = """
import sys
from metamodel.store.run_directory import RunDirectory
with RunDirectory.open(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    """The message names the holder; a holder killed with SIGKILL leaves no stale lock."""
    path = str(tmp_path / "r")
    run = RunDirectory.create_or_open(path, config={})
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"host {socket.gethostname()}, pid {holder.pid}, since_utc"):
            run.write_text("x", "")
        assert RunDirectory.open(path).read("prompts").num_rows == 0
        holder.kill()
        holder.wait()
    run.write_text("x", "now")
    assert run.read_text("x") == "now"


def test_two_objects_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    """A notebook that opens a run twice is no loophole, entering the same object twice is fine."""
    first = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    second = RunDirectory.open(str(tmp_path / "r"))
    with first.lock():
        with first.lock() as repairs:
            assert repairs == ()
        with pytest.raises(RunError, match="another process"), second.lock():
            pass
        first.write_text("x", "1")
    with second.lock():
        second.write_text("x", "2")


@pytest.mark.parametrize(("pid", "refused"), [(os.getpid(), True), (2**22 + 1, False)], ids=["alive", "dead"])
def test_elsewhere_a_dead_holder_is_taken_over(tmp_path: Path, pid: int, refused: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Without kernel locks a file names the holder, and only a live or foreign one counts."""
    path = f"memory://{tmp_path.name}-{id(tmp_path)}/r"
    run = RunDirectory.create_or_open(path, config={})
    holder = {"host": socket.gethostname(), "pid": pid, "since_utc": "2026-01-01T00:00:00+00:00"}
    Folder(path).write_bytes(".lock.json", json.dumps(holder).encode())
    if refused:
        with pytest.raises(RunError, match=r"delete .*\.lock\.json"):
            run.write_text("x", "")
    else:
        run.write_text("x", "")
        assert not Folder(path).exists(".lock.json")
