"""From shadow logs to recorded generations: what is taken, what is left out, and what is said of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.errors import DataError, MetamodelError
from metamodel.feedback import write_feedback


def record(number: int, **changes: object) -> dict[str, object]:
    """Return a record as the gateway writes it: prompts with "bad" are truncated more often than predicted."""
    is_bad = number % 2
    yes = 0.8 if is_bad else 0.2
    is_yes = (number // 2 % 5 < 4) if is_bad else (number // 2 % 5 == 0)
    return {
        "schema_version": 1,
        "id": f"{number}-0-0",
        "prompt": f"{'a bad' if is_bad else 'a good'} prompt of number {number}",
        "domain": ("here", "there")[number // 2 % 2],
        "model": "m",
        "answered_by": "upstream",
        "would": "pass",
        "did": "pass",
        "screened": {"probabilities": {"truncated": {"no": 1 - yes, "yes": yes}}},
        "output": "word " * (2 + number % 7),
        "finish_reason": "length" if is_yes else "stop",
        "n_tokens": 2 + number % 7,
        "labels": {"truncated": float(is_yes)},
        "outcomes": {"truncated": "yes" if is_yes else "no"},
        "error": None,
        **changes,
    }


def write_log(folder: Path, found: list[dict[str, object]]) -> Path:
    """Write records as a shadow folder."""
    folder.mkdir()
    lines = [json.dumps(one) for one in found]
    (folder / "shadow-1.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_feedback_says_what_it_took_and_how_predictions_did(tmp_path: Path) -> None:
    """Calibrated predictions show as such, in bits, and what is left out is counted with file and line."""
    good: list[dict[str, object]] = [record(number) for number in range(200)]
    left_out = [
        record(3),  # again
        record(900, output=None, error="upstream_reset"),
        record(901, schema_version=9),
        record(902, prompt=7),
    ]
    folder = write_log(tmp_path / "log", [*good, *left_out, record(903, answered_by="stronger", model="big")])
    with (folder / "shadow-1.jsonl").open("ab") as handle:
        handle.write(b'{"schema_version": 1, "id": "cut')
    report = write_feedback(folder, tmp_path / "out.jsonl")
    assert (report.n_written, report.n_prompts) == (201, 201)
    assert (report.n_duplicates, report.n_without_output, report.n_bad) == (1, 1, 3)
    assert report.bad[-1].startswith("shadow-1.jsonl, line 206: is no JSON")
    (one,) = report.predictions
    assert (one.behavior, one.n_outputs) == ("truncated", 200)
    # Four of five of the bad ones and one of five of the good ones, as predicted: 1 - H(0.2) bits.
    assert one.reduction_bits == pytest.approx(0.278, abs=1e-3)
    assert one.ece == pytest.approx(0, abs=1e-9)
    assert one.base_rate == pytest.approx(0.5)


def test_repeated_prompts_become_samples(tmp_path: Path) -> None:
    """Several replies to one prompt are what a noise ceiling is measured from; none may be lost or overwritten."""
    same = [record(number, prompt="the same", domain="d", output=f"reply {number}") for number in range(3)]
    write_feedback(write_log(tmp_path / "log", same), tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["sample"], row["output"]) for row in rows] == [(number, f"reply {number}") for number in range(3)]


def test_feedback_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Nothing is overwritten, and an empty folder or a log without outputs is one sentence."""
    with pytest.raises(DataError, match="holds no shadow log"):
        write_feedback(tmp_path, tmp_path / "out.jsonl")
    folder = write_log(tmp_path / "log", [record(1, output=None)])
    with pytest.raises(DataError, match="no output that can be used"):
        write_feedback(folder, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(MetamodelError, match="exists already"):
        write_feedback(folder, tmp_path / "out.jsonl")


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    """People read a table, scripts read JSON, and both say the same."""
    folder = write_log(tmp_path / "log", [record(number) for number in range(40)])
    shown = CliRunner().invoke(app, ["feedback", str(folder), "--out", str(tmp_path / "next")])
    assert shown.exit_code == 0, shown.output
    assert "written: 40 generations for 40 prompts" in shown.output
    assert "0 duplicates, 0 bad lines" in shown.output
    assert (tmp_path / "next" / "config.yaml").exists()
    told = CliRunner().invoke(app, ["feedback", str(folder), "--out", str(tmp_path / "next.jsonl"), "--json"])
    assert json.loads(told.output)["predictions"][0]["n_outputs"] == 40
    assert (tmp_path / "next.jsonl").read_text() == (tmp_path / "next" / "recorded.jsonl").read_text()


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[" * 10_000,
        b"null",
        b'{"schema_version": 1}',
        json.dumps({"schema_version": 1, "id": "a", "screened": {"probabilities": {"x": [1]}}}).encode(),
    ],
)
def test_hostile_lines_are_counted_not_believed(line: bytes, tmp_path: Path) -> None:
    """A log may have passed through other hands: a bad line costs itself alone."""
    folder = write_log(tmp_path / "log", [record(1), record(2)])
    (folder / "shadow-0.jsonl").write_bytes(line + b"\n")
    report = write_feedback(folder, tmp_path / "out.jsonl")
    assert (report.n_written, report.n_bad) == (2, 1)


def test_probabilities_that_are_none_do_not_count(tmp_path: Path) -> None:
    """Only distributions over named outcomes can be compared with an outcome."""
    wrong: list[dict[str, object]] = [{"no": 0.5}, {"no": 0.9, "yes": 0.9}, {"no": "x", "yes": 1.0}, {}]
    found = [
        record(number, screened={"probabilities": {"truncated": probabilities}})
        for number, probabilities in enumerate(wrong)
    ]
    assert write_feedback(write_log(tmp_path / "log", found), tmp_path / "out.jsonl").predictions == []
