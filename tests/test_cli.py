"""The command line: results on stdout, one line on stderr and exit code 2 for a mistake, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from metamodel.cli import app

ROOT = Path(__file__).parent.parent


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    code = "from metamodel.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )


def call(arguments: Sequence[str]) -> str:
    """Run a command in this process and return what it printed."""
    finished = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert finished.exit_code == 0, finished.output
    return finished.output


def write_config(folder: Path, **changes: object) -> Path:
    """Write a small valid config."""
    config = {
        "directory": str(folder / "run"),
        "logger": "none",
        "prompts": {"n_prompts": 12, "sources": [{"kind": "addition"}, {"kind": "reversal"}, {"kind": "capitals"}]},
        "primaries": [{"kind": "zoo", "model": "lstm"}],
        "sampling": {"n_samples": 2, "max_new_tokens": 12},
        "behaviors": [{"kind": "correct"}, {"kind": "n_tokens"}],
        "metamodels": [{"kind": "base_rate"}, {"kind": "domain_tag"}],
        "evaluation": {"n_bootstrap": 100},
        **changes,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nothing.yaml"], "error: nothing.yaml: cannot be read"),
        (["check", "quickstrat"], "did you mean quickstart?"),
        (["components", "--group", "featurizer"], "did you mean featurizers?"),
        (["configs", "cp", "nothing"], "no file and no bundled config is named 'nothing'"),
        (["zoo", "train", "gpt3"], "gpt"),
        (["check", "quickstart", "--set", "sampling.temperature=hot"], "sampling.temperature: input should be a valid"),
        (["evaluate", "quickstart", "--set", "directory=/nonexistent/run"], "is not a run directory"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    """Whoever mistypes a name or a value reads one sentence, not a traceback."""
    finished = command(*arguments)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert len(finished.stderr.strip().splitlines()) == 1
    assert message in finished.stderr


@pytest.mark.slow
def test_run_from_the_command_line(tmp_path: Path) -> None:
    """`run` does every stage, prints the table and the report's path; --json prints the rows instead."""
    path = write_config(tmp_path)
    printed = call(["run", str(path), "--quiet"])
    assert "report.html" in printed
    assert "domain_tag" in printed
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    rows = json.loads(call(["evaluate", str(path), "--quiet", "--json"]))
    assert {row["metamodel"] for row in rows} == {"base_rate", "domain_tag"}
    finished = command("run", str(path), "--set", "seed=5")
    assert finished.returncode == 2
    assert "made with another config (seed: 0 -> 5)" in finished.stderr


def test_check_and_dry_run_write_nothing(tmp_path: Path) -> None:
    """The plan says how much work a config is, before any of it is done."""
    path = write_config(tmp_path)
    plan = json.loads(call(["check", str(path), "--json"]))
    assert plan["prompts_by_domain"] == {"addition": 12, "capitals": 12, "reversal": 12}
    assert plan["n_generations"] == 3 * 12 * 2
    assert plan["n_fits"] == 2 * 4
    assert "72 (2 a prompt and primary model)" in call(["run", str(path), "--dry-run"])
    assert not (tmp_path / "run").exists()


def test_components_lists_every_group() -> None:
    """The catalog shows fields with defaults and label spaces, also as JSON."""
    entries = {entry["kind"]: entry for entry in json.loads(call(["components", "--json"]))}
    assert entries["n_tokens"]["label_space"] == "count"
    assert entries["ngram_copy"]["reads_prompt"] is True
    assert entries["reversal"]["fields"]["max_length"].startswith("int")
    assert "repetition_loop" in call(["components", "--group", "featurizers"])


def test_configs_are_listed_and_copied(tmp_path: Path) -> None:
    """A newcomer finds the bundled configs and gets a copy to change."""
    assert "quickstart" in call(["configs", "ls"])
    call(["configs", "cp", "quickstart", str(tmp_path)])
    assert (tmp_path / "quickstart.yaml").exists()


def test_zoo_is_listed() -> None:
    """The bundled models are there: four architectures, one of them in three sizes with five checkpoints each."""
    names = {entry["name"] for entry in json.loads(call(["zoo", "ls", "--json"]))}
    assert {"gpt2", "gpt_neox", "mamba2", "lstm"} <= names
    assert len(names) == 4 + 3 * 5


@pytest.mark.slow
def test_zoo_train_reproduces_a_folder(tmp_path: Path) -> None:
    """`zoo train` ends with a Hugging Face folder that a config can name."""
    finished = command("zoo", "train", "lstm", "--directory", str(tmp_path / "lstm"), "--n-tokens", "3000", "--quiet")
    assert finished.returncode == 0, finished.stderr
    assert (Path(finished.stdout.strip()) / "model.safetensors").exists()
