"""verify: passes on what a model drew, and names what it did not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import build_config
from metamodel.pipeline import run_stages
from metamodel.store.run_directory import RunDirectory
from metamodel.verify import PrimaryCheck, verify

TinyModel = Callable[[str], str]


def collected(folder: Path, model: str, **sampling: object) -> RunDirectory:
    """Collect a small run of a model."""
    config = build_config(
        {
            "name": "verified",
            "directory": str(folder),
            "prompts": {"n_prompts": 12, "sources": ["addition", "reversal", "capitals"]},
            "primaries": [{"kind": "transformers", "model": model, "name": "tiny"}],
            "sampling": {"n_samples": 2, "max_new_tokens": 8, **sampling},
            "behaviors": ["empty"],
            "metamodels": ["base_rate"],
        }
    )
    return run_stages(config, ["collect"], quiet=True)


def check_of(run: RunDirectory, **options: int) -> PrimaryCheck:
    """Verify a run of one primary model."""
    (check,) = verify(run, **options).primaries
    return check


def tamper(run: RunDirectory, column: str, change: Callable[[list[object]], list[object]]) -> None:
    """Change a column of every stored generation behind the primary model's back."""
    table = run.read("generations")
    at = table.schema.get_field_index(column)
    changed = pa.array([change(value) for value in table[column].to_pylist()], type=table.schema.field(at).type)
    with run.lock():
        run.clear("generations")
        run.write_shard("generations", table.set_column(at, column, changed))


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "mamba2", "lstm"])
def test_what_was_drawn_passes(tiny_model: TinyModel, tmp_path: Path, architecture: str) -> None:
    """Scored in one pass and drawn step by step, alone or in a batch, the tokens and their log-probabilities agree."""
    run = collected(tmp_path / "run", tiny_model(architecture))
    found = verify(run, n_redraw=20)
    (check,) = found.primaries
    assert found.passes
    assert (check.n_generations, check.n_scored, check.n_redrawn) == (72, 72, 20)
    assert check.max_drift is not None
    assert 0 < check.max_drift < found.tolerance
    assert check.skipped == ()


def test_other_log_probabilities_are_named(tiny_model: TinyModel, tmp_path: Path) -> None:
    """A stored value that the model does not give is found, with its place and both values."""
    run = collected(tmp_path / "run", tiny_model("gpt2"))
    tamper(run, "logprobs", lambda values: [values[0], values[1] - 0.1, *values[2:]] if len(values) > 2 else values)  # type: ignore[operator] # floats
    check = check_of(run)
    assert not check.passes
    assert 0 < check.n_drifted <= check.n_scored
    assert check.n_different == 0
    drift = check.drifts[0]
    assert (drift.check, drift.position) == ("score", 1)
    assert drift.stored == pytest.approx(drift.now - 0.1, abs=1e-3)


def test_other_tokens_are_named(tiny_model: TinyModel, tmp_path: Path) -> None:
    """A stored token that the recorded seed does not draw is found by redrawing, where scoring is blind to chance."""
    run = collected(tmp_path / "run", tiny_model("gpt2"))
    tamper(run, "token_ids", lambda values: [65 if values[0] != 65 else 66, *values[1:]])
    check = check_of(run, n_redraw=5)
    assert check.n_different == check.n_redrawn == 5
    assert {drift.position for drift in check.drifts if drift.check == "redraw"} <= {0}
    assert not check.passes


def test_other_weights_do_not_pass(tiny_model: TinyModel, tmp_path: Path) -> None:
    """Weights that changed in place since are seen by their identity and by what they say of the stored tokens."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("gpt2"), folder)
    run = collected(tmp_path / "run", str(folder))
    weights = {name: tensor * 1.05 for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    check = check_of(run, n_redraw=4)
    assert not check.passes
    assert check.identity_stored != check.identity_now
    assert check.n_drifted > check.n_scored / 2


def test_the_command_prints_and_exits(tiny_model: TinyModel, tmp_path: Path) -> None:
    """Scripts read JSON and the exit code: 0 for pass, 1 for drift."""
    run = collected(tmp_path / "run", tiny_model("lstm"), temperature=0, n_samples=1)
    passed = CliRunner().invoke(app, ["verify", run.path, "--json"])
    assert passed.exit_code == 0
    assert json.loads(passed.stdout)["passes"] is True
    tamper(run, "logprobs", lambda values: [float(value) - 1 for value in values])  # type: ignore[arg-type] # floats
    drifted = CliRunner().invoke(app, ["verify", run.path, "--quiet"])
    assert drifted.exit_code == 1
    assert "drifted" in drifted.stdout
