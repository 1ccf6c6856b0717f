"""The ladder: three sizes at five checkpoints each, that ship, load, answer and can be trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.errors import ConfigError, UnknownNameError
from metamodel.primaries.zoo_model import ZooModel
from metamodel.prompts.memory import Recall
from metamodel.types import Sampling
from metamodel.zoo.catalog import trained_size, zoo_folder
from metamodel.zoo.ladder import CHECKPOINT_TOKENS, LADDER_NAMES, LADDER_SIZES, ladder_plan, train_ladder_size
from metamodel.zoo.plan import TrainingPlan

TINY = TrainingPlan(n_tokens=4000, tokens_per_batch=256, warmup_tokens=300, decay_tokens=800)


@pytest.mark.parametrize("size", LADDER_SIZES)
def test_five_checkpoints_with_rising_tokens(size: str) -> None:
    """Protects what the ladder is: one size, five checkpoints, whose names are what they have read."""
    sizes = [trained_size(f"{size}-{point}") for point in CHECKPOINT_TOKENS]
    known = [one for one in sizes if one is not None]
    assert len(known) == 5
    assert len({one.parameters for one in known}) == 1
    for one, tokens in zip(known, CHECKPOINT_TOKENS.values(), strict=True):
        assert tokens <= one.tokens < tokens + 3000  # a checkpoint ends with its batch


def test_three_sizes_on_the_same_rows() -> None:
    """Protects the comparison across sizes: parameters rise by about four, and each checkpoint ends at the same row."""
    known = [[trained_size(f"{size}-{point}") for size in LADDER_SIZES] for point in CHECKPOINT_TOKENS]
    for row in known:
        small, medium, large = (one for one in row if one is not None)
        assert small.tokens == medium.tokens == large.tokens
        assert 3 < medium.parameters / small.parameters < 5
        assert 3 < large.parameters / medium.parameters < 5


def test_the_package_stays_small() -> None:
    """Protects the wheel: the whole ladder takes at most 12 MB."""
    files = [file for name in LADDER_NAMES for file in zoo_folder(name).iterdir()]
    assert sum(file.stat().st_size for file in files) <= 12_000_000


@pytest.mark.parametrize("name", LADDER_NAMES)
def test_every_rung_loads_and_samples(name: str) -> None:
    """Protects the weights: each folder loads offline, is finite, and answers under its own name."""
    folder = zoo_folder(name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    size = trained_size(name)
    assert size is not None
    assert sum(weight.numel() for weight in model.parameters()) == size.parameters
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    primary = ZooModel(model=name)
    prompts = [prompt for prompt, _ in zip(Recall().prompts(0), range(3), strict=False)]
    rows = [row for batch in primary.generate(prompts, Sampling(max_new_tokens=4)) for row in batch]
    assert len(rows) == 3
    assert {row.primary for row in rows} == {f"zoo/{name}"}
    assert primary.identity.startswith(f"zoo/{name}@")


def test_loss_falls_along_the_ladder() -> None:
    """Protects the order of the weights: training loss falls with tokens at every size, and at the end with size."""
    records = {name: json.loads((zoo_folder(name) / "training.json").read_text()) for name in LADDER_NAMES}
    for size in LADDER_SIZES:
        losses = [records[f"{size}-{point}"]["loss"] for point in CHECKPOINT_TOKENS]
        assert losses == sorted(losses, reverse=True)
    last = list(CHECKPOINT_TOKENS)[-1]
    ends = [records[f"{size}-{last}"]["loss"] for size in LADDER_SIZES]
    assert ends == sorted(ends, reverse=True)


def test_no_checkpoint_is_cooled_down() -> None:
    """Protects the meaning of tokens: the learning rate is at its peak wherever a checkpoint lies, but for the rise."""
    plan = ladder_plan()
    for tokens in CHECKPOINT_TOKENS.values():
        assert plan.learning_rate_at(tokens) == plan.learning_rate or tokens < plan.warmup_tokens


def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Protects long trainings: checkpoints made in two calls are those made in one, and finished ones are kept."""
    points = {"early": 800, "late": 1600}
    whole = train_ladder_size("gpt_neox-small", tmp_path / "whole", plan=TINY, checkpoint_tokens=points)
    train_ladder_size("gpt_neox-small", tmp_path / "parts", plan=TINY, checkpoint_tokens={"early": 800})
    kept = (tmp_path / "parts" / "early" / "model.safetensors").stat().st_mtime_ns
    parts = train_ladder_size("gpt_neox-small", tmp_path / "parts", plan=TINY, checkpoint_tokens=points)
    assert (tmp_path / "parts" / "early" / "model.safetensors").stat().st_mtime_ns == kept
    for one, other in zip(whole, parts, strict=True):
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    tokens = [json.loads((folder / "training.json").read_text())["tokens"] for folder in whole]
    assert 800 <= tokens[0] < 1600 <= tokens[1]


def test_unknown_rungs_are_refused() -> None:
    """Protects users from a traceback: the nearest rung is named."""
    with pytest.raises(UnknownNameError, match="did you mean gpt_neox-small-1M"):
        ZooModel(model="gpt_neox-small-10M")


def test_the_command_trains_the_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects `metamodel zoo train`: ladder means all sizes, a size itself, and tokens are not to be chosen."""
    trained: list[tuple[str, Path]] = []

    def train(size: str, directory: Path, **_: object) -> list[Path]:
        trained.append((size, directory))
        return [directory / "250k"]

    monkeypatch.setattr("metamodel.zoo.ladder.train_ladder_size", train)
    runner = CliRunner()
    target = str(tmp_path)
    assert runner.invoke(app, ["zoo", "train", "ladder", "--directory", target, "--quiet"]).exit_code == 0
    assert runner.invoke(app, ["zoo", "train", "gpt_neox-small", "--directory", target, "--quiet"]).exit_code == 0
    assert trained == [*((size, tmp_path / size) for size in LADDER_SIZES), ("gpt_neox-small", tmp_path)]
    wrong = runner.invoke(app, ["zoo", "train", "ladder", "--n-tokens", "5"])
    assert isinstance(wrong.exception, ConfigError)
    unknown = runner.invoke(app, ["zoo", "train", "gpt_neox-tiny"])
    assert isinstance(unknown.exception, UnknownNameError)
