"""A run in an object store: the same as on a disk, over a real S3 protocol."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metamodel.collect import CollectReport, collect
from metamodel.errors import RunError
from metamodel.store.rows import generations_from_table
from metamodel.store.run_directory import RunDirectory
from metamodel.store.storage import Folder
from metamodel.types import Generation, Outcome, Prompt, Sampling

PROMPTS = [Prompt.create(f"prompt {index}", domain="d") for index in range(10)]
HOLDER = {"host": socket.gethostname(), "since_utc": "2026-01-01T00:00:00+00:00"}


@dataclass(frozen=True, kw_only=True)
class Upper:
    """A primary model that answers in capitals, and can be interrupted."""

    identity: str = "upper"
    stops_after: int = 10**9
    asked: list[str] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Answer each prompt once."""
        for prompt in prompts:
            if len(self.asked) >= self.stops_after:
                raise KeyboardInterrupt
            self.asked.append(prompt.text)
            yield [
                Generation(key="", prompt_id=prompt.id, primary="", sample=sample, text=prompt.text.upper())
                for sample in range(sampling.n_samples)
            ]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve an empty bucket on this machine."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto's server is not installed")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        patch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("runs")
    yield "s3://runs"
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a fresh place that is no local disk."""
    if request.param == "memory":
        return f"memory://{tmp_path.name}-{id(tmp_path)}/r"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def collected(path: str, primary: Upper) -> CollectReport:
    """Collect as another process would: from the path alone."""
    run = RunDirectory.create_or_open(path, config={"name": "x"})
    return collect(
        run, primaries={"u": primary}, prompts=PROMPTS, sampling=Sampling(n_samples=2), prompts_fingerprint="these"
    )


def test_collect_goes_on_where_it_was_interrupted(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows drawn before an interrupt are read back, only the others are drawn, and a third call draws nothing."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    with pytest.raises(KeyboardInterrupt):
        collected(path, Upper(stops_after=3))
    rest, nothing = Upper(), Upper()
    assert collected(path, rest).primaries["u"].n_found == 6
    assert rest.asked == [prompt.text for prompt in PROMPTS[3:]]
    assert collected(path, nothing).primaries["u"].n_found == 20
    assert nothing.asked == []
    rows = generations_from_table(RunDirectory.open(path).read("generations"))
    assert sorted((row.prompt_id, row.sample, row.text) for row in rows) == sorted(
        (prompt.id, sample, prompt.text.upper()) for prompt in PROMPTS for sample in range(2)
    )


def test_a_damaged_shard_is_found_and_drawn_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums hold wherever the run lies."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    collected(path, Upper())
    shard = RunDirectory.open(path).shards("generations")[1]
    folder = Folder(path)
    folder.write_bytes(f"generations/{shard.file}", folder.read_bytes(f"generations/{shard.file}")[:-9] + b"123456789")
    again = Upper()
    report = collected(path, again).primaries["u"]
    assert (report.n_found, report.n_drawn, len(again.asked)) == (16, 4, 2)
    assert folder.names("quarantine") == [f"generations-{shard.file}"]


@pytest.mark.parametrize(("pid", "refused"), [(os.getpid(), True), (2**22 + 1, False)], ids=["alive", "dead"])
def test_the_second_writer_is_refused_unless_the_first_is_gone(path: str, pid: int, refused: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Who holds a run is named; a holder of this machine that is dead does not block it."""
    collected(path, Upper())
    Folder(path).write_bytes(".lock.json", json.dumps({**HOLDER, "pid": pid}).encode())
    if refused:
        with pytest.raises(RunError, match=f"being written by another process .*pid {pid}.*delete "):
            collected(path, Upper())
    else:
        assert collected(path, Upper()).primaries["u"].n_found == 20
        assert not Folder(path).exists(".lock.json")


def test_the_lock_is_free_after_an_error(path: str) -> None:
    """An interrupted writer of this process leaves no lock behind."""
    with pytest.raises(KeyboardInterrupt):
        collected(path, Upper(stops_after=1))
    assert not Folder(path).exists(".lock.json")


def test_a_bucket_that_is_not_there_is_one_clear_line(bucket: str) -> None:
    """A mistyped bucket is the user's mistake, not a traceback of the client."""
    with pytest.raises(RunError, match=r"cannot (reach|write) s3://"):
        RunDirectory.create_or_open(f"{bucket[:5]}no_such_bucket!/r", config={})
