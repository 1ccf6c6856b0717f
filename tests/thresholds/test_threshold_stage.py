"""The command `metamodel threshold`: what it reads, writes, prints and refuses, and what the report shows of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.errors import ConfigError, DataError, MetamodelError, RunError, UnknownNameError
from metamodel.evaluate import evaluate
from metamodel.metamodels import load_metamodel
from metamodel.report.inputs import ReportInputs
from metamodel.report.page import render_report
from metamodel.report.prescreens import lay_out_prescreens
from metamodel.screen import Screen
from metamodel.screen.rules import rules_from_json
from metamodel.store.run_directory import RunDirectory
from metamodel.thresholds.choice import Request
from metamodel.thresholds.costs import Prices
from metamodel.thresholds.files import read_thresholds, write_choice
from metamodel.thresholds.stage import choose_threshold
from metamodel.train import train

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
ASKED = Request(behavior="truncated", primary="one", risk=0.3, confidence=0.9)
FIT = "words-one-in_distribution"


@pytest.fixture
def judged(labeled_run: LabeledRun) -> tuple[RunDirectory, RunConfig]:
    """A run of two primary models, judged on half of its prompts and on one domain held out."""
    run, config = labeled_run(
        metamodels=["base_rate", {"kind": "tfidf_logistic", "name": "words", "min_df": 1, "C_grid": []}],
        primaries=[{"kind": "zoo", "model": "lstm", "name": name} for name in ("one", "two")],
        splits={"in_distribution": True, "test_share": 0.6, "held_out_domains": ["d0"]},
    )
    train(run, config)
    evaluate(run, config)
    return run, config


def test_a_threshold_of_a_run(judged: tuple[RunDirectory, RunConfig]) -> None:
    """The rule lets through the color that rarely fails, and a Screen that is built from the file decides the same."""
    run, _ = judged
    choice = choose_threshold(run, "words", ASKED)
    assert choice.fit == FIT
    assert choice.request.failures == ("yes",)
    assert choice.threshold is not None
    assert 0.3 < choice.coverage < 0.75
    assert choice.failure_rate is not None
    assert choice.failure_rate < 0.3 < choice.base_rate
    content = json.loads(run.read_text(write_choice(run, choice)))
    rules = rules_from_json(content["rules"], source="test")
    metamodel = load_metamodel(run.metamodel_folder(FIT))
    screen = Screen(metamodel, spaces=metamodel.spaces, rules=rules)
    table = run.read("predictions", shard_names=["one"]).to_pandas()
    mine = table[(table.metamodel == "words") & (table.behavior == "truncated") & (table.split == "in_distribution")]
    texts = run.read("prompts").to_pandas().set_index("prompt_id")["text"]
    decisions = screen([texts[prompt_id] for prompt_id in mine["prompt_id"]])
    assert np.mean([one.decision == "pass" for one in decisions]) == pytest.approx(choice.coverage)
    assert rules[0].guarantee == choice.guarantee


def test_rules_add_up_and_replace(judged: tuple[RunDirectory, RunConfig]) -> None:
    """Another behavior adds a rule, the same one replaces its rule, none that holds removes it, a new fit drops all."""
    run, _ = judged
    first = choose_threshold(run, "words", ASKED)
    write_choice(run, first)
    coin = choose_threshold(run, "words", replace(ASKED, behavior="empty", risk=0.8))
    write_choice(run, coin)
    found = read_thresholds(run, FIT)
    assert found is not None
    assert found.choices == (first, coin)
    assert [rule.behavior for rule in found.rules] == ["truncated", "empty"]
    none = choose_threshold(run, "words", replace(ASKED, behavior="empty", risk=0.01))
    assert none.threshold is None
    assert "no threshold" in none.problem
    assert none.smallest_risk is not None
    write_choice(run, none)
    found = read_thresholds(run, FIT)
    assert found is not None
    assert [rule.behavior for rule in found.rules] == ["truncated"]
    run.update_facts(fits={FIT: "trained anew"})
    write_choice(run, coin)
    found = read_thresholds(run, FIT)
    assert found is not None
    assert found.choices == (coin,)


def test_held_out_domains_are_checked(judged: tuple[RunDirectory, RunConfig]) -> None:
    """The same threshold is applied to the domain that was held out, and each domain has its line."""
    run, _ = judged
    choice = choose_threshold(run, "words", ASKED)
    checks = {check.split: check for check in choice.checks}
    assert [one.domain for one in checks["held_out_domain"].domains] == ["d0"]
    assert checks["held_out_domain"].total.n_prompts == 40
    assert [one.domain for one in checks["in_distribution"].domains] == [f"d{number}" for number in range(6)]
    held_out = choose_threshold(run, "words-one-without_d0", replace(ASKED, risk=0.6, confidence=0.8))
    assert held_out.n_prompts == 40
    assert [check.split for check in held_out.checks] == ["held_out_domain"]


def test_money_and_the_fallback(judged: tuple[RunDirectory, RunConfig]) -> None:
    """A dear failure makes the threshold strict, within a risk that is asked for; a fallback's failures count."""
    run, _ = judged
    prices = Prices(primary=1, fallback=2, failure=4)
    cheap = choose_threshold(run, "words", replace(ASKED, risk=None, prices=prices))
    assert cheap.break_even == pytest.approx(0.25)
    assert cheap.guarantee is None
    price = next(one for one in cheap.expenses if one.unit == "price")
    assert price.screened.value < min(price.always_primary.value, price.always_fallback.value)
    both = choose_threshold(run, "words", replace(ASKED, prices=prices, fallback="two"))
    assert both.guarantee is not None
    assert both.failure_rate is not None
    assert both.failure_rate < 0.3
    priced = next(one for one in both.expenses if one.unit == "price")
    assert priced.always_fallback.value > price.always_fallback.value


@pytest.mark.parametrize(
    ("metamodel", "changes", "error", "words"),
    [
        ("word", {}, UnknownNameError, "did you mean words"),
        ("words", {"behavior": "truncate"}, UnknownNameError, "did you mean truncated"),
        ("words", {"primary": "three"}, UnknownNameError, "no primary model named 'three'"),
        ("words", {"primary": ""}, ConfigError, "choose one of one, two"),
        ("words", {"failures": ("maybe",)}, UnknownNameError, "Known: no, yes"),
        ("words", {"failures": ("no", "yes")}, ConfigError, "names every outcome"),
        ("words", {"fallback": "one"}, ConfigError, "must be another primary model"),
        ("words", {"fallback": "three"}, UnknownNameError, "fallback"),
        ("words", {"behavior": "two/truncated"}, ConfigError, "name two primary models"),
    ],
)
def test_what_does_not_exist_is_named(
    judged: tuple[RunDirectory, RunConfig],
    metamodel: str,
    changes: dict[str, str],
    error: type[MetamodelError],
    words: str,
) -> None:
    """A name that the run does not hold is refused with the nearest that it does."""
    with pytest.raises(error, match=words):
        choose_threshold(judged[0], metamodel, replace(ASKED, **changes))


def test_a_damaged_file_is_refused(judged: tuple[RunDirectory, RunConfig]) -> None:
    """Thresholds that do not fit together are not shown or built on."""
    run, _ = judged
    path = write_choice(run, choose_threshold(run, "words", ASKED))
    content = json.loads(run.read_text(path))
    content["rules"][0]["threshold"] = 1.0
    run.write_text(path, json.dumps(content))
    with pytest.raises(DataError, match="rules and choices differ"):
        read_thresholds(run, FIT)
    content["choices"][0]["coverage"] = "all"
    run.write_text(path, json.dumps(content))
    with pytest.raises(DataError, match="coverage is 'all', must be float"):
        read_thresholds(run, FIT)
    run.clear("predictions")
    with pytest.raises(RunError, match="metamodel evaluate"):
        choose_threshold(run, "words", ASKED)


def test_the_command(judged: tuple[RunDirectory, RunConfig]) -> None:
    """JSON is the choice itself; without a threshold that holds the exit code is 1 and the JSON says null."""
    path = judged[0].path
    arguments = ["threshold", path, "words", "--behavior", "truncated", "--primary", "one", "--confidence", "0.9"]
    answered = CliRunner().invoke(app, [*arguments, "--risk", "0.3", "--json"], catch_exceptions=False)
    assert answered.exit_code == 0
    assert 0 < json.loads(answered.stdout)["threshold"] < 1
    shown = CliRunner().invoke(app, [*arguments, "--risk", "0.3"], catch_exceptions=False)
    assert "failure of truncated of one: yes" in shown.stdout
    assert "promise: the failure rate" in shown.stdout
    assert Path(shown.stdout.strip().splitlines()[-1]).exists()
    refused = CliRunner().invoke(app, [*arguments, "--risk", "0.01", "--json"], catch_exceptions=False)
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["threshold"] is None
    for wrong in (["--risk", "2"], ["--price-failure", "1"]):
        with pytest.raises(ConfigError, match="threshold: "):
            CliRunner().invoke(app, [*arguments, *wrong], catch_exceptions=False)


def test_the_report_shows_it(judged: tuple[RunDirectory, RunConfig]) -> None:
    """The section says what is promised, which domains there are, and when the metamodel was trained anew since."""
    run, _ = judged
    write_choice(run, choose_threshold(run, "words", ASKED))
    write_choice(run, choose_threshold(run, "words", replace(ASKED, behavior="empty", risk=0.01)))
    found = read_thresholds(run, FIT)
    assert found is not None
    inputs = ReportInputs(title="t", facts={}, rows=[], prescreens=lay_out_prescreens([(found, False)]))
    page = render_report(inputs)
    for words in ("Pre-screen", "promise: the failure rate", "no threshold holds", "held-out domains", "APGR", "<svg"):
        assert words in page
    assert "out of date" not in page
    stale = ReportInputs(title="t", facts={}, rows=[], prescreens=lay_out_prescreens([(found, True)]))
    assert "out of date" in render_report(stale)
    assert "Pre-screen" not in render_report(ReportInputs(title="t", facts={}, rows=[]))
