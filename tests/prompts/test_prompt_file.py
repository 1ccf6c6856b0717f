"""Prompts from JSONL, CSV and Parquet."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamodel.errors import DataError
from metamodel.prompts.files import PromptFile
from metamodel.types import Prompt

ROWS = [
    {"prompt": "2 + 2 =", "domain": "sums", "answer": "4", "note": "ignored"},
    {"prompt": 'Say "a,\nb" ->', "domain": "quotes", "answer": '"a,\nb"', "note": "commas, breaks"},
    {"prompt": "Grüße an", "domain": "open", "answer": None, "note": ""},
]
EXPECTED = [
    Prompt.create("2 + 2 =", domain="sums", references=["4"]),
    Prompt.create('Say "a,\nb" ->', domain="quotes", references=['"a,\nb"']),
    Prompt.create("Grüße an", domain="open"),
]
CSV_TEXT = (
    'prompt,domain,answer,note\n2 + 2 =,sums,4,ignored\n"Say ""a,\nb"" ->",quotes,"""a,\nb""",x\nGrüße an,open,,\n'
)


def write_jsonl(folder: Path, *lines: str) -> str:
    """Write lines as they are and return the path."""
    path = folder / "some prompts.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def write_table(folder: Path, suffix: str) -> str:
    """Write ROWS in one of the formats and return the path."""
    path = folder / f"table{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    elif suffix == ".csv":
        path.write_text(CSV_TEXT, encoding="utf-8-sig")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return str(path)


def refusal(source: PromptFile) -> str:
    """Return the message with which a source is refused."""
    with pytest.raises(DataError) as refused:
        list(source.prompts(seed=0))
    return str(refused.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_all_formats_give_the_same_prompts(tmp_path: Path, suffix: str) -> None:
    """The same table in any format gives the same prompts, with the same ids."""
    path = write_table(tmp_path, suffix)
    assert list(PromptFile(path=path).prompts(seed=0)) == EXPECTED
    assert list(PromptFile(path=f"file://{path}").prompts(seed=1)) == EXPECTED


def test_columns_can_be_mapped(tmp_path: Path) -> None:
    """Any column can be the prompt or the answer, and one name can stand for all domains."""
    path = write_jsonl(tmp_path, '{"question": "Why?", "golds": ["a", "b", 3]}')
    (prompt,) = PromptFile(path=path, text="question", references="golds", domain="why").prompts(seed=0)
    assert (prompt.text, prompt.domain, prompt.references) == ("Why?", "why", ("a", "b", "3"))


def test_choices_are_lists(tmp_path: Path) -> None:
    """Multiple choice keeps its options in order; a single text in their column is a mistake and not one option."""
    path = write_jsonl(tmp_path, '{"prompt": "Wet?", "options": ["no", "yes"]}', '{"prompt": "Why?", "options": null}')
    source = PromptFile(path=path, choices="options", domain="d", references=None)
    asked, free = source.prompts(seed=0)
    assert (asked.choices, free.choices) == (("no", "yes"), ())
    assert asked.id != next(replace(source, choices=None).prompts(seed=0)).id
    wrong = write_jsonl(tmp_path, '{"prompt": "Wet?", "options": "no"}')
    assert "line 1: column 'options' holds 'no', must be a list" in refusal(replace(source, path=wrong))


def test_a_file_without_domain_is_named_by_itself(tmp_path: Path) -> None:
    """With neither column nor name, the file's own name is the domain."""
    path = write_jsonl(tmp_path, '{"prompt": "Why?"}')
    (prompt,) = PromptFile(path=path, domain_column=None, references=None).prompts(seed=0)
    assert (prompt.domain, prompt.references) == ("some prompts", ())


def test_a_missing_file_is_named() -> None:
    """The path that was looked for stands in the message."""
    assert "prompt file nowhere.jsonl does not exist" in refusal(PromptFile(path="nowhere.jsonl"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder with a table's suffix gives a message, not a traceback."""
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read" in refusal(PromptFile(path=str(tmp_path / "folder.csv")))


def test_an_unknown_scheme_is_named() -> None:
    """An fsspec scheme that nobody provides gives a message, not a traceback."""
    assert "cannot be opened" in refusal(PromptFile(path="nosuch://bucket/prompts.jsonl"))


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", ""), ("b.jsonl", "\n \n"), ("c.csv", ""), ("d.csv", "prompt\n")]
)
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """A file without a row is a mistake, whether or not it has a header."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert "is empty: it must hold at least one row" in refusal(PromptFile(path=str(tmp_path / name)))


def test_an_empty_parquet_table_is_refused(tmp_path: Path) -> None:
    """So is a Parquet table with columns and no row."""
    path = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"prompt": pa.array([], type=pa.string())}), path)
    assert "is empty" in refusal(PromptFile(path=str(path)))


GOOD = '{"prompt": "a", "domain": "d", "answer": "x"}'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{broken", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "a JSON list, must be an object"),
        ('{"prompt": null, "domain": "d", "answer": "x"}', "column 'prompt' is null or empty"),
        ('{"prompt": "", "domain": "d", "answer": "x"}', "column 'prompt' is null or empty"),
        ('{"prompt": 5, "domain": "d", "answer": "x"}', "column 'prompt' holds 5 (int), must be text"),
        ('{"prompt": "a", "domain": null, "answer": "x"}', "column 'domain' is null or empty"),
        ('{"prompt": "a", "domain": "d", "answer": {"b": 1}}', "column 'answer' holds {'b': 1} (dict)"),
        ('{"prompt": "a", "domain": "d", "answer": ["x", true]}', "column 'answer' holds True (bool)"),
        ('{"prompt": "\\ud800", "domain": "d", "answer": "x"}', "half of a surrogate pair"),
        ('{"prompt": "a", "domain": "d"}', "no column 'answer' (references): Known: domain, prompt"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """The line number stands in the message with what is wrong; good lines before it were given."""
    path = write_jsonl(tmp_path, GOOD, "", line)
    prompts = PromptFile(path=path).prompts(seed=0)
    assert next(prompts).text == "a"
    with pytest.raises(DataError, match=re.escape(f"{path}, line 3: ")) as refused:
        next(prompts)
    assert problem in str(refused.value)


def test_a_missing_column_gets_the_nearest(tmp_path: Path) -> None:
    """All missing columns are named at once, with those that exist, the nearest, and the way out."""
    path = write_jsonl(tmp_path, '{"prompts": "a", "domains": "d", "answer": "x"}')
    message = refusal(PromptFile(path=path))
    assert "no column 'prompt' (text): did you mean prompts? Known: answer, domains, prompts" in message
    assert "no column 'domain' (domain_column): did you mean domains?" in message


@pytest.mark.parametrize(("suffix", "first_line"), [(".jsonl", GOOD), (".csv", "prompt,domain,answer")])
def test_undecodable_bytes_are_named(tmp_path: Path, suffix: str, first_line: str) -> None:
    """A file in another encoding is refused with the line and the byte."""
    path = tmp_path / f"latin{suffix}"
    path.write_bytes(first_line.encode() + b"\nGr\xfc\xdfe\n")
    assert f"{path}, line 2: not UTF-8 (byte 0xfc)" in refusal(PromptFile(path=str(path)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("prompt,domain,answer\na,d,x\nb,d\n", "line 3: 2 fields, the header has 3"),
        ("prompt,domain,answer\na,d,x\nb,d,x,y\n", "line 3: 4 fields, the header has 3"),
        ('prompt,domain,answer\n"a\nb",d,x\n,d,x\n', "line 4: column 'prompt' is null or empty"),
        ('prompt,domain,answer\na,d,x\n"b,d,x\n', "not CSV"),
        ("prompt,prompt,answer\na,d,x\n", "line 1: columns occur twice: 'prompt'"),
    ],
)
def test_a_bad_csv_row_is_named(tmp_path: Path, content: str, problem: str) -> None:
    """Ragged rows, open quotes and repeated columns are refused where they begin."""
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    assert problem in refusal(PromptFile(path=str(path)))


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    """Another format under Parquet's suffix gives a message, not a traceback."""
    path = tmp_path / "text.parquet"
    path.write_text("prompt\n", encoding="utf-8")
    assert "not a readable Parquet file" in refusal(PromptFile(path=str(path)))


def test_a_null_in_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    """Parquet has rows, not lines."""
    path = tmp_path / "null.parquet"
    pq.write_table(pa.table({"prompt": ["a", None]}), path)
    assert "row 2: column 'prompt' is null" in refusal(PromptFile(path=str(path), domain="d", references=None))
