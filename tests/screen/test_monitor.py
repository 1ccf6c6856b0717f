"""`metamodel monitor`: the drift monitor over decisions that were written down."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.errors import DataError, MetamodelError
from metamodel.labels import Binary
from metamodel.screen import Screen
from metamodel.screen.drift import DriftMonitor
from metamodel.screen.drift_replay import replay
from metamodel.screen.familiarity import Familiarity

RunCommand = Callable[..., str]


def rows(n: int, *, far: bool = False, odds: float = 1.0, seed: int = 0) -> list[dict[str, object]]:
    """Return decisions with outcomes, as `metamodel screen` writes them."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, object]] = []
    for number in range(n):
        predicted = float(rng.beta(2, 3))
        value = float(rng.random() ** (0.2 if far else 1.0))
        found.append(
            {
                "id": number,
                "decision": "pass",
                "failures": {"fail": predicted},
                "stopped_by": [],
                "probabilities": {"fail": {"no": 1 - predicted, "yes": predicted}},
                "unfamiliarity": value,
                "is_unfamiliar": value > 0.95,
                "failed": {"fail": bool(rng.random() < predicted * odds / (1 - predicted + predicted * odds))},
            }
        )
    return found


def jsonl(content: Sequence[object]) -> bytes:
    """Return rows as lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in content)


@pytest.fixture
def run_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Return a function that runs the command on rows, with a pre-screen that knows 200 held-out prompts."""
    held_out = [f"{number} apples and {number * 7 % 13} pears" for number in range(200)]
    known = Familiarity.fit(held_out[:50], held_out)
    loaded = Screen(object(), spaces={"fail": Binary()}, rules=[], familiarity=known)  # type: ignore[arg-type] # no prediction is made
    monkeypatch.setattr("metamodel.screen.folder.load_screen", lambda _: loaded)

    def run(content: Sequence[object], *options: str, outcomes: Sequence[object] | None = None) -> str:
        decisions = tmp_path / "decisions.jsonl"
        decisions.write_bytes(jsonl(content))
        arguments = ["monitor", str(tmp_path), str(decisions), *options]
        if outcomes is not None:
            (tmp_path / "outcomes.jsonl").write_bytes(jsonl(outcomes))
            arguments += ["--outcomes", str(tmp_path / "outcomes.jsonl")]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_quiet_traffic_has_no_drift(run_command: RunCommand) -> None:
    """Prompts and outcomes as before give a table and say so."""
    output = run_command(rows(800))
    assert "no drift found" in output
    assert "fail: as predicted" in output
    assert "800 prompts" in output


def test_drift_is_named(run_command: RunCommand) -> None:
    """Farther prompts and more failures than predicted are both in the verdict and in the JSON."""
    drifted = [*rows(300), *rows(600, far=True, odds=4.0, seed=1)]
    output = run_command(drifted)
    assert "prompts are unlike the held-out ones" in output
    assert "fail fails more often than predicted" in output
    content = json.loads(run_command(drifted, "--json"))
    assert content["has_drifted"]
    assert content["inputs_drifted_since"] > 300
    assert content["behaviors"][0]["is_miscalibrated"]
    assert content["n_lines"] == 900


def test_outcomes_of_their_own_file_belong_row_by_row(run_command: RunCommand) -> None:
    """Outcomes beside the decisions give the same report as outcomes within them; missing ones are left out."""
    whole = rows(200)
    decisions = [{key: value for key, value in row.items() if key != "failed"} for row in whole]
    outcomes = [{"failed": row["failed"]} for row in whole]
    assert json.loads(run_command(decisions, "--json", outcomes=outcomes)) == json.loads(run_command(whole, "--json"))
    half = [row if number % 2 else {} for number, row in enumerate(outcomes)]
    content = json.loads(run_command(decisions, "--json", outcomes=half))
    assert content["behaviors"][0]["n_outcomes"] == 100
    with pytest.raises(DataError, match="more decisions than outcomes"):
        run_command(decisions, outcomes=outcomes[:-1])


def test_bad_lines_are_told_and_the_rest_is_done() -> None:
    """Lines that are no decision are counted and named by number; rows with an error are counted."""
    good = rows(2)[0]
    bad: list[object] = [
        [],
        {"decision": "maybe"},
        {**good, "unfamiliarity": 2},
        {**good, "unfamiliarity": True},
        {**good, "failures": {"fail": "x"}},
        {**good, "failed": {"fail": 3}},
        {**good, "failed": {"fail": "yes"}},
        {**good, "failed": [1]},
    ]
    data = jsonl([good, *bad, {"line": 10, "error": "is empty"}, good])
    data += b'{"decision": "pass", "unfamiliarity": NaN}\n\xff\n' + b"[" * 5000 + b"\n"
    monitor = DriftMonitor()
    count = replay(monitor, io.BytesIO(data))
    assert (count.n_lines, count.n_errors, count.n_bad) == (14, 1, 11)
    assert count.bad[0].startswith("line 2: is list")
    assert monitor.report().n_prompts == 2
    assert monitor.report().behaviors[0].n_outcomes == 2
    with pytest.raises(DataError, match="more than"):
        replay(monitor, io.BytesIO(b"x" * (2**24 + 5)))


def test_options_are_checked(run_command: RunCommand, tmp_path: Path) -> None:
    """A rate or a factor that means nothing, and a file that is not there, are the user's to mend."""
    for options in (("--alpha", "2"), ("--tolerated-odds", "0.5")):
        with pytest.raises(MetamodelError, match="must be"):
            run_command(rows(3), *options)
    with pytest.raises(DataError, match="cannot be read"):
        CliRunner().invoke(app, ["monitor", str(tmp_path), str(tmp_path / "none.jsonl")], catch_exceptions=False)


def test_an_empty_file_has_nothing_to_compare(run_command: RunCommand) -> None:
    """Without rows the command says so and does not fail."""
    assert "nothing to compare" in run_command([])
