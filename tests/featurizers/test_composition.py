"""Composition: three-valued logic, what is derived from the parts, and configs with specs inside specs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featurizers.composition import And, Not, Or, Outcome, Threshold
from featurizers.products import InDomains, Product
from metamodel.config.components import build_component, build_components
from metamodel.errors import ConfigError
from metamodel.labels import Binary, Count
from metamodel.text import text_batch
from metamodel.types import GenerationBatch

NAN = float("nan")
VALUES = {"length": 1.0, "stop": 0.0, None: NAN}
CUT, WRONG = {"kind": "truncated"}, {"kind": "not", "of": {"kind": "correct"}}


def pairs() -> tuple[GenerationBatch, list[tuple[float, float]]]:
    """Return a batch with every pair of the values of `truncated` and the negation of `correct`."""
    cuts = [reason for reason in VALUES for _ in range(3)]
    golds: list[tuple[str, ...]] = [("other",), ("text",), ()] * 3
    batch = text_batch(["text"] * 9, finish_reasons=cuts, references=golds)  # type: ignore[arg-type] # literals in a dict
    return batch, [
        (VALUES[cut], {("other",): 1.0, ("text",): 0.0}.get(gold, NAN)) for cut, gold in zip(cuts, golds, strict=True)
    ]


def kleene(values: tuple[float, float], *, decided_by: float) -> float:
    """Return the conjunction (decided by 0) or the disjunction (decided by 1) of three-valued truths."""
    if decided_by in values:
        return decided_by
    return NAN if np.isnan(values).any() else 1 - decided_by


def test_logic_is_kleenes() -> None:
    """All nine pairs of true, false and missing combine as in Kleene's strong logic, in either order."""
    batch, values = pairs()
    for of in ((CUT, WRONG), (WRONG, CUT)):
        np.testing.assert_array_equal(And(of=of).label(batch), [kleene(pair, decided_by=0) for pair in values])
        np.testing.assert_array_equal(Or(of=of).label(batch), [kleene(pair, decided_by=1) for pair in values])
    np.testing.assert_array_equal(Not(of=CUT).label(batch), [1 - first for first, _ in values])


def test_everything_is_derived_from_the_parts() -> None:
    """Needs add up without repeats, and one part that reads the prompt makes the whole read it."""
    both = And(of=(CUT, WRONG, "empty"))
    assert set(both.needs) == {"finish_reason", "text", "references"}
    assert len(both.needs) == 3
    assert both.reads_prompt
    assert not And(of=(CUT, "empty")).reads_prompt
    assert InDomains(of={"kind": "n_tokens"}, domains=("law",)).space == Count()
    assert InDomains(of="empty", domains=("law",)).space == Binary()
    assert not InDomains(of="empty", domains=("law",)).reads_prompt
    assert Product(of=("empty",), domains=("law",)).reads_prompt


def test_equal_fields_are_equal_components() -> None:
    """A composition is a value: specs that are equal make equal components with one hash."""
    assert And(of=(CUT, "empty")) == And(of=({"kind": "truncated"}, "empty"))
    assert hash(And(of=(CUT, "empty"))) == hash(And(of=({"kind": "truncated"}, "empty")))
    assert And(of=(CUT, "empty")) != Or(of=(CUT, "empty"))
    assert And(of=(CUT, "empty")) != And(of=("empty", CUT))


def test_threshold_compares_values_not_bins() -> None:
    """Limits are within, and a missing count stays missing."""
    batch = text_batch(["a"] * 4, n_tokens=[9, 10, 12, None])
    spec = {"kind": "n_tokens"}
    assert Threshold(of=spec, at_least=10).label(batch).tolist() == pytest.approx([0, 1, 1, NAN], nan_ok=True)
    assert Threshold(of=spec, at_least=9.5, at_most=10).label(batch).tolist() == pytest.approx(
        [0, 1, 0, NAN], nan_ok=True
    )


def test_outcome_makes_a_class_a_behavior() -> None:
    """A class of a categorical behavior, or a bin of a count, becomes binary; missing stays missing."""
    full = Outcome(of="refusal", outcomes=("full", "partial"))
    assert full.label(text_batch(["I can't help with that.", "42"])).tolist() == [1, 0]
    few = Outcome(of="n_tokens", outcomes=("5-6",))
    assert few.label(text_batch(["a"] * 3, n_tokens=[6, 7, None])).tolist() == pytest.approx([1, 0, NAN], nan_ok=True)


def test_product_numbers_every_combination() -> None:
    """The label names domain and outcomes; one missing part, or a domain not named, leaves it missing."""
    joined = Product(of=("empty", {"kind": "truncated", "name": "cut"}), domains=("law", "physics"))
    batch = text_batch(["", "a", "", "a"], finish_reasons=["length", "stop", None, "stop"])
    labels = joined.label(replace(batch, domains=["law", "physics", "law", "history"]))
    assert labels.tolist() == pytest.approx([3, 4, NAN, NAN], nan_ok=True)
    assert joined.space.outcomes[3] == "domain=law & empty=yes & cut=yes"
    assert joined.space.outcomes[4] == "domain=physics & empty=no & cut=no"
    assert len(joined.space.outcomes) == 8


def test_specs_inside_specs_are_configured() -> None:
    """A config nests behaviors to any depth, under names of its own."""
    problems: list[str] = []
    entry = {
        "kind": "and",
        "name": "short_and_wrong",
        "of": [
            {"kind": "not", "of": {"kind": "correct", "match": "prefix"}},
            {"kind": "threshold", "of": {"kind": "n_tokens"}, "at_most": 5},
        ],
    }
    (built,) = build_components("featurizers", [entry], "behaviors", problems)
    assert problems == []
    assert (built.name, built.resolved["of"]) == ("short_and_wrong", entry["of"])  # type: ignore[index,call-overload] # JSON
    batch = text_batch(["no", "yes, it is", "no"], references=[["yes"]] * 3, n_tokens=[1, 3, 9])
    assert built.component.label(batch).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"kind": "and", "of": [{"kind": "emty"}]}, r"behaviors.0.of.0.kind: no featurizers .* did you mean empty"),
        (
            {"kind": "and", "of": ["empty", {"kind": "not", "of": {"kind": "correct", "mtch": "exact"}}]},
            r"behaviors.0.of.1.of.mtch: unknown key",
        ),
        ({"kind": "or", "of": ["empty", "n_tokens"]}, r"behaviors.0.of.1: labels of n_tokens are count"),
        ({"kind": "or", "of": []}, r"behaviors.0.of: is empty"),
        ({"kind": "not"}, r"behaviors.0.of: is missing"),
        ({"kind": "threshold", "of": "empty", "at_least": 1}, r"labels of empty are"),
        ({"kind": "threshold", "of": "n_tokens"}, r"behaviors.0: at_least and at_most are both missing"),
        ({"kind": "outcome", "of": "refusal", "outcomes": ["ful"]}, r"behaviors.0: outcomes are \['ful'\]"),
        (
            {"kind": "product", "of": ["n_tokens", {"kind": "n_tokens", "name": "other"}, "refusal"]},
            r"behaviors.0: the product has 1728 classes",
        ),
        ({"kind": "product", "of": ["empty", "empty"]}, r"behaviors.0: names in of are \['empty', 'empty'\]"),
        ({"kind": "in_domains", "of": "empty", "domains": []}, r"behaviors.0: domains is empty"),
    ],
)  # fmt: skip
def test_problems_carry_their_key_path(spec: dict[str, object], problem: str) -> None:
    """What is wrong deep inside a config is told with the path to it, not as a traceback."""
    problems: list[str] = []
    build_components("featurizers", [spec], "behaviors", problems)
    with pytest.raises(ConfigError, match=problem):
        raise ConfigError(problems)


def test_all_problems_of_all_parts_are_told() -> None:
    """Two wrong parts are two problems, so that a config is mended in one go."""
    with pytest.raises(ConfigError, match=r"behavior\.of\.0\..*; behavior\.of\.1\."):
        build_component("featurizers", {"kind": "or", "of": ["nothing_such", "nor_this"]}, at="behavior")
