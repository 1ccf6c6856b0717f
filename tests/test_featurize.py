"""Stage featurize: who is asked for which rows, what is compared with what, what is redone and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from metamodel import featurize as stage
from metamodel.collect import collect
from metamodel.config import RunConfig, build_config
from metamodel.draw import draw_prompts
from metamodel.engines.local import LocalEngine
from metamodel.errors import LabelError, MetamodelError
from metamodel.featurize import featurize
from metamodel.labels import Binary, LabelSpace
from metamodel.protocols import Featurizer
from metamodel.store.run_directory import RunDirectory
from metamodel.types import FloatArray, Generation, GenerationBatch, Need, Outcome, Prompt, Sampling


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Writes the prompt's last word; `is_silent` leaves the text of every second sample unknown."""

    word: str = ""
    is_silent: bool = False

    @property
    def identity(self) -> str:
        """Name the fields."""
        return f"repeats/{self.word}/{self.is_silent}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield all generations."""
        yield [
            Generation(
                key="",
                prompt_id=prompt.id,
                primary="",
                sample=sample,
                text=None if self.is_silent and sample % 2 else self.word or prompt.text.split()[-1],
                n_tokens=sample,
            )
            for prompt in prompts
            for sample in range(sampling.n_samples)
        ]


@dataclass(frozen=True, kw_only=True)
class Spy:
    """Labels every row 1 and remembers what it was shown; fails where `failing` says so."""

    seen: list[GenerationBatch] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    value: float = 1.0
    needs: tuple[Need, ...] = ("text",)

    space: ClassVar[LabelSpace] = Binary()
    reads_prompt: ClassVar[bool] = True

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return ones, or raise with the rows of the failing primary models left out."""
        self.seen.append(batch)
        labels = np.full(len(batch), self.value)
        failed = {row: "no verdict" for row, primary in enumerate(batch.primaries) if primary in self.failing}
        if failed:
            labels[list(failed)] = np.nan
            raise LabelError(labels.tolist(), failed)
        return labels


@dataclass(frozen=True, kw_only=True)
class CountingEngine(LocalEngine):
    """Works as the local engine does and remembers whose labels it was asked for."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def label(
        self, featurizers: Mapping[str, Featurizer], batches: Iterable[GenerationBatch]
    ) -> Iterator[dict[str, FloatArray]]:
        """Note the names and label."""
        self.asked.append(tuple(featurizers))
        yield from super().label(featurizers, batches)


SOURCE: dict[str, Any] = {"kind": "character_noise", "source": {"kind": "capitals"}}


def collected(
    folder: Path, primaries: Mapping[str, Any], *, source: dict[str, Any] = SOURCE, **behaviors: Featurizer
) -> tuple[RunDirectory, RunConfig]:
    """Return a run with outputs for six prompts and their changed versions, and its config."""
    raw: dict[str, Any] = {
        "name": "t",
        "directory": str(folder / "run"),
        "prompts": {"n_prompts": 6, "sources": [source]},
        "primaries": [{"kind": "zoo", "model": "lstm", "name": name} for name in primaries],
        "sampling": {"n_samples": 2},
        "behaviors": [{"kind": "empty", "name": name} for name in behaviors],
        "metamodels": [{"kind": "base_rate"}],
    }
    config = replace(build_config(raw), primaries=dict(primaries), behaviors=behaviors)
    run = RunDirectory.create_or_open(config.directory, config=config.resolved)
    collect(run, primaries=config.primaries, prompts=draw_prompts(config), sampling=config.sampling)
    return run, config


def labels_of(run: RunDirectory, name: str) -> pd.DataFrame:
    """Return a behavior's rows joined with their prompts."""
    labels: pd.DataFrame = run.read("labels", shard_names=[name]).to_pandas()
    return labels.merge(run.read("prompts").to_pandas()[["prompt_id", "origin_id", "text"]], on="prompt_id")


def test_pieces_change_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces, every output has one label, and what is compared is never parted."""
    from featurizers.flips import AnswerFlipShare

    tables = []
    for rows in (20_000, 1):
        monkeypatch.setattr(stage, "BATCH_ROWS", rows)
        (tmp_path / str(rows)).mkdir()
        run, config = collected(tmp_path / str(rows), {"a": Repeats(), "b": Repeats(word="x")}, flips=AnswerFlipShare())
        featurize(run, config)
        tables.append(labels_of(run, "flips").sort_values("key", ignore_index=True))
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert len(tables[0]) == tables[0]["key"].nunique() == run.read("generations").num_rows


def test_unknown_texts_are_not_labeled(tmp_path: Path) -> None:
    """Whoever needs the text is not asked for rows that have none; who does not need it sees every row."""
    reads, counts = Spy(), Spy(needs=("n_tokens",))
    run, config = collected(tmp_path, {"a": Repeats(is_silent=True)}, reads=reads, counts=counts)
    featurize(run, config)
    assert all(sample == 0 for batch in reads.seen for sample in batch.samples)
    assert {sample for batch in counts.seen for sample in batch.samples} == {0, 1}
    labels = labels_of(run, "reads")
    assert labels["value"].isna().equals(labels["sample"] == 1)
    assert labels_of(run, "counts")["value"].notna().all()


def test_what_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    """A second call labels nothing; a changed featurizer is labeled again, alone."""
    engine = CountingEngine()
    run, config = collected(tmp_path, {"a": Repeats()}, one=Spy(), two=Spy())
    featurize(run, config, engine=engine)
    featurize(run, config, engine=engine)
    assert engine.asked == [("one", "two")]
    changed = build_config(
        {
            **{key: value for key, value in config.resolved.items() if key != "behaviors"},
            "behaviors": [{"kind": "empty", "name": "one"}, {"kind": "truncated", "name": "two"}],
        }
    )
    featurize(run, replace(changed, primaries=config.primaries, behaviors=config.behaviors), engine=engine)
    assert engine.asked == [("one", "two"), ("two",)]


def test_failed_rows_are_written_down_and_tried_again(tmp_path: Path) -> None:
    """A row without a verdict is a row in errors/; the others keep their labels; a rerun asks again."""
    judge = Spy(needs=("text", "endpoint"), failing=["b"])
    engine = CountingEngine()
    run, config = collected(tmp_path, {"a": Repeats(), "b": Repeats(word="x")}, judged=judge, plain=Spy())
    featurize(run, config, engine=engine)
    assert engine.asked == [("plain",)]  # what asks an endpoint stays in this process
    errors = run.read("errors").to_pandas()
    labels = labels_of(run, "judged")
    assert len(errors) == (labels["primary"] == "b").sum() > 0
    assert set(errors["reason"]) == {"no verdict"}
    assert set(errors["behavior"]) == {"judged"}
    assert labels["value"].isna().equals(labels["primary"] == "b")
    judge.failing.clear()
    featurize(run, config, engine=engine)
    assert run.read("errors").num_rows == 0
    assert labels_of(run, "judged")["value"].notna().all()
    assert engine.asked == [("plain",)]


def test_partners_are_the_right_outputs(tmp_path: Path) -> None:
    """An original meets its own changed versions by its own primary model, and the same sample by the others."""
    spy = Spy(needs=("text", "variants", "other_primaries"))
    run, config = collected(tmp_path, {"a": Repeats(), "b": Repeats(word="x")}, spy=spy)
    featurize(run, config)
    prompts = run.read("prompts").to_pandas().set_index("prompt_id")
    versions = prompts[prompts["origin_id"].notna()].groupby("origin_id")["text"].agg(set).to_dict()
    for batch in spy.seen:
        for row, partners in enumerate(batch.partners):
            mine = [partner for partner in partners if partner.variant]
            others = [partner for partner in partners if not partner.variant]
            if prompts["origin_id"].notna()[batch.prompt_ids[row]]:
                assert partners == ()
                continue
            assert {partner.prompt for partner in mine} == versions.get(batch.prompt_ids[row], set())
            assert {partner.primary for partner in mine} <= {batch.primaries[row]}
            (other,) = others
            assert {other.primary, batch.primaries[row]} == {"a", "b"}
            assert (other.sample, other.prompt) == (batch.samples[row], batch.prompts[row])


@pytest.mark.parametrize(
    ("featurizer", "message"),
    [
        (Spy(value=2.0), "behavior spy: a binary label is 2.0"),
        (Spy(needs=("text", "other_primaries")), "behavior spy compares primary models, and the config has only a"),
        (Spy(needs=("text", "variants")), "behavior spy compares changed versions of prompts, and this run has none"),
    ],
)
def test_what_cannot_be_labeled_is_refused(tmp_path: Path, featurizer: Spy, message: str) -> None:
    """A label outside its space, and a comparison with what no prompt source or config makes, are said at once."""
    run, config = collected(tmp_path, {"a": Repeats()}, source={"kind": "capitals"}, spy=featurizer)
    with pytest.raises(MetamodelError, match=message):
        featurize(run, config)


def test_a_label_a_row_is_demanded(tmp_path: Path) -> None:
    """A plug-in that gives too few labels is named, with what it gave."""

    @dataclass(frozen=True, kw_only=True)
    class Short(Spy):
        def label(self, batch: GenerationBatch) -> FloatArray:
            return np.zeros(len(batch) - 1)

    run, config = collected(tmp_path, {"a": Repeats()}, short=Short())
    with pytest.raises(MetamodelError, match=r"behavior short: its featurizer gave labels of shape \(\d+,\) for \d+"):
        featurize(run, config)
