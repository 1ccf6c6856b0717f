"""What the README and the configs' headers tell a newcomer to do, done."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamodel.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python runs as printed, in a folder that has only the configs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    blocks = fenced("python")
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec", dont_inherit=True), {"__name__": "readme"})  # noqa: S102 - the project's own text
    assert (tmp_path / "runs" / "small" / "report.html").exists()


def test_commands_named_in_the_readme_exist() -> None:
    """No command in the README or a config's header is a command that is not there."""
    headers = [path.read_text(encoding="utf-8").split("\n\n", 1)[0] for path in (ROOT / "configs").glob("*.yaml")]
    named = set(re.findall(r"metamodel ((?:configs |zoo )?[a-z]+)", "\n".join([*fenced("sh"), README, *headers])))
    for name in named - {"is", "components"}:
        arguments = shlex.split(name)
        if arguments[0] not in {
            "run",
            "collect",
            "check",
            "configs",
            "zoo",
            "featurize",
            "train",
            "evaluate",
            "report",
            "import",
            "verify",
            "behaviors",
        }:
            continue
        finished = CliRunner().invoke(app, [*arguments, "--help"])
        assert finished.exit_code == 0, name
    assert {"run", "configs cp", "zoo train", "check"} <= named


def test_readme_tables_are_those_of_the_benchmarks() -> None:
    """Every table in the README is what the committed results say."""
    finished = subprocess.run(
        [sys.executable, "benchmarks/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_make_targets_of_the_readme_exist() -> None:
    """`make quickstart` and `make test` are what the Makefile offers."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^    make (\w+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
