"""Hugging Face datasets from a local folder; the hub itself is never asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metamodel.errors import DataError
from metamodel.prompts.hub_dataset import HubDataset
from metamodel.types import Prompt

pytest.importorskip("datasets", reason="datasets is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # datasets leaves its files open


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a dataset folder with a test and a train split."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = [
        {"question": f"q{n}", "options": ["yes", "no"], "gold": n % 2, "topic": n % 3, "level": {"n": n}}
        for n in range(5)
    ]
    (tmp_path / "exam").mkdir()
    for split in ("train", "test"):
        text = "\n".join(json.dumps({**row, "question": f"{split} {row['question']}"}) for row in rows)
        (tmp_path / "exam" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path / "exam"


@pytest.mark.parametrize("streaming", [True, False])
def test_rows_become_prompts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streaming: bool) -> None:
    """Text, choices, gold answers by number, domains by class and attributes arrive, streamed or not."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    source = HubDataset(
        path=str(folder),
        text="question",
        choices="options",
        references="gold",
        domain_column="topic",
        attributes=("level",),
        streaming=streaming,
    )
    prompts = list(source.prompts(seed=0))
    assert len(prompts) == 5
    assert prompts[1] == Prompt.create(
        "test q1", domain="1", references=["no"], choices=["yes", "no"], attributes={"level": {"n": 1}}
    )
    assert prompts == list(source.prompts(seed=7))


def test_defaults_and_splits(folder: Path) -> None:
    """Without a domain it is the folder's name; the split is the one that is named."""
    prompts = list(HubDataset(path=str(folder), split="train", text="question").prompts(0))
    assert {prompt.domain for prompt in prompts} == {"exam"}
    assert prompts[0].text == "train q0"


def test_mistakes_are_one_sentence(folder: Path) -> None:
    """A wrong column, split or folder says what there is."""
    with pytest.raises(DataError, match=r"no column 'prompt' \(text\)"):
        next(HubDataset(path=str(folder)).prompts(0))
    with pytest.raises(DataError, match=r"split none\) cannot be read"):
        next(HubDataset(path=str(folder), text="question", split="none").prompts(0))
    with pytest.raises(DataError, match="must be text that is not empty"):
        next(HubDataset(path=str(folder), text="gold").prompts(0))
    with pytest.raises(ValueError, match="split is empty"):
        HubDataset(path="x", split="")
