"""Every config that ships does its whole job, at a small size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import metamodel
from metamodel.bundled_configs import OTHER_COMMANDS
from metamodel.metric_rows import rows_from_json
from metamodel.zoo.catalog import zoo_folder

ROOT = Path(__file__).parent.parent
# Run by tests of their own, against a server or a log that they make, or by other commands.
ELSEWHERE = ("endpoint", *OTHER_COMMANDS)
SMALL = ("evaluation.n_bootstrap=100", "sampling.max_new_tokens=8")


def write_questions(folder: Path) -> str:
    """Write the file that configs/prompt-file.yaml reads."""
    path = folder / "questions.jsonl"
    lines = [
        json.dumps({"question": f"{number} + {shift} =", "topic": topic, "answer": str(number + shift)})
        for shift, topic in enumerate(("math", "more math", "yet more math"))
        for number in range(12)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return f"prompts.sources.0.path={path}"


def write_texts(folder: Path) -> list[str]:
    """Write the corpora that configs/local-model.yaml cuts prompts from, and name a local model folder."""
    for corpus in ("letters", "speeches", "plays"):
        (folder / "texts" / corpus).mkdir(parents=True)
        lines = [f"This is sentence number {number} of all the {corpus} that we have." for number in range(60)]
        (folder / "texts" / corpus / "one.txt").write_text("\n".join(lines), encoding="utf-8")
    return [f"prompts.sources.0.path={folder / 'texts'}", f"primaries.0.model={zoo_folder('lstm')}"]


def write_log(folder: Path) -> list[str]:
    """Write a log of outputs for configs/logs.yaml."""
    rows = [
        {
            "prompt": f"{number} plus {shift}?",
            "domain": f"shift {shift}",
            "model": "m",
            "output": "1",
            "correct": bool(number % 2),
        }
        for shift in range(3)
        for number in range(12)
    ]
    path = folder / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return [f"prompts.sources.0.path={path}", f"primaries.0.path={path}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "configs").glob("*.yaml") if path.stem not in ELSEWHERE)
)
def test_every_config_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config in the package draws, labels, trains, judges and reports, not only loads."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    overrides = [f"directory={tmp_path / 'run'}", *SMALL]
    if name == "prompt-file":
        overrides.append(write_questions(tmp_path))
    else:
        overrides.append("prompts.n_prompts=10")
    if name == "local-model":
        overrides += write_texts(tmp_path)
    if name == "logs":
        overrides += write_log(tmp_path)
    if name == "quickstart":
        overrides += ["splits.held_out_domains=[story, sorting]", "sampling.n_samples=2"]
    if name == "zoo-ladder":
        overrides.append("primaries=[{kind: zoo, model: gpt_neox-small-250k}, {kind: zoo, model: gpt_neox-small-4M}]")
    run = metamodel.run(metamodel.load_config(ROOT / "configs" / f"{name}.yaml", overrides), quiet=True)
    rows = rows_from_json(run.read_text("metrics.json"))
    assert {row.split for row in rows} == {"held_out_domain", "in_distribution"}
    assert any(row.reduction_bits is not None for row in rows)
    assert "</html>" in run.read_text("report.html")
    if name == "wandb":
        assert list(tmp_path.glob("run/logs/*/wandb/offline-run-*"))
