"""`metamodel collect`: what it prints, and `--retry-errors` after the failure has passed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.primaries.capabilities import DrawRequest
from metamodel.primaries.zoo_model import ZooModel
from metamodel.types import Failure, Generation, Outcome, Prompt, Sampling


@dataclass
class Moody:
    """Stands in for a zoo model: fails on some prompts, for good on others, as long as it is in the mood."""

    is_moody: bool = True

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Draw what is asked for."""
        del sampling
        for request in requests:
            yield [self.outcome(request.prompt, sample) for sample in request.samples]

    def outcome(self, prompt: Prompt, sample: int) -> Outcome:
        """Return an output; a sum with a 7 in it fails, for good where it is even."""
        if self.is_moody and "7" in prompt.text:
            return Failure(prompt_id=prompt.id, sample=sample, reason="no", is_final=int(prompt.references[0]) % 2 == 0)
        return Generation(key="", prompt_id=prompt.id, primary="", sample=sample, text="4")


def test_collect_tells_what_it_did_and_retries_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures count as done until they are asked for, final ones for ever; JSON and text agree."""
    mood = Moody()
    monkeypatch.setattr(ZooModel, "draw", mood.draw)
    config = {
        "directory": str(tmp_path / "run"),
        "prompts": {"n_prompts": 40, "sources": [{"kind": "addition"}]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "sampling": {"n_samples": 2},
        "behaviors": ["empty"],
        "metamodels": ["base_rate"],
        "splits": {"held_out_domains": []},
    }
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")

    def call(*options: str) -> str:
        finished = CliRunner().invoke(app, ["collect", str(path), "--quiet", *options], catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        return finished.stdout

    first = json.loads(call("--json"))["primaries"]["lstm"]
    n_final, n_retryable = first["n_failed_final"], first["n_failed_retryable"]
    assert n_final > 0
    assert n_retryable > 0
    assert first["n_drawn"] == 80 - n_final - n_retryable
    mood.is_moody = False
    again = f"lstm: 80 wanted, {first['n_drawn']} found, 0 drawn, {n_final} failed for good, {n_retryable} failed and"
    assert call().startswith(again)
    retried = json.loads(call("--json", "--retry-errors"))["primaries"]["lstm"]
    assert (retried["n_drawn"], retried["n_failed_final"], retried["n_failed_retryable"]) == (n_retryable, n_final, 0)
    assert "generations" in call("--dry-run")
