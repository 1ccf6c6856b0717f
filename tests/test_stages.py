"""What stages hand to each other: generations to batches, labels to tables, figures to notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metamodel.comparisons import PairedDifference, comparisons_from_json, comparisons_to_json
from metamodel.errors import DataError, MetamodelError, UnknownNameError
from metamodel.featurizing.batches import batch_of
from metamodel.labels import Binary, LabelTable
from metamodel.metamodels import load_metamodel
from metamodel.metric_rows import MetricsRow
from metamodel.registry import component_class, component_names
from metamodel.report.examples import Judged, pick_examples
from metamodel.scoring import undefined_cells
from metamodel.train import fit_name


def generations(n_prompts: int, n_samples: int) -> pd.DataFrame:
    """Return stored generations joined with their prompts."""
    rows = [
        {
            "key": f"{prompt}-{sample}",
            "prompt_id": f"p{prompt}",
            "primary": "lstm",
            "sample": sample,
            "text": f"output {sample}",
            "prompt": f"prompt {prompt}",
            "domain": "addition",
            "references": ["4"],
            "token_ids": [1, 2, 0],
            "logprobs": [-0.1, -0.2, -0.3],
            "finish_reason": "stop" if sample else "length",
            "n_tokens": 3 - bool(sample),
            "choices": [],
            "attributes": '{"n_digits": 1}',
            "metadata": "{}",
            "origin_id": None,
            "variant": "",
        }
        for prompt in range(n_prompts)
        for sample in range(n_samples)
    ]
    return pd.DataFrame(rows)


def test_batches_hold_what_was_stored() -> None:
    """Unknown columns stay unknown in a batch: no count is derived and no text invented."""
    stored = generations(1, 2)
    stored.loc[1, ["n_tokens", "finish_reason", "logprobs"]] = None
    batch = batch_of(stored)
    assert batch.n_tokens == [3, None]
    assert batch.finish_reasons == ["length", None]
    assert batch.attributes == [{"n_digits": 1}] * 2
    assert batch.logprobs[1] is None


def row(**changes: object) -> MetricsRow:
    """Return a row of metrics.json."""
    fields = {
        "metamodel": "bag",
        "behavior": "empty",
        "primary": "lstm",
        "split": "held_out_domain",
        "domain": "addition",
        "n_prompts": 9,
        "n_samples": 9,
        **changes,
    }
    return MetricsRow(**fields)  # type: ignore[arg-type] # the fields of a row


def test_undefined_figures_are_explained() -> None:
    """Whoever reads a null finds its reason in the report's notes: one class, or no label at all."""
    notes = undefined_cells(
        [
            row(base_rate=0.0),
            row(base_rate=0.0, metamodel="base_rate"),
            row(base_rate=0.4, domain="sorting"),
            row(behavior="correct", n_prompts=0, domain="story"),
        ]
    )
    assert len(notes) == 2
    assert notes[0].startswith("correct of lstm has no label in story")
    assert notes[1].startswith("empty of lstm has one class in addition")


def test_comparisons_survive_json_and_a_mirror() -> None:
    """The rival's view is the same interval with its sign turned, and a damaged file is named."""
    one = PairedDifference(
        metamodel="bag",
        rival="base_rate",
        behavior="correct",
        primary="lstm",
        split="in_distribution",
        difference_bits=0.2,
        low_bits=0.1,
        high_bits=0.4,
    )
    assert comparisons_from_json(comparisons_to_json([one])) == [one]
    mirrored = one.mirrored()
    assert (mirrored.low_bits, mirrored.difference_bits, mirrored.high_bits) == (-0.4, -0.2, -0.1)
    assert mirrored.mirrored() == one
    with pytest.raises(DataError, match="run `metamodel evaluate` again"):
        comparisons_from_json('[{"metamodel": "bag"}]')


def test_fit_names_are_safe_and_distinct() -> None:
    """Domains from files may be called anything; their metamodels still get folders of their own."""
    names = {fit_name("bag", "lstm", f"without_{domain}") for domain in ("a b", "a/b", "a_b", "../a", "ä")}
    assert len(names) == 5
    assert all(not set(name) & set("/ \\") for name in names)


def test_examples_are_the_surest_and_the_most_surprising() -> None:
    """The report shows where a metamodel was sure and where it was wrong, not a lucky choice."""
    frame = generations(20, 1)
    codes = np.zeros((20, 1), dtype=np.int64)
    codes[3] = 1
    yes = np.linspace(0.05, 0.9, 20)
    judged = Judged(
        metamodel="bag",
        behavior="truncated",
        primary="lstm",
        prompt_ids=tuple(f"p{number}" for number in range(20)),
        labels=LabelTable(space=Binary(), codes=codes),
        probabilities=np.column_stack([1 - yes, yes]),
    )
    shown = [example.prompt for example in pick_examples(judged, frame)]
    assert shown[:4] == ["prompt 19", "prompt 18", "prompt 17", "prompt 16"]
    assert "prompt 10" not in shown
    yes[3] = 0.001
    judged = Judged(**{**vars(judged), "probabilities": np.column_stack([1 - yes, yes])})
    assert "prompt 3" in [example.prompt for example in pick_examples(judged, frame)]


def test_folders_that_are_no_metamodel_are_refused(tmp_path: Path) -> None:
    """Opening a stranger's folder reads data or says why it cannot."""
    with pytest.raises(DataError, match="is not a saved metamodel"):
        load_metamodel(tmp_path)
    (tmp_path / "spec.json").write_text('{"kind": "bagg"}', encoding="utf-8")
    with pytest.raises(UnknownNameError, match="did you mean bag"):
        load_metamodel(tmp_path)


def test_every_registered_component_can_be_found() -> None:
    """An entry point that points nowhere is found here and not by a user."""
    for group in ("prompts", "primaries", "featurizers", "trainers"):
        for kind in component_names(group):  # type: ignore[arg-type] # the four groups
            assert component_class(group, kind).__doc__  # type: ignore[arg-type] # the four groups
    with pytest.raises(MetamodelError, match="no trainers component is named 'bog'"):
        component_class("trainers", "bog")
