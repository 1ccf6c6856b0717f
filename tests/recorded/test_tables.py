"""Any table as a log: columns, samples, rows that are missing, there twice, or no rows at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from metamodel.errors import DataError
from metamodel.recorded.log import Log
from metamodel.recorded.opening import open_log
from metamodel.store.rows import prompts_from_table
from metamodel.types import Prompt

WriteLines = Callable[[str, Sequence[Mapping[str, object]]], str]

ROWS = [
    {"prompt": "2 + 2 =", "answer": "4", "domain": "sums", "model": "lab/a", "output": "4", "acc": 1},
    {"prompt": "2 + 2 =", "answer": "4", "domain": "sums", "model": "lab/b", "output": "5", "acc": 0},
    {"prompt": "3 + 3 =", "answer": "6", "domain": "sums", "model": "lab/a", "output": None, "acc": None},
]


def outputs(log: Log, model: str) -> list[dict[str, object]]:
    """Return all of a model's rows."""
    return [row for table in log.output_tables(model) for row in table.to_pylist()]


def prompts(log: Log) -> list[Prompt]:
    """Return all prompts of a log."""
    return [prompt for table in log.prompt_tables() for prompt in prompts_from_table(table)]


def test_json_lines_parquet_and_csv_say_the_same(write_lines: WriteLines, tmp_path: Path) -> None:
    """The three kinds of tables give the same prompts and the same texts, and unknown stays null."""
    paths = [write_lines("log.jsonl", ROWS), str(tmp_path / "log.parquet"), str(tmp_path / "log.csv")]
    pq.write_table(pa.Table.from_pylist(ROWS), paths[1])
    pyarrow.csv.write_csv(pa.Table.from_pylist(ROWS), paths[2])
    logs = [open_log(path) for path in paths]
    expected = [
        Prompt.create(text, domain="sums", references=[gold]).id for text, gold in (("2 + 2 =", "4"), ("3 + 3 =", "6"))
    ]
    for log in logs:
        assert log.format == "table"
        assert log.models == ("lab/a", "lab/b")
        assert [prompt.id for prompt in prompts(log)] == expected
        first, second = outputs(log, "lab/a")
        assert (first["text"], second["text"]) == ("4", None)
        for unknown in ("seed", "token_ids", "logprobs", "finish_reason", "n_tokens"):
            assert first[unknown] is None
    assert outputs(logs[0], "lab/a")[0]["metadata"] == outputs(logs[1], "lab/a")[0]["metadata"] == '{"acc": 1}'
    assert logs[0].index.n_unanswered("lab/b") == 1


def test_columns_by_mapping(write_lines: WriteLines) -> None:
    """A config names any columns; the rest goes to the output's metadata, what it calls attributes to the prompt."""
    row = {
        "q": "Why?",
        "reply": "So.",
        "who": "m",
        "topic": "life",
        "n": 3,
        "lps": [-0.5, -1],
        "why": "max_tokens",
        "x": 1,
    }
    columns: dict[str, str | list[str] | None] = {
        "prompt": "q",
        "output": "reply",
        "model": "who",
        "domain": "topic",
        "n_tokens": "n",
        "logprobs": "lps",
        "finish_reason": "why",
        "attributes": ["topic"],
    }
    log = open_log(write_lines("log.jsonl", [row]), columns=columns)
    found = outputs(log, "m")[0]
    assert (found["text"], found["n_tokens"], found["finish_reason"], found["logprobs"]) == (
        "So.",
        3,
        "length",
        [-0.5, -1.0],
    )
    assert found["metadata"] == '{"x": 1}'
    assert prompts(log)[0].attributes == {"topic": "life"}


def test_a_missing_column_is_named_with_the_nearest_one(write_lines: WriteLines, tmp_path: Path) -> None:
    """A mistyped column costs one message, in JSON lines and in Parquet."""
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "log.parquet")
    for path in (write_lines("log.jsonl", ROWS), str(tmp_path / "log.parquet")):
        with pytest.raises(DataError, match=r"no column 'promt' \(columns.prompt\): did you mean prompt"):
            _ = open_log(path, columns={"prompt": "promt"}).index


def test_without_columns_a_file_is_one_model_and_one_domain(write_lines: WriteLines, tmp_path: Path) -> None:
    """A folder with a file a model needs no column for it."""
    for name in ("gpt", "llama"):
        write_lines(f"logs/{name}.jsonl", [{"prompt": "Hi", "output": name, "task": "greet"}])
    log = open_log(str(tmp_path / "logs"))
    assert log.models == ("gpt", "llama")
    assert [prompt.domain for prompt in prompts(log)] == ["greet"]


@pytest.mark.parametrize("first", [0, 1])
def test_samples_only_where_the_log_says_so(write_lines: WriteLines, first: int) -> None:
    """A column of samples numbers them, from 0 or from 1."""
    rows = [{**ROWS[0], "sample": first + sample, "output": str(sample)} for sample in range(3)]
    log = open_log(write_lines("log.jsonl", rows))
    assert [(row["sample"], row["text"]) for row in outputs(log, "lab/a")] == [(0, "0"), (1, "1"), (2, "2")]
    assert log.index.n_samples == 3


def test_rows_there_twice(write_lines: WriteLines) -> None:
    """What is there twice in the same words counts once; what differs is an error that names both rows."""
    log = open_log(write_lines("log.jsonl", [ROWS[0], ROWS[0], ROWS[1], {**ROWS[1], "output": "six"}]))
    assert [row["text"] for row in outputs(log, "lab/a")] == ["4"]
    assert outputs(log, "lab/b") == []
    (reason,) = log.failure_reasons("lab/b").values()
    assert "differ" in reason
    assert "line 3" in reason
    assert "line 4" in reason


@pytest.mark.parametrize("is_parquet", [False, True])
def test_one_question_under_two_ids_is_two_prompts(
    write_lines: WriteLines, tmp_path: Path, *, is_parquet: bool
) -> None:
    """An exam that asks a question twice keeps both outputs; all other prompts keep the id of their content."""
    rows = [{**ROWS[0], "id": "q1"}, {**ROWS[0], "id": "q2", "output": "four"}, {**ROWS[2], "id": "q3"}]
    path = write_lines("log.jsonl", rows)
    if is_parquet:
        path = str(tmp_path / "log.parquet")
        pq.write_table(pa.Table.from_pylist(rows), path)
    log = open_log(path)
    found = prompts(log)
    plain = Prompt.create("2 + 2 =", domain="sums", references=["4"]).id
    assert len({prompt.id for prompt in found}) == 3
    assert plain not in {prompt.id for prompt in found}
    assert found[2].id == Prompt.create("3 + 3 =", domain="sums", references=["6"]).id
    by_prompt = {row["prompt_id"]: row["text"] for row in outputs(log, "lab/a")}
    assert [by_prompt[prompt.id] for prompt in found] == ["4", "four", None]
    assert [prompt.attributes["id"] for prompt in found] == ["q1", "q2", "q3"]


def test_bad_rows_are_reported_with_their_line(tmp_path: Path) -> None:
    """A torn last line or a row without a prompt does not cost the log, and is said with file and line."""
    path = tmp_path / "log.jsonl"
    lines = [
        '{"prompt": "a", "output": "b"}',
        '{"prompt": ""}',
        "[1]",
        '{"prompt": "c", "output": 5}',
        '{"prompt": "d", "o',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    log = open_log(str(path))
    assert len(outputs(log, "log")) == 1
    assert log.problems.n_rows == 4
    for line, problem in ((2, "'prompt' is ''"), (3, "a JSON list"), (4, "'output' is 5"), (5, "not JSON")):
        assert any(f"line {line}: {problem}" in shown for shown in log.problems.shown)


def test_bad_rows_of_parquet_are_reported(tmp_path: Path) -> None:
    """Null prompts, nameless models and negative samples are left out, each with its row."""
    path = tmp_path / "log.parquet"
    rows = [
        {"prompt": "a", "model": "m", "sample": 0},
        {"prompt": None, "model": "m", "sample": 0},
        {"prompt": "b", "model": None, "sample": 0},
        {"prompt": "c", "model": "m", "sample": -3},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    log = open_log(str(path))
    assert len(outputs(log, "m")) == 1
    assert [shown.split(", ")[-1] for shown in log.problems.shown] == [
        "row 2: its prompt is empty",
        "row 3: it names no model",
        "row 4: its sample is no number from 0",
    ]


def test_two_tables(tmp_path: Path) -> None:
    """Outputs are joined with their prompts by id; one without a prompt is reported, a prompt without one is kept."""
    pq.write_table(
        pa.Table.from_pylist(
            [
                {"prompt_id": "p1", "domain": "d", "prompt": "one", "answer": "1", "level": 3},
                {"prompt_id": "p2", "domain": "d", "prompt": "one", "answer": "1", "level": 4},
                {"prompt_id": "p3", "domain": "d", "prompt": "three", "answer": None, "level": 5},
            ]
        ),
        tmp_path / "prompts.parquet",
    )
    rows = [{"prompt_id": f"p{number}", "model": "m", "correct": number == 1} for number in (2, 1, 9)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "outputs_slim.parquet")
    for path in (tmp_path, tmp_path / "outputs_slim.parquet"):
        log = open_log(str(path))
        assert log.format == "two_tables"
        first, second, third = prompts(log)
        assert first.id != second.id
        assert third.id == Prompt.create("three", domain="d").id
        assert third.attributes == {"level": 5, "prompt_id": "p3"}
        found = {row["prompt_id"]: (row["text"], row["metadata"]) for row in outputs(log, "m")}
        assert found == {first.id: (None, '{"correct": true}'), second.id: (None, '{"correct": false}')}
        assert log.index.n_unanswered("m") == 1
        assert "row 3: its prompt is not in the table of prompts" in log.problems.shown[0]


def test_pieces_do_not_change_anything(tmp_path: Path) -> None:
    """Rows beyond one piece, in files with many and with one row group, keep their place."""
    n_rows = 20_000
    rows = {
        "prompt": [f"number {row % (n_rows // 2)}" for row in range(n_rows)],
        "model": ["a"] * (n_rows // 2) + ["b"] * (n_rows // 2),
        "output": [str(row) for row in range(n_rows)],
    }
    for size in (700, n_rows):
        path = tmp_path / f"log{size}.parquet"
        pq.write_table(pa.table(rows), path, row_group_size=size)
        log = open_log(str(path), columns={"domain": None})
        ids = {prompt.id: prompt.text for prompt in prompts(log)}
        assert len(ids) == n_rows // 2
        for model, offset in (("a", 0), ("b", n_rows // 2)):
            found = outputs(log, model)
            assert len(found) == n_rows // 2
            assert all(ids[str(row["prompt_id"])] == f"number {int(str(row['text'])) - offset}" for row in found)


def test_unknown_files_say_what_was_tried(tmp_path: Path) -> None:
    """A folder that holds no log is one sentence that names the formats and what was found."""
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match=r"is no log that can be read; tried inspect: .*table: .*found notes.txt"):
        open_log(str(tmp_path))
    with pytest.raises(DataError, match="does not exist"):
        open_log(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="log format is 'lmeval': did you mean lm_eval"):
        open_log(str(tmp_path), format="lmeval")


def test_lone_surrogates_can_be_stored(tmp_path: Path) -> None:
    """JSON may hold half of a surrogate pair, which no Parquet file can: it is replaced, the row is kept."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"prompt": "a\\ud800", "output": "\\udfff", "note": "\\ud83d"}', encoding="utf-8")
    log = open_log(str(path))
    assert prompts(log)[0].text == "a\ufffd"
    assert prompts(log)[0].id == Prompt.create("a\ufffd", domain="log").id
    assert outputs(log, "log")[0]["text"] == "\ufffd"
