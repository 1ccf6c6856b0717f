"""The plain function, and the command, on a pre-screen's folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.errors import ConfigError, DataError
from metamodel.integrations import StoppedError, guard
from metamodel.screen import ScreenedPrompt


def test_it_decides_and_stands_before_functions(screen_folder: Path) -> None:
    """One object serves every framework: called with a prompt it decides, before a function it guards."""
    prescreen = guard(screen_folder)
    assert prescreen("this is bad").decision == "stop"
    assert prescreen("all is good").decision == "pass"

    @guard(screen_folder, argument="question", on_stop=lambda _prompt, screened: f"no: {screened.stopped_by[0]}")
    def ask(model: str, question: str = "all is good") -> str:
        return f"{model} says {question}"

    assert ask("m", "all is good") == "m says all is good"
    assert ask("m", question="this is bad") == "no: fail"
    assert ask.__name__ == "ask"


def test_it_guards_coroutines_and_raises_without_advice(screen_folder: Path) -> None:
    """A stopped prompt never reaches the model silently, in a loop either, and the error does not quote it."""

    @guard(screen_folder)
    async def ask(prompt: str) -> str:
        await asyncio.sleep(0)
        return prompt.upper()

    assert asyncio.run(ask("all is good")) == "ALL IS GOOD"
    with pytest.raises(StoppedError, match=r"^stopped by fail$") as caught:
        asyncio.run(ask("this is bad"))
    assert caught.value.screened.failures["fail"] > 0.5

    async def instead(prompt: str, screened: ScreenedPrompt) -> str:
        return f"{prompt}: {screened.decision}"

    guarded = guard(screen_folder, on_stop=instead)(ask.__wrapped__)  # type: ignore[attr-defined] # functools.wraps
    assert asyncio.run(guarded("this is bad")) == "this is bad: stop"


def test_it_refuses_what_has_no_prompt(screen_folder: Path) -> None:
    """A guard that looks at the wrong argument would let everything through."""
    with pytest.raises(TypeError, match="no argument 'text'"):
        guard(screen_folder, argument="text")(lambda prompt: prompt)
    with pytest.raises(TypeError, match="must be the prompt's text"):
        guard(screen_folder)(lambda prompt: prompt)(["a list"])


def test_the_command_reads_everything_before_it_listens(screen_folder: Path, tmp_path: Path) -> None:
    """A config that names a rule which the pre-screen lacks would silently never act."""
    config = {
        "screen": str(screen_folder),
        "upstream": {"base_url": "http://127.0.0.1:9/v1"},
        "policy": {"behaviors": {"fail": "refuse"}},
    }
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    finished = CliRunner().invoke(app, ["gateway", str(path), "--check"])
    assert finished.exit_code == 0, finished.output
    assert "1 rules in front of http://127.0.0.1:9/v1" in finished.output
    path.write_text(yaml.safe_dump({**config, "policy": {"behaviors": {"failed": "refuse"}}}), encoding="utf-8")
    finished = CliRunner().invoke(app, ["gateway", str(path)])
    assert isinstance(finished.exception, ConfigError)
    assert "policy.behaviors.failed: the pre-screen has no such rule, did you mean fail?" in str(finished.exception)
    path.write_text(yaml.safe_dump({**config, "screen": str(tmp_path)}), encoding="utf-8")
    assert isinstance(CliRunner().invoke(app, ["gateway", str(path)]).exception, DataError)
