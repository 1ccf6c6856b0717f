"""`metamodel export`: what a run trained, in a folder that decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from screen_folders import labeled_prompts, screen_folder, small_metamodel
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.config.components import build_component
from metamodel.errors import ConfigError, DataError, MetamodelError, UnknownNameError
from metamodel.exporting import stage as export_stage
from metamodel.exporting.choices import parse_rule
from metamodel.exporting.stage import Export, ExportRequest, export
from metamodel.labels import Binary, Categorical
from metamodel.metamodels import load_metamodel, save_carried
from metamodel.protocols import Carries, FitContext, Metamodel
from metamodel.screen import Guarantee, ScreenRule, load_screen
from metamodel.screen.folder import read_content
from metamodel.screen.rules import rules_to_json
from metamodel.store.run_directory import RunDirectory
from metamodel.thresholds.files import fit_fingerprint
from metamodel.train import train

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
RULE = "truncated=yes:0.4"
FIT = "small-planted-in_distribution"


@pytest.fixture
def trained(labeled_run: LabeledRun) -> RunDirectory:
    """Return a trained run with an in-distribution fold and one that leaves a domain out."""
    run, config = labeled_run(
        metamodels=["base_rate", {"kind": "tfidf_logistic", "name": "small", "C_grid": []}],
        splits={"in_distribution": True, "held_out_domains": ["d0"]},
    )
    train(run, config)
    return run


def exported(run: RunDirectory, folder: Path, metamodel: str = "small", **fields: object) -> Export:
    """Export with the fields of a request."""
    return export(run, ExportRequest(metamodel=metamodel, **fields), folder)  # type: ignore[arg-type] # named fields


def test_what_is_exported_decides(trained: RunDirectory, tmp_path: Path) -> None:
    """The folder predicts what the fit predicts, decides by the stated rule and says where it comes from."""
    folder = tmp_path / "screen"
    found = exported(trained, folder, thresholds=(RULE,))
    screen = load_screen(folder)
    prompts = ["red stone river 1", "blue cloud paper 2", "", "\ud800"]
    expected = load_metamodel(trained.metamodel_folder(FIT)).predict(prompts)
    for name, values in screen.metamodel.predict(prompts).items():
        assert values == pytest.approx(expected[name], abs=1e-5)
    assert [one.decision for one in screen(prompts[:2])] == ["stop", "pass"]
    assert screen(["red stone river"])[0].unfamiliarity is not None
    content = read_content(folder)
    assert content.source["fit"] == found.fit == FIT
    assert content.source["run"] == "run"
    assert content.source["config_hash"] == trained.facts["config_hash"]
    assert {"README.md", "familiarity.safetensors", "metamodel/spec.json"} <= set(content.files)
    assert str(tmp_path) not in (folder / "screen.json").read_text() + (folder / "README.md").read_text()
    assert found.n_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "screen"]


def test_rules_of_the_threshold_command(trained: RunDirectory, tmp_path: Path) -> None:
    """Rules that were chosen are taken, some of them where they are named, and replaced by stated ones."""
    promised = Guarantee(risk=0.1, confidence=0.9, coverage=0.5, failure_rate=0.05, n_prompts=40, method="binomial")
    rules = [
        ScreenRule(behavior="truncated", failures=("yes",), threshold=0.3, guarantee=promised),
        ScreenRule(behavior="empty", failures=("yes",), threshold=0.6),
    ]
    content = {"schema_version": 1, "rules": rules_to_json(rules), "fingerprint": fit_fingerprint(trained, FIT)}
    trained.write_text(f"thresholds/{FIT}.json", json.dumps(content))
    exported(trained, tmp_path / "all")
    assert load_screen(tmp_path / "all").rules == tuple(rules)
    exported(trained, tmp_path / "one", behaviors=("truncated",), thresholds=(RULE,))
    (rule,) = load_screen(tmp_path / "one").rules
    assert (rule.threshold, rule.guarantee) == (0.4, None)
    found = exported(trained, tmp_path / "int8", behaviors=("truncated",), int8=True)
    (rule,) = load_screen(tmp_path / "int8").rules
    assert rule.guarantee is not None
    assert "before its weights were rounded" in rule.guarantee.method
    assert found.int8_difference is not None
    assert 0 < found.int8_difference < 0.05
    trained.write_text(f"thresholds/{FIT}.json", "[]")
    with pytest.raises(DataError, match="schema_version"):
        exported(trained, tmp_path / "broken")
    trained.write_text(f"thresholds/{FIT}.json", json.dumps(content | {"fingerprint": "another"}))
    with pytest.raises(DataError, match="trained anew"):
        exported(trained, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_mistakes_leave_nothing_behind(trained: RunDirectory, tmp_path: Path) -> None:
    """What is unknown, taken or cannot be exported is refused by name, and no folder is left half written."""
    target = tmp_path / "screen"
    with pytest.raises(UnknownNameError, match="did you mean small"):
        exported(trained, target, "smal")
    with pytest.raises(UnknownNameError, match="predicts no 'x'"):
        exported(trained, target, behaviors=("x",))
    with pytest.raises(UnknownNameError, match="no primary model is named 'x'"):
        exported(trained, target, primary="x")
    with pytest.raises(ConfigError, match="false_alarm_rate is 2"):
        exported(trained, target, false_alarm_rate=2.0)
    with pytest.raises(DataError, match="can be compressed"):
        exported(trained, target, "base_rate", int8=True)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(DataError, match="not an empty folder"):
        exported(trained, tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "taken"]


def test_an_export_that_predicts_otherwise_is_not_written(
    trained: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder, loaded again, would predict something else, there is no folder."""
    other = load_screen(screen_folder(tmp_path / "other", small_metamodel("base_rate")))
    monkeypatch.setattr(export_stage, "load_screen", lambda _: other)
    with pytest.raises(DataError, match="differs from the trained one by inf"):
        exported(trained, tmp_path / "screen")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]


@pytest.mark.parametrize("text", ["", "truncated", "truncated=yes", "truncated=yes:x", "truncated=yes:nan", "a=b:2:3"])
def test_rules_that_cannot_be_read(text: str) -> None:
    """A rule that is not written as it must be says how it must be."""
    with pytest.raises(MetamodelError, match=r"threshold|must be like"):
        parse_rule(text, {"truncated": Binary()})


def test_rules_with_odd_names() -> None:
    """Behaviors and outcomes may hold the signs that a rule is written with."""
    spaces = {"a=b": Categorical(classes=("x,y", "x", "y", "1:2")), "a": Binary(), "gpt:2/a": Binary()}
    assert parse_rule("a=b=x,y:0.5", spaces).failures == ("x,y",)
    assert parse_rule("a=b=y,x:0.5", spaces).failures == ("y", "x")
    assert parse_rule("a=b=1:2:0.5", spaces).failures == ("1:2",)
    assert parse_rule("gpt:2/a=no:0.5", spaces).behavior == "gpt:2/a"
    with pytest.raises(UnknownNameError, match="no outcome 'maybe'"):
        parse_rule("a=maybe:0.5", spaces)


def test_the_command(trained: RunDirectory, tmp_path: Path) -> None:
    """`metamodel export` says what it wrote, says the same as JSON, and writes nothing in a dry run."""

    def call(*arguments: str) -> str:
        finished = CliRunner().invoke(app, ["export", trained.path, *arguments], catch_exceptions=False)
        assert finished.exit_code == 0, finished.output
        return finished.stdout

    target = tmp_path / "screen"
    told = json.loads(call("small", str(target), "--threshold", RULE, "--dry-run", "--json"))
    assert told["dry_run"]
    assert told["n_bytes"] is None
    assert not target.exists()
    printed = call("small-planted-without_d0", str(target))
    assert "warning: no rule" in printed
    assert f"wrote {target}" in printed
    assert load_screen(target).source["fold"] == "without_d0"


def test_what_cannot_carry_its_parts_is_refused(tmp_path: Path) -> None:
    """A metamodel with borrowed parts is carried with them or not at all; one made of others carries theirs."""

    class Borrows:
        description_bits = 0.0
        borrowed_bits = {"vectors 1": 8.0}  # noqa: RUF012 - a test's stand-in

        def predict(self, texts: list[str], *, domains: object = None) -> dict[str, np.ndarray]:
            raise NotImplementedError

        def save(self, folder: Path) -> None:
            (folder / "plainly").touch()

    class CarriesThem(Borrows):
        def save_carried(self, folder: Path) -> None:
            (folder / "carried").touch()

    with pytest.raises(DataError, match="needs vectors 1 to predict"):
        save_carried(Borrows(), tmp_path)
    save_carried(CarriesThem(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["carried"]


def test_a_metamodel_made_of_others_carries_them(tmp_path: Path) -> None:
    """A calibrated metamodel is exported with its member, and predicts the same."""
    trainer = build_component("trainers", {"kind": "calibrated", "trainer": "base_rate", "n_folds": 2}, at="here")
    prompts = labeled_prompts(60)
    fitted: Metamodel = trainer.fit(prompts.take(range(48)), prompts.take(range(48, 60)), context=FitContext())
    assert isinstance(fitted, Carries)
    screen = load_screen(screen_folder(tmp_path / "screen", fitted))
    assert (tmp_path / "screen" / "metamodel" / "members" / "0" / "spec.json").exists()
    for name, values in screen.metamodel.predict(["a"]).items():
        assert np.array_equal(values, fitted.predict(["a"])[name])
