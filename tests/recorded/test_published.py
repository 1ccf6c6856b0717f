"""AlpacaEval's and MMLU-Pro's files, and the real data beside the checkout."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from metamodel.errors import DataError
from metamodel.recorded.opening import open_log
from metamodel.store.rows import prompts_from_table

QUESTION = {
    "question_id": 70,
    "question": "Which?",
    "options": ["red", "blue"],
    "answer": "B",
    "answer_index": 1,
    "cot_content": "",
    "category": "color",
    "src": "made up",
    "pred": "B",
    "generated_text": "The answer is (B).",
}


def test_alpaca_eval(tmp_path: Path) -> None:
    """Instruction, output, generator and dataset arrive; a folder with a file a model is one log."""
    for model in ("gpt", "llama"):
        (tmp_path / model).mkdir()
        rows = [
            {"instruction": "Say hi.", "output": f"hi from {model}", "generator": model, "dataset": "helpful_base"},
            {"instruction": "Sum.", "input": "1 2", "output": "3", "dataset": "koala", "time": 0.5},
        ]
        (tmp_path / model / "model_outputs.json").write_text(json.dumps(rows), encoding="utf-8")
    log = open_log(str(tmp_path))
    assert (log.format, log.models) == ("alpaca_eval", ("gpt", "llama"))
    prompts = [prompt for table in log.prompt_tables() for prompt in prompts_from_table(table)]
    assert [(prompt.text, prompt.domain) for prompt in prompts] == [
        ("Say hi.", "helpful_base"),
        ("Sum.\n\n1 2", "koala"),
    ]
    rows = [row for table in log.output_tables("llama") for row in table.to_pylist()]
    assert [row["text"] for row in rows] == ["hi from llama", "3"]
    assert rows[1]["metadata"] == '{"time": 0.5}'


def test_mmlu_pro_bare_and_zipped(tmp_path: Path) -> None:
    """Both forms of the file give the same rows; an answer that was not found is wrong, as the benchmark counts it."""
    rows = [QUESTION, {**QUESTION, "question_id": 71, "question": "And now?", "pred": None}]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "model_outputs_m-7b_5shots.json").write_text(json.dumps(rows), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "model_outputs_m-7b_5shots.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model_outputs_m-7b_5shots.json", json.dumps(rows))
    for path in (tmp_path / "bare", tmp_path / "model_outputs_m-7b_5shots.zip"):
        log = open_log(str(path))
        assert (log.format, log.models) == ("mmlu_pro", ("m-7b",))
        (table,) = log.prompt_tables()
        first = prompts_from_table(table)[0]
        assert first.text == "Which?\nOptions:\nA. red\nB. blue"
        assert (first.domain, first.references) == ("color", ("B",))
        (found,) = log.output_tables("m-7b")
        assert found["metadata"].to_pylist() == ['{"correct": true, "pred": "B"}', '{"correct": false, "pred": null}']


def test_a_json_array_of_something_else_is_no_log(tmp_path: Path) -> None:
    """An array with other keys is not taken for one of the formats."""
    (tmp_path / "rows.json").write_text('[{"a": 1}]', encoding="utf-8")
    with pytest.raises(DataError, match="is no log that can be read"):
        open_log(str(tmp_path / "rows.json"))


@pytest.mark.slow
def test_mmlu_pro_as_published(shared_data: Path) -> None:
    """The published archives give, prompt by prompt, the texts and correctness of the same models' Parquet tables."""
    published, tables = open_log(str(shared_data / "mmlu_pro" / "original")), open_log(str(shared_data / "mmlu_pro"))
    assert published.models == ("Llama-2-7b-hf", "gemma-7b")

    def by_question(log_index: int, model: str) -> dict[int, tuple[str, bool]]:
        log = (published, tables)[log_index]
        numbers = {
            prompt.id: int(str(prompt.attributes["question_id"]))
            for table in log.prompt_tables()
            for prompt in prompts_from_table(table)
        }
        assert len(numbers) == 12_032  # the 159 that occur twice included
        return {
            numbers[row["prompt_id"]]: (row["text"], json.loads(row["metadata"])["correct"])
            for table in log.output_tables(model)
            for row in table.to_pylist()
        }

    for model in published.models:
        theirs, ours = by_question(0, model), by_question(1, model)
        assert theirs == ours


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gsm8k", "llmdrift", "mmlu_pro/outputs_slim.parquet"])
def test_folders_of_two_tables(shared_data: Path, name: str) -> None:
    """Every row of the real tables is an output, one there twice, or one reported; nothing gets lost."""
    path = shared_data / name
    outputs = path if path.is_file() else path / "outputs.parquet"
    log = open_log(str(path))
    rows = pq.read_table(outputs, columns=["prompt_id", "model"]).to_pandas()
    assert set(log.models) == set(rows["model"])
    n_twice = 0
    for model, mine in rows.groupby("model"):
        found = [row for table in log.output_tables(str(model)) for row in table["prompt_id"].to_pylist()]
        assert len(found) == len(set(found)) == mine["prompt_id"].nunique()
        n_twice += len(mine) - len(found)
    assert n_twice == {"llmdrift": 40}.get(name, 0)
    assert log.problems.n_rows == 0
