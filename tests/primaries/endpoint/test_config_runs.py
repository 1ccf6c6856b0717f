"""configs/endpoint.yaml against a server on this machine, from the first request to the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import metamodel
from metamodel.cli import app
from metamodel.errors import MetamodelError
from metamodel.metric_rows import rows_from_json

CONFIG = Path(__file__).parents[3] / "configs" / "endpoint.yaml"


def write(_headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Answer as a model that is cut off at long prompts and ends short ones."""
    prompt = body["messages"][-1]["content"]
    words = prompt.split()[: 2 + body["seed"] % 5]
    reason = "length" if len(prompt) % 2 else "stop"
    choice = {"index": 0, "message": {"content": " ".join(words)}, "finish_reason": reason}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words) + 1}
    return 200, {}, {"model": "m", "choices": [choice], "usage": usage}


@pytest.mark.slow
def test_the_config_runs(start_server: Callable[..., Any], tmp_path: Path) -> None:
    """Every stage does its work on what the endpoint wrote, and a second run asks for nothing."""
    server = start_server(answer=write, fault_rate=0.1, faults=("500", "429_retry_after", "reset"))
    overrides = [
        f"directory={tmp_path / 'run'}",
        f"primaries.0.base_url={server.url}",
        "primaries.0.backoff_s=0.01",
        "prompts.n_prompts=10",
        "evaluation.n_bootstrap=100",
    ]
    config = metamodel.load_config(CONFIG, overrides)
    run = metamodel.run(config, quiet=True)
    assert {row.split for row in rows_from_json(run.read_text("metrics.json"))} == {
        "held_out_domain",
        "in_distribution",
    }
    assert run.read("generations").num_rows == 60
    assert "</html>" in run.read_text("report.html")
    n_requests = len(server.requests)
    metamodel.run(config, quiet=True)
    assert len(server.requests) == n_requests


def test_without_a_server_the_command_says_what_to_do(tmp_path: Path) -> None:
    """The config as it stands, before anything was started, ends in one error with the address."""
    arguments = ["collect", str(CONFIG), "--set", f"directory={tmp_path / 'r'}", "--quiet"]
    arguments += ["--set", "primaries.0.base_url=http://127.0.0.1:9/v1", "--set", "primaries.0.max_attempts=1"]
    finished = CliRunner().invoke(app, arguments)
    assert isinstance(finished.exception, MetamodelError)
    assert "http://127.0.0.1:9/v1/chat/completions cannot be reached" in str(finished.exception)
