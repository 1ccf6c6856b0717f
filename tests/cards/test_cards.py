"""The cards that evaluation writes: what they say, and that nobody's names become markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import yaml

from metamodel.cards.card import CardFacts, Judgment, card_text
from metamodel.config import RunConfig
from metamodel.evaluate import evaluate
from metamodel.metric_rows import MetricsRow
from metamodel.store.run_directory import RunDirectory
from metamodel.train import train

MakeRun = Callable[..., tuple[RunDirectory, RunConfig]]


def header_of(card: str) -> dict[str, object]:
    """Return the YAML header."""
    assert card.startswith("---\n")
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_every_metamodel_has_a_card(labeled_run: MakeRun) -> None:
    """After evaluation each card names behaviors, domains and figures, those of left-out domains beside known ones."""
    run, config = labeled_run(
        metamodels=["base_rate", {"kind": "tfidf_logistic", "name": "words"}],
        splits={"in_distribution": True, "held_out_domains": ["d0", "d1"]},
    )
    train(run, config)
    evaluate(run, config)
    for name in run.metamodel_names():
        card = run.read_text(f"metamodels/{name}/README.md")
        assert header_of(card)["library_name"] == "metamodel"
        assert "truncated: no, yes" in card
        assert "planted" in card
    whole = run.read_text("metamodels/words-planted-in_distribution/README.md")
    assert "known domains" in whole
    assert "left-out domains" in whole
    assert "fits of the same recipe" in whole
    assert "It gains no bits on" in whole  # a fair coin cannot be predicted
    results = header_of(whole)["model-index"]
    assert isinstance(results, list)
    assert any(entry["metrics"][0]["type"] == "reduction_bits" for entry in results[0]["results"])
    without = run.read_text("metamodels/words-planted-without_d0/README.md")
    assert "never saw the domain d0" in without
    assert "| d1 |" in without
    assert "| d0 |" not in without


def test_cards_before_evaluation(labeled_run: MakeRun) -> None:
    """A metamodel that was only trained has a card too, with the hub's header."""
    run, config = labeled_run(metamodels=["base_rate"])
    train(run, config)
    for name in run.metamodel_names():
        card = (run.metamodel_folder(name) / "README.md").read_text(encoding="utf-8")
        assert header_of(card)["pipeline_tag"] == "text-classification"


def row(**changes: object) -> MetricsRow:
    """Build a row."""
    values: dict[str, object] = {
        "metamodel": "bag",
        "behavior": "fail",
        "primary": "gpt2",
        "split": "held_out_domain",
        "domain": None,
        "n_prompts": 1200,
        "n_samples": 2400,
        "reduction_bits": 0.05,
        "reduction_low_bits": 0.01,
        "reduction_high_bits": 0.09,
    }
    return MetricsRow(**{**values, **changes})  # type: ignore[arg-type] # values differ in type


def facts(**changes: object) -> CardFacts:
    """Build what a card says."""
    known = CardFacts(
        name="bag-gpt2-in_distribution",
        kind="bag",
        primaries={"gpt2": "gpt2@1"},
        outcomes={"fail": ("no", "yes")},
        n_prompts=10,
        n_validation_prompts=2,
        domains={"law": 10},
        left_out="",
        seed=0,
        judgments=[Judgment(row=row(), worst=row(domain="law", reduction_bits=-0.2), best_baseline=None)],
        borrowed=[],
    )
    return replace(known, **changes)  # type: ignore[arg-type] # values differ in type


def test_limits_are_told() -> None:
    """A card says where a baseline is better, which domain is worst and what else must be installed."""
    better = row(metamodel="domain_tag", reduction_bits=0.06)
    card = card_text(
        facts(judgments=[Judgment(row=row(), worst=row(domain="law"), best_baseline=better)], borrowed=["wordllama@1"])
    )
    assert "A baseline predicts as well or better on fail of gpt2 (left-out domains)" in card
    assert "wordllama@1 installed" in card
    assert "+0.050 [+0.010, +0.090]" in card
    assert "gains no bits" not in card
    assert "has not been judged" in card_text(facts(judgments=[]))


def test_names_are_no_markup() -> None:
    """A primary model, behavior or domain may have any name; none leaves its cell, its line or the YAML header."""
    evil = "x|y\n---\n<script>alert(1)</script> [a](javascript:b) `c` \u202e"
    judged = row(behavior=evil, primary=evil)
    card = card_text(
        facts(
            name=evil,
            primaries={evil: evil},
            outcomes={evil: (evil,)},
            domains={evil: 3},
            judgments=[Judgment(row=judged, worst=None, best_baseline=None)],
        )
    )
    assert card.count("---\n") == 2
    assert header_of(card)["library_name"] == "metamodel"
    body = card.split("---\n", 2)[2]
    assert "<script>" not in card
    assert "](javascript" not in card
    assert "\u202e" not in card
    for line in body.splitlines():
        if line.startswith("| "):
            assert line.count(" | ") in (1, 8)


def test_long_lists_are_cut() -> None:
    """A metamodel of hundreds of primary models has a card that can still be read."""
    many = [Judgment(row=row(primary=f"m{number}"), worst=None, best_baseline=None) for number in range(500)]
    card = card_text(facts(judgments=many, primaries={f"m{number}": "" for number in range(500)}))
    assert len(card) < 40_000
    assert "470 more" in card


def test_cards_are_written_anew(labeled_run: MakeRun) -> None:
    """Evaluation replaces cards, whatever was written into them."""
    run, config = labeled_run(metamodels=["base_rate"])
    train(run, config)
    evaluate(run, config)
    name = run.metamodel_names()[0]
    before = run.read_text(f"metamodels/{name}/README.md")
    run.write_text(f"metamodels/{name}/README.md", "mine")
    evaluate(run, config)
    assert run.read_text(f"metamodels/{name}/README.md") == before
