"""Training of the zoo: the stream, resumption, export."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from metamodel.errors import RunError, UnknownNameError
from metamodel.prompts import GENERATED_DOMAINS, ZOO_HELD_OUT_DOMAINS
from metamodel.prompts.arithmetic import Addition
from metamodel.prompts.strings import Successor
from metamodel.zoo.architectures import BOS_ID, EOS_ID, PAD_ID, build_model
from metamodel.zoo.catalog import export_model
from metamodel.zoo.data import Ingredient, collate, default_mixture, make_row, shard_batches, stream_batches
from metamodel.zoo.optimizer import orthogonalize
from metamodel.zoo.plan import TrainingPlan
from metamodel.zoo.training import CHECKPOINT, LOG, TrainingRun, train_zoo_model

SUMS = (Ingredient(source=Addition(max_digits=2), share=1),)
PLAN = TrainingPlan(n_tokens=1500, tokens_per_batch=256, warmup_tokens=300, decay_tokens=800)


def _weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in run.model.named_parameters()}


def test_held_out_domains_never_enter_the_stream() -> None:
    """Protects what is told of new tasks: the mixture draws every domain but those held out (cycles as successors)."""
    domains = {ingredient.source.domain for ingredient in default_mixture()}
    assert domains == set(GENERATED_DOMAINS) - set(ZOO_HELD_OUT_DOMAINS) - {"cycle"}
    assert "cycle" in Successor().sequences
    assert len(ZOO_HELD_OUT_DOMAINS) >= 3


def test_stream_continues_at_any_batch() -> None:
    """Protects exact resumption: the stream from a position equals the tail of the stream from the start."""
    stream = stream_batches(SUMS, seed=3, tokens_per_batch=2048)
    per_shard = len(shard_batches(SUMS, seed=3, shard=0, tokens_per_batch=2048))
    whole = list(islice(stream, per_shard + 4))
    shard, index, _ = whole[per_shard + 2]
    assert (shard, index) == (1, 2)
    tail = islice(stream_batches(SUMS, seed=3, tokens_per_batch=2048, shard=shard, batch=index), 2)
    for (_, _, left), (_, _, right) in zip(whole[per_shard + 2 :], tail, strict=True):
        np.testing.assert_array_equal(left.token_ids, right.token_ids)
        np.testing.assert_array_equal(left.weights, right.weights)


def test_rows_weigh_the_continuation() -> None:
    """Protects the loss: continuation and eos weigh 1, the prompt less, bos and padding nothing."""
    long, short = (make_row("1 +", " 23"[:n], SUMS[0]) for n in (3, 2))
    batch = collate([short, long])
    assert batch.token_ids[0].tolist() == [BOS_ID, *b"1 + 2", EOS_ID, PAD_ID]
    np.testing.assert_allclose(batch.weights[0], [0, 0.1, 0.1, 0.1, 1, 1, 1, 0])


def test_batches_hold_their_tokens() -> None:
    """Protects memory and speed: no batch exceeds its tokens, and padding is a small part."""
    batches = shard_batches(default_mixture(), seed=0, shard=0, tokens_per_batch=2048)
    padded = [len(batch) * max(len(row.token_ids) for row in batch) for batch in batches]
    used = sum(len(row.token_ids) for batch in batches for row in batch)
    assert max(padded) <= 2048
    assert used / sum(padded) > 0.9


@pytest.mark.parametrize("name", ["gpt_neox", "lstm"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, name: str) -> None:
    """Protects long runs: a run stopped twice ends with the same weights, bit for bit, and the same position."""
    whole = TrainingRun(name, tmp_path / "whole", PLAN, mixture=SUMS)
    whole.run()
    for steps in (2, 1):
        TrainingRun(name, tmp_path / "parts", PLAN, mixture=SUMS).run(stop_after_steps=steps)
    parts = TrainingRun(name, tmp_path / "parts", PLAN, mixture=SUMS)
    assert parts.progress.step == 3
    parts.run()
    assert parts.progress.tokens == whole.progress.tokens >= PLAN.n_tokens
    assert (parts.progress.shard, parts.progress.batch) == (whole.progress.shard, whole.progress.batch)
    for name_, weight in _weights(whole).items():
        assert torch.equal(weight, _weights(parts)[name_]), name_


def test_killed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Protects against kill -9 between checkpoints: what was lost is done again and the end is the same."""
    script = f"""
import torch
from pathlib import Path
from metamodel.prompts.arithmetic import Addition
from metamodel.prompts.strings import Successor
from metamodel.zoo.data import Ingredient
from metamodel.zoo.plan import TrainingPlan
from metamodel.zoo.training import TrainingRun
torch.set_num_threads({torch.get_num_threads()})
run = TrainingRun("lstm", Path({str(tmp_path / "killed")!r}), {PLAN!r}, mixture=({SUMS[0]!r},))
run.run(checkpoint_every_s=0, stop_after_steps=3)
run.run(checkpoint_every_s=1e9)
"""
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    resumed = TrainingRun("lstm", tmp_path / "killed", PLAN, mixture=SUMS)
    assert resumed.progress.step > 0
    resumed.run()
    whole = TrainingRun("lstm", tmp_path / "whole", PLAN, mixture=SUMS)
    whole.run()
    assert all(torch.equal(weight, _weights(resumed)[name]) for name, weight in _weights(whole).items())


def test_plan_may_change_only_before_its_decay(tmp_path: Path) -> None:
    """Protects reproduction: another length is taken on the plateau and refused later, another seed always."""
    TrainingRun("lstm", tmp_path, PLAN, mixture=SUMS).run(stop_after_steps=2)
    longer = TrainingPlan(n_tokens=5000, tokens_per_batch=256, warmup_tokens=300, decay_tokens=700)
    assert TrainingRun("lstm", tmp_path, longer, mixture=SUMS).progress.step == 2
    other_seed = TrainingPlan(n_tokens=1500, tokens_per_batch=256, warmup_tokens=300, decay_tokens=800, seed=1)
    with pytest.raises(RunError, match="another plan"):
        TrainingRun("lstm", tmp_path, other_seed, mixture=SUMS)
    TrainingRun("lstm", tmp_path, PLAN, mixture=SUMS).run()
    with pytest.raises(RunError, match="another plan"):
        TrainingRun("lstm", tmp_path, longer, mixture=SUMS)


def test_training_learns_and_logs(tmp_path: Path) -> None:
    """Protects the optimizer and the log: the loss falls on one small domain, and each line says where the run is."""
    plan = TrainingPlan(n_tokens=12_000, tokens_per_batch=512, warmup_tokens=1000, decay_tokens=6000)
    records: list[dict[str, object]] = []
    run = TrainingRun("gpt_neox", tmp_path, plan, mixture=SUMS, report=records.append)
    run.run(stop_after_steps=3)
    run.run()
    logged = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert logged == json.loads(json.dumps(records))
    assert logged[-1]["loss"] < 0.6 * logged[0]["loss"]
    assert logged[-1]["exact_match"].keys() == {"addition"}
    assert logged[-1]["tokens"] >= plan.n_tokens


def test_newton_schulz_levels_singular_values() -> None:
    """Protects Muon: every direction of the momentum gets about the same length, in wide and tall matrices."""
    wide = torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(0))
    for matrices in (wide, wide.transpose(1, 2)):
        values = torch.linalg.svdvals(orthogonalize(matrices))
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


def test_export_rounds_to_half(tmp_path: Path) -> None:
    """Protects the shipped folder: it holds the weights rounded to fp16 and the model itself keeps its own."""
    from safetensors.torch import load_file

    model = build_model("lstm", seed=0)
    before = model.lstm.weight_hh_l0.detach().clone()
    export_model(model, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert torch.equal(saved["lstm.weight_hh_l0"], before.half())
    assert torch.equal(model.lstm.weight_hh_l0, before)


def test_unknown_name(tmp_path: Path) -> None:
    """Protects users from a traceback: training a model that the zoo lacks is refused by name."""
    with pytest.raises(UnknownNameError, match="did you mean lstm"):
        train_zoo_model("lstn", tmp_path, n_tokens=1)
