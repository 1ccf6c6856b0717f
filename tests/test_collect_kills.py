"""Stage collect against the worst: SIGKILL at random moments, one writer or two, a full disk, a read-only folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

N_PROMPTS = 60
N_KILLS = 50

COMMON = """
import os, random, signal, sys, time

import pyarrow.parquet  # before the forks, as they share it

from metamodel.collect import collect
from metamodel.collecting import drawing
from metamodel.errors import RunError
from metamodel.store import pieces, shards
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Prompt, Sampling

pieces.SHARD_ROWS = 10
drawing._FLUSHES_BEFORE_MERGE, shards._MERGED_AT_ONCE = 5, 8

class Fake:
    identity = "fake"
    pause_s, padding = 0.001, 0
    def generate(self, prompts, sampling):
        for prompt in prompts:
            time.sleep(self.pause_s)
            yield [self.outcome(prompt, sample) for sample in range(sampling.n_samples)]
    def outcome(self, prompt, sample):
        if prompt.attributes["n"] % 7 == 3:
            return Failure(prompt_id=prompt.id, sample=sample, reason="busy")
        noise = "".join(map(chr, random.Random(prompt.id).choices(range(33, 126), k=self.padding)))
        text = f"{prompt.text.upper()} {sample}{noise}"
        return Generation(key="", prompt_id=prompt.id, primary="", sample=sample, text=text)

def collected(path, n_prompts):
    prompts = (Prompt.create(f"prompt {n}", domain="d", attributes={"n": n}) for n in range(n_prompts))
    run = RunDirectory.create_or_open(path, config={})
    return collect(run, primaries={"p": Fake()}, prompts=prompts, sampling=Sampling(n_samples=2)).primaries["p"]
"""

KILLER = (
    COMMON
    + """
from metamodel.store.rows import generations_from_table

def verify(path, n_prompts):
    run = RunDirectory.open(path)
    rows = [((row.prompt_id, row.sample), row.text) for row in generations_from_table(run.read("generations"))]
    failed = [(row["prompt_id"], row["sample"]) for row in run.read("errors").to_pylist()]
    assert len(rows) + len(failed) == 2 * n_prompts, "doubled or missing"
    expected = {}
    for n in range(n_prompts):
        prompt = Prompt.create(f"prompt {n}", domain="d")
        for sample in range(2):
            expected[prompt.id, sample] = None if n % 7 == 3 else f"{prompt.text.upper()} {sample}"
    assert dict(rows) | dict.fromkeys(failed) == expected
    assert run.read("prompts")["prompt_id"].to_pylist() == list(dict.fromkeys(key[0] for key in expected))
    strays = [name for folder in os.walk(path) for name in folder[2] if name.startswith(".tmp-")]
    assert not strays and not os.path.exists(f"{path}/quarantine"), strays

def attempted(path, n_prompts, n_at_once, wait_s):
    children = []
    for _ in range(n_at_once):
        child = os.fork()
        if not child:
            try:
                collected(path, n_prompts)
            except RunError as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(7 if "being written by another process" in str(error) else 8)
            os._exit(0)
        children.append(child)
    time.sleep(wait_s)
    for child in children:
        os.kill(child, signal.SIGKILL)  # one that has ended is a zombie still
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

folder, n_prompts, n_kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began_s = time.monotonic()
collected(f"{folder}/undisturbed", n_prompts)  # also imports what is imported late
undisturbed_s = time.monotonic() - began_s
verify(f"{folder}/undisturbed", n_prompts)
moments = random.Random(0)
n_killed = n_refused = n_runs = n_kept = 0
while n_killed < n_kills or not n_refused:
    path = f"{folder}/{n_runs}"
    ended = attempted(path, n_prompts, 1 + n_killed % 2, moments.uniform(0, undisturbed_s / 2))
    assert set(ended) <= {0, 7, -signal.SIGKILL}, ended
    n_killed += ended.count(-signal.SIGKILL)
    n_refused += ended.count(7)
    if 0 in ended:
        verify(path, n_prompts)
        n_runs += 1
    elif os.path.exists(f"{path}/run.json"):
        keys = RunDirectory.open(path).read("generations")["key"].to_pylist()
        assert len(keys) == len(set(keys)), "doubled"
        n_kept += len(keys)
path = f"{folder}/{n_runs}"
collected(path, n_prompts)
verify(path, n_prompts)
print(n_killed, n_refused, n_kept)
"""
)


@pytest.mark.slow
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Killed 50 times while they work, by one process and by two at once, runs end as undisturbed ones do."""
    command = [sys.executable, "-c", KILLER, str(tmp_path), str(N_PROMPTS), str(N_KILLS)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    n_killed, n_refused, n_kept = map(int, finished.stdout.split())
    assert n_killed >= N_KILLS
    assert n_refused > 0
    assert n_kept > 0


FULL_DISK = (
    COMMON
    + """
import subprocess
Fake.pause_s, Fake.padding = 0.0, 3000
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=True)
try:
    collected(f"{folder}/r", 100)
    print("never full")
except RunError as error:
    print("disk is full" in str(error), "intact" in str(error))
rows = RunDirectory.open(f"{folder}/r").read("generations").num_rows
subprocess.run(["mount", "-o", "remount,size=40m", folder], check=True)
report = collected(f"{folder}/r", 100)
print(0 < rows < 170, report.n_found == rows, report.n_left, rows + report.n_drawn + report.n_failed)
"""
)


@pytest.mark.slow
def test_a_disk_that_is_really_full_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """On a file system of 400 kB, collect says that it is full, and with more room goes on where it stopped."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    inside = ["unshare", "--map-root-user", "--mount", "--fork"]
    can_mount = subprocess.run(
        [*inside, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if can_mount.returncode:
        pytest.skip(f"this machine lets nobody mount a small file system: {can_mount.stderr.decode().strip()}")
    finished = subprocess.run(
        [*inside, sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == ["True True", "True True 0 200"]


LIMITED = (
    COMMON
    + """
import resource
Fake.padding, pieces.SHARD_ROWS = 3000, 40
if sys.argv[2] == "limited":
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
try:
    print(collected(sys.argv[1], 60).n_left)
except RunError as error:
    print(error)
"""
)


def test_a_limit_on_the_size_of_files_ends_in_advice_and_a_run_that_resumes(tmp_path: Path) -> None:
    """What the kernel refuses to write is told in words; without the limit the same command ends well."""
    path = str(tmp_path / "r")
    said = [
        subprocess.run([sys.executable, "-c", LIMITED, path, how], capture_output=True, text=True, check=True).stdout
        for how in ("limited", "free")
    ]
    assert "cannot write" in said[0]
    assert "ulimit -f" in said[0]
    assert said[1] == "0\n"


READ_ONLY = (
    COMMON
    + """
collected(sys.argv[2], 5)  # imports everything while it may be read
if os.getuid() == 0:
    os.setuid(65534)
try:
    print(collected(sys.argv[1], 5).n_left)
except RunError as error:
    print(error)
"""
)


def test_a_read_only_folder_is_one_clear_line_and_resumes(tmp_path: Path) -> None:
    """A run that may not be written says so before anything is drawn, and goes on when it may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.getuid() == 0:  # nothing is read-only to root: the child becomes nobody
            os.chown(folder, 65534, 65534)
        said = []
        for number, mode in enumerate((0o555, 0o755)):
            folder.chmod(mode)
            command = [sys.executable, "-c", READ_ONLY, str(folder / "r"), str(tmp_path / str(number))]
            said.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert "permission denied" in said[0]
        assert said[1] == "0\n"
        facts = json.loads((folder / "r" / "run.json").read_text())
        assert facts["collected"]["primaries"]["p"]["n_wanted"] == 10
