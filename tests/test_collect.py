"""Stage collect: nothing lost, nothing drawn twice, whatever happens to the process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from metamodel.collect import CollectReport, collect
from metamodel.errors import RunError
from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.store.rows import generations_from_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, JSONObject, Outcome, Prompt, Sampling, generation_key

PROMPTS = [Prompt.create(f"prompt {index}", domain=f"d{index % 3}") for index in range(10)]
SAMPLING = Sampling(n_samples=2, max_new_tokens=4)


@dataclass(frozen=True, kw_only=True)
class Echo:
    """A primary model whose output is a function of prompt and sample, and that remembers what it was asked."""

    name: str = "echo"
    refuses: str = ""
    is_final: bool = True
    interrupt_after: int = 10**9
    asked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """Return the name."""
        return self.name

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Draw every sample."""
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Draw one prompt a batch."""
        for request in requests:
            if len(self.asked) >= self.interrupt_after:
                raise KeyboardInterrupt
            self.asked.extend((request.prompt.text, sample) for sample in request.samples)
            yield [self.outcome(request.prompt, sample, sampling) for sample in request.samples]

    def outcome(self, prompt: Prompt, sample: int, sampling: Sampling) -> Outcome:
        """Return one output, or refuse the one text that it was told to."""
        if prompt.text == self.refuses:
            reason = f"no room for {sampling.max_new_tokens}"
            return Failure(prompt_id=prompt.id, sample=sample, reason=reason, is_final=self.is_final)
        return Generation(
            key=generation_key(primary_identity=self.name, prompt_id=prompt.id, sampling=sampling, sample=sample),
            prompt_id=prompt.id,
            primary="",
            sample=sample,
            seed=sample,
            text=f"{prompt.text} {sample}\0\ud800",
            token_ids=(1, 2),
            logprobs=(-0.5, -1.0),
            finish_reason="stop",
        )


class OnlyGenerates:
    """A primary model with nothing but the protocol's own method."""

    def __init__(self, inner: Echo) -> None:
        self._inner = inner
        self.identity = inner.identity

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Draw every sample of every prompt."""
        return self._inner.generate(prompts, sampling)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a fresh run."""
    return RunDirectory.create_or_open(str(tmp_path / "r"), config={})


def collected(run: RunDirectory, primary: Echo, **changes: object) -> CollectReport:
    """Collect with the usual prompts and sampling."""
    settings = {"primaries": {"p": primary}, "prompts": PROMPTS, "sampling": SAMPLING} | changes
    return collect(run, **settings)  # type: ignore[arg-type] # one dictionary for arguments of several types


def places(run: RunDirectory) -> list[tuple[str, str, int]]:
    """Return primary model, prompt and sample of each stored generation, sorted."""
    return sorted((row.primary, row.prompt_id, row.sample) for row in generations_from_table(run.read("generations")))


def test_everything_wanted_is_drawn_once(run: RunDirectory) -> None:
    """Two primary models, prompts that occur twice, progress, and the report agree with what is stored."""
    calls: list[tuple[str, int, int]] = []
    report = collected(
        run,
        Echo(),
        primaries={"a": Echo(name="a"), "b": Echo(name="b")},
        prompts=[*PROMPTS, PROMPTS[0]],
        on_progress=lambda *call: calls.append(call),
    )
    expected = sorted((name, prompt.id, sample) for name in "ab" for prompt in PROMPTS for sample in range(2))
    assert places(run) == expected
    assert report.primaries["a"].n_drawn == report.primaries["a"].n_wanted == 20
    assert calls[-1] == ("b", 20, 20)
    assert run.read("prompts").num_rows == 10
    assert run.facts["primaries"] == {"a": "a", "b": "b"}
    row = generations_from_table(run.read("generations"))[0]
    assert row.key == generation_key(
        primary_identity="a", prompt_id=row.prompt_id, sampling=SAMPLING, sample=row.sample
    )


def test_a_rerun_draws_nothing(run: RunDirectory) -> None:
    """What is there is not asked for again, and no file is written anew."""
    collected(run, Echo())
    shards = run.shard_names("generations")
    again = Echo()
    report = collected(run, again)
    assert again.asked == []
    assert report.primaries["p"].n_found == 20
    assert run.shard_names("generations") == shards


@pytest.mark.parametrize("draws_samples", [True, False])
def test_more_samples_add_to_those_there(run: RunDirectory, draws_samples: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Growing k from 2 to 4 keeps the first two; a model that can, draws only the new ones."""
    collected(run, Echo())
    echo = Echo()
    primary = echo if draws_samples else OnlyGenerates(echo)
    more = Sampling(n_samples=4, max_new_tokens=4)
    report = collect(run, primaries={"p": primary}, prompts=PROMPTS, sampling=more)
    assert places(run) == sorted(("p", prompt.id, sample) for prompt in PROMPTS for sample in range(4))
    assert report.primaries["p"].n_drawn == 20
    assert sorted({sample for _, sample in echo.asked}) == ([2, 3] if draws_samples else [0, 1, 2, 3])


def test_failed_samples_become_errors_once(run: RunDirectory) -> None:
    """Every sample that failed has its reason in errors/, also after a second call, which does not try it again."""
    for n_asked in (20, 0):
        primary = Echo(refuses="prompt 3", is_final=False)
        report = collected(run, primary).primaries["p"]
        rows = run.read("errors").to_pylist()
        assert [(row["prompt_id"], row["sample"], row["reason"]) for row in rows] == [
            (PROMPTS[3].id, sample, "no room for 4") for sample in range(2)
        ]
        assert (report.n_failed_final, report.n_failed_retryable, report.n_left) == (0, 2, 0)
        assert len(primary.asked) == n_asked
    assert len(places(run)) == 18


@pytest.mark.parametrize("is_final", [False, True])
def test_retry_draws_just_what_may_work_now(run: RunDirectory, is_final: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """`--retry-errors` draws failures that are not final, and what works now leaves errors/."""
    collected(run, Echo(refuses="prompt 3", is_final=is_final))
    again = Echo()
    report = collected(run, again, retry_errors=True).primaries["p"]
    assert again.asked == ([] if is_final else [("prompt 3", 0), ("prompt 3", 1)])
    assert run.read("errors").num_rows == report.n_failed_final == (2 if is_final else 0)
    assert len(places(run)) == len(set(places(run))) == report.n_found + report.n_drawn == (18 if is_final else 20)


def test_a_retry_that_fails_again_leaves_one_row_with_the_new_reason(run: RunDirectory) -> None:
    """However often a sample fails, errors/ says once why it is missing, and why it failed last."""
    collected(run, Echo(refuses="prompt 3", is_final=False))
    other = Sampling(n_samples=2, max_new_tokens=4)
    report = collected(run, Echo(refuses="prompt 3", is_final=True), retry_errors=True, sampling=other)
    rows = run.read("errors").to_pylist()
    assert [(row["sample"], row["is_final"]) for row in rows] == [(0, True), (1, True)]
    assert report.primaries["p"].n_failed_final == 2


def test_failures_of_other_limits_and_prompts_do_not_count(run: RunDirectory) -> None:
    """What failed at another limit is tried at the new one, and errors/ holds only what the run wants now."""
    collected(run, Echo(refuses="prompt 3"), primaries={"p": Echo(refuses="prompt 3"), "q": Echo(name="q")})
    longer = Echo(refuses="prompt 4")
    collected(run, longer, sampling=Sampling(n_samples=2, max_new_tokens=9))
    assert len(longer.asked) == 20
    assert {row["reason"] for row in run.read("errors").to_pylist()} == {"no room for 9"}
    collected(run, Echo(), prompts=PROMPTS[:3], sampling=Sampling(n_samples=2, max_new_tokens=9))
    assert run.read("errors").num_rows == 0


def test_an_engine_that_stops_early_leaves_the_rest_for_later(run: RunDirectory) -> None:
    """A budget that runs out is no failure: the report says what is left, and the next call draws it."""

    class Stingy(Echo):
        def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
            return islice(super().draw(requests, sampling), 4)

    report = collected(run, Stingy()).primaries["p"]
    assert (report.n_drawn, report.n_left, report.n_failed) == (8, 12, 0)
    rest = Echo()
    assert collected(run, rest).primaries["p"].n_left == 0
    assert len(rest.asked) == 12


def test_prompts_and_requests_stream(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source is read piece by piece into shards, and requests are made as the model asks for them."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 2)
    endless = (Prompt.create(f"prompt {index}", domain="d") for index in range(9))
    read_when_first_drawn: list[int] = []

    class Watching(Echo):
        def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
            real = type(run).read_shard
            n_read = 0

            def counted(*arguments: object, **options: object) -> object:
                nonlocal n_read
                n_read += 1
                return real(*arguments, **options)  # type: ignore[arg-type] # handed through

            monkeypatch.setattr(type(run), "read_shard", counted)
            for batch in super().draw(requests, sampling):
                read_when_first_drawn.append(n_read)
                yield batch

    collected(run, Watching(), prompts=endless)
    assert [shard.n_rows for shard in run.shards("prompts")] == [2, 2, 2, 2, 1]
    assert len(places(run)) == 18
    assert read_when_first_drawn[0] <= 2 < max(read_when_first_drawn)


def test_many_small_shards_become_few(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow draw leaves a shard every few seconds; weeks of it do not leave a hundred thousand files."""
    monkeypatch.setattr("metamodel.collecting.drawing.SHARD_SECONDS", 0.0)
    prompts = [Prompt.create(f"prompt {index}", domain="d") for index in range(150)]
    collected(run, Echo(), prompts=prompts)
    assert len(run.shards("generations")) < 40
    expected = sorted(("p", prompt.id, sample) for prompt in prompts for sample in range(2))
    assert places(run) == expected
    assert len(set((run.local_path or Path()).glob("generations/*.parquet"))) == len(run.shards("generations"))


def test_what_drew_and_what_it_cost_stands_in_run_json(run: RunDirectory) -> None:
    """Outputs can be traced to device, versions and commit, also those of an earlier machine; costs add up."""

    @dataclass(frozen=True, kw_only=True)
    class Telling(Echo):
        device: str = "cpu"

        def provenance(self) -> JSONObject:
            return {"device": self.device}

        def usage_summary(self) -> JSONObject:
            return {"requests": len(self.asked)}

    collected(run, Telling(), prompts=PROMPTS[:4])
    collected(run, Telling(device="cuda"))
    collected(run, Telling(device="tpu"))  # draws nothing
    told = run.facts["primaries_provenance"]
    assert isinstance(told, dict)
    assert told["p"]["device"] == "cuda"
    assert told["p"]["packages"]["pyarrow"]
    assert [entry["device"] for entry in told["p"]["earlier"]] == ["cpu"]
    usage = run.facts["primaries_usage"]
    assert isinstance(usage, dict)
    assert [entry["requests"] for entry in usage["p"]][:2] == [8, 12]


def test_an_interrupt_keeps_what_was_drawn(run: RunDirectory) -> None:
    """After Ctrl-C the run holds every output that had arrived, and goes on from there."""
    with pytest.raises(KeyboardInterrupt):
        collected(run, Echo(interrupt_after=6))
    assert len(places(run)) == 6
    rest = Echo()
    collected(run, rest)
    assert len(rest.asked) == 14
    assert len(places(run)) == 20


def test_a_full_disk_loses_no_earlier_shard(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up half-way, collect says so, and with room again it completes the run."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    real, written = os.fsync, []

    def fill_up(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 24:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("metamodel.store.storage.os.fsync", fill_up)
        with pytest.raises(RunError, match="disk is full"):
            collected(run, Echo())
    n_kept = len(places(run))
    assert 0 < n_kept < 20
    rest = Echo()
    collected(run, rest)
    assert len(rest.asked) == 20 - n_kept
    assert len(places(run)) == len(set(places(run))) == 20


def test_a_damaged_shard_costs_its_own_rows_only(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collect draws the rows of a corrupted shard again and leaves the others."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    collected(run, Echo())
    assert run.local_path is not None
    (file,) = (run.local_path / "generations").glob("000001-*.parquet")
    file.write_bytes(file.read_bytes()[:-20])
    again = Echo()
    collected(run, again)
    assert len(again.asked) == 4
    assert len(places(run)) == len(set(places(run))) == 20


def test_two_collects_do_not_mix(run: RunDirectory) -> None:
    """A second collect on the same run is refused, not interleaved."""
    with run.lock(), pytest.raises(RunError, match="being written by another process"):
        collected(RunDirectory.open(run.path), Echo())


def test_prompts_of_an_older_config_leave(run: RunDirectory) -> None:
    """The prompts of a run are those of its current config; generations stay and are found again later."""
    collected(run, Echo())
    collected(run, Echo(), prompts=PROMPTS[:3])
    assert run.read("prompts")["prompt_id"].to_pylist() == [prompt.id for prompt in PROMPTS[:3]]
    back = Echo()
    collected(run, back)
    assert back.asked == []


KILLED = """
import sys, time
import metamodel.collect as module
from metamodel.store import pieces
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Generation, Prompt, Sampling

pieces.SHARD_ROWS = 6

class Slow:
    identity = "slow"
    def generate(self, prompts, sampling):
        print("begins", flush=True)
        for prompt in prompts:
            time.sleep(0.01)
            yield [
                Generation(key="", prompt_id=prompt.id, primary="", sample=sample, seed=sample, text=prompt.text,
                           token_ids=(1,), logprobs=(-1.0,), finish_reason="stop")
                for sample in range(sampling.n_samples)
            ]

prompts = [Prompt.create(f"prompt {index}", domain="d") for index in range(150)]
run = RunDirectory.create_or_open(sys.argv[1], config={})
report = module.collect(run, primaries={"p": Slow()}, prompts=prompts, sampling=Sampling(n_samples=2))
print(report.primaries["p"].n_drawn, flush=True)
"""


def test_kill_9_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A process killed with SIGKILL again and again ends with exactly the generations that were wanted."""
    path = str(tmp_path / "r")
    n_stored = [0]
    for after_s in (0.0, 0.05, 0.13, 0.21, 0.26):
        with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            time.sleep(after_s)
            process.kill()
        n_stored.append(RunDirectory.open(path).read("generations").num_rows)
    assert n_stored == sorted(n_stored)
    assert 0 < n_stored[-1] < 300
    finished = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, text=True, check=True)
    assert int(finished.stdout.split()[-1]) == 300 - n_stored[-1]
    wanted = sorted(("p", Prompt.create(f"prompt {i}", domain="d").id, sample) for i in range(150) for sample in (0, 1))
    assert places(RunDirectory.open(path)) == wanted
    assert not list((tmp_path / "r").rglob(".tmp-*"))


REAL_PROMPTS = [Prompt.create(f"{index} and " * (1 + index % 5), domain="d") for index in range(96)]
REAL = """
import sys, time
import metamodel.collect as module
from metamodel.store import pieces
from metamodel.primaries.transformers_model import TransformersModel
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Prompt, Sampling

pieces.SHARD_ROWS = 8
module.collect(
    RunDirectory.create_or_open(sys.argv[1], config={}),
    primaries={"p": TransformersModel(model=sys.argv[2], batch_tokens=400)},
    prompts=[Prompt.create(f"{index} and " * (1 + index % 5), domain="d") for index in range(96)],
    sampling=Sampling(temperature=0, max_new_tokens=24),
    on_progress=lambda *_: time.sleep(0.1),
)
"""


@pytest.mark.slow
def test_a_killed_run_of_a_real_model_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    """Greedy texts after kill -9 and a rerun in other batches equal those of a run that nobody killed."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from metamodel.zoo.architectures import build_tokenizer

    torch.manual_seed(0)
    model = str(tmp_path / "model")
    sizes = {"vocab_size": 259, "n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 256, "eos_token_id": 257}
    GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.3)).save_pretrained(model)
    build_tokenizer().save_pretrained(model)
    killed = RunDirectory.create_or_open(str(tmp_path / "killed"), config={})
    with subprocess.Popen([sys.executable, "-c", REAL, killed.path, model]) as process:
        while process.poll() is None and not killed.shard_names("generations"):
            time.sleep(0.02)
        process.kill()
    assert 0 < len(places(killed)) < 96
    whole = RunDirectory.create_or_open(str(tmp_path / "whole"), config={})
    for run in (killed, whole):
        primary = TransformersModel(model=model)
        greedy = Sampling(temperature=0, max_new_tokens=24)
        collect(run, primaries={"p": primary}, prompts=REAL_PROMPTS, sampling=greedy)
    texts = [
        sorted((row.key, row.text) for row in generations_from_table(run.read("generations")))
        for run in (killed, whole)
    ]
    assert len(texts[0]) == 96
    assert texts[0] == texts[1]
