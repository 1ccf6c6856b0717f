"""Shadow mode: what it writes, what it does not, and what becomes of it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

import metamodel
from metamodel.cli import app
from metamodel.gateway.shadow_log import RotatingLines
from metamodel.metric_rows import rows_from_json

Start = Callable[..., Any]
HTTP = httpx.Client(
    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
)


def chat(text: str, **more: object) -> dict[str, object]:
    """Return a request."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def records(folder: Path) -> list[dict[str, Any]]:
    """Return what was written."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_it_watches_and_does_not_act(start_upstream: Start, start_gateway: Start, tmp_path: Path) -> None:
    """Everything reaches the model as it came, and the log says what would have become of it beside what did."""
    upstream = start_upstream()
    gateway = start_gateway(
        upstream.url,
        policy={"stop": "refuse"},
        shadow={"folder": str(tmp_path / "log"), "featurizers": ["truncated", "n_words", "ngram_copy"]},
    )
    whole = HTTP.post(f"{gateway.url}/chat/completions", json=chat("a bad prompt"), headers={"x-metamodel-domain": "d"})
    stream = HTTP.post(f"{gateway.url}/chat/completions", json=chat("a good prompt", stream=True))
    several = HTTP.post(f"{gateway.url}/completions", json={"model": "m", "prompt": "one two", "n": 2})
    gateway.stop()
    assert len(upstream.requests) == 3
    assert "content_filter" not in whole.text + stream.text + several.text
    assert not [name for name in whole.headers if name.startswith("x-metamodel")]
    found = records(tmp_path / "log")
    assert [one["prompt"] for one in found] == ["a bad prompt", "a good prompt", "one two", "one two"]
    assert [(one["would"], one["did"]) for one in found[:2]] == [("refuse", "pass"), ("pass", "pass")]
    assert found[0]["domain"] == "d"
    assert found[0]["screened"]["failures"] == {"fail": 0.9, "truncated": pytest.approx(0.1)}
    assert found[0]["output"] == "a bad prompt #0"
    assert found[1]["output"].split() == ["a", "good", "prompt", "#0"]
    assert found[1]["labels"]["n_words"] == 4
    assert found[1]["outcomes"]["truncated"] == "no"
    assert [one["output"] for one in found[2:]] == ["one two #0", "one two #1"]
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_the_log_is_bounded_and_whole(tmp_path: Path) -> None:
    """A gateway must not fill a disk, and every line that is left must be a line."""
    lines = RotatingLines(tmp_path, max_file_bytes=1000, max_files=3, fsync="line")
    for number in range(200):
        lines.write(json.dumps({"number": number, "text": "x" * 50}).encode())
    lines.close()
    files = sorted(tmp_path.glob("*.jsonl"))
    assert len(files) == 3
    assert all(path.stat().st_size <= 1000 for path in files)
    kept = [json.loads(line)["number"] for path in files for line in path.read_text().splitlines()]
    assert kept == list(range(200 - len(kept), 200))


def test_a_full_disk_does_not_end_the_calls(
    start_upstream: Start, start_gateway: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log is worth less than an answer: what cannot be written is counted."""
    gateway = start_gateway(start_upstream().url, shadow={"folder": str(tmp_path)})

    def refuse(_self: RotatingLines, _line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RotatingLines, "write", refuse)
    assert HTTP.post(f"{gateway.url}/chat/completions", json=chat("good")).status_code == 200
    for _ in range(300):
        text = HTTP.get(f"{gateway.root}/metrics").text
        if 'shadow_records_total{fate="failed"} 1.0' in text:
            return
    pytest.fail("the failure was not counted")


@pytest.mark.slow
def test_from_live_calls_to_a_trained_metamodel(start_upstream: Start, start_gateway: Start, tmp_path: Path) -> None:
    """Gateway, shadow log, feedback and the next run fit together without a hand in between."""

    def answer(_headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        text = body["messages"][-1]["content"]
        choice = {
            "index": 0,
            "message": {"content": text[: 10 + len(text) % 3]},
            "finish_reason": "length" if "loop" in text else "stop",
        }
        return 200, {}, {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": len(text)}}

    upstream = start_upstream(answer=answer)
    gateway = start_gateway(
        upstream.url, shadow={"folder": str(tmp_path / "log"), "featurizers": ["truncated", "empty"]}
    )
    for number in range(48):
        text = f"{('loop', 'say')[number % 2]} number {number} {'again ' * (number % 5)}"
        domain = {"x-metamodel-domain": f"d{number // 2 % 3}"}
        HTTP.post(f"{gateway.url}/chat/completions", json=chat(text), headers=domain).raise_for_status()
    gateway.stop()
    finished = CliRunner().invoke(app, ["feedback", str(tmp_path / "log"), "--out", str(tmp_path / "next")])
    assert finished.exit_code == 0, finished.output
    assert "written: 48 generations for 48 prompts" in finished.output
    assert "truncated" in finished.output
    overrides = [
        f"directory={tmp_path / 'run'}",
        "evaluation.n_bootstrap=100",
        "behaviors=[{kind: truncated}, {kind: n_words}]",
        "metamodels=[{kind: base_rate}, {kind: prompt_length}]",
    ]
    run = metamodel.run(metamodel.load_config(tmp_path / "next" / "config.yaml", overrides), quiet=True)
    rows = rows_from_json(run.read_text("metrics.json"))
    assert {row.behavior for row in rows} >= {"truncated", "n_words"}
    assert {row.split for row in rows} == {"held_out_domain", "in_distribution"}
