"""The whole pipeline on primary models whose behavior is known in closed form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metamodel
from metamodel.collect import CollectReport
from metamodel.config import RunConfig, build_config
from metamodel.dataset import read_datasets
from metamodel.draw import config_folds, distinct_tables, draw_prompts, survey_folds, survey_prompts, tables_of
from metamodel.errors import DataError, RunError
from metamodel.metric_rows import ROW_KEYS, MetricsRow, rows_from_json, select
from metamodel.pipeline import run_stages
from metamodel.plan import make_plan
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Generation, Prompt, Sampling, content_hash, generation_key

WORDS = ("red", "blue", "stone", "river", "cloud", "paper", "horse", "bread", "window", "garden")
N_DOMAINS = 4
PROMPTS_A_DOMAIN = 120


@dataclass(frozen=True, kw_only=True)
class PlantedModel:
    """Is cut at the token limit with probability `if_red` or `if_blue`, by which of the words the prompt has."""

    if_red: float
    if_blue: float

    @property
    def identity(self) -> str:
        """Name the two probabilities."""
        return f"planted/{self.if_red}/{self.if_blue}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Generation]]:
        """Yield all generations in one batch."""
        yield [self._one(prompt, sampling, sample) for prompt in prompts for sample in range(sampling.n_samples)]

    def _one(self, prompt: Prompt, sampling: Sampling, sample: int) -> Generation:
        draw = int(content_hash(prompt.id, str(sample), str(sampling.seed))[:13], 16) / 16**13
        is_cut = draw < (self.if_red if "red" in prompt.text.split() else self.if_blue)
        return Generation(
            key=generation_key(primary_identity=self.identity, prompt_id=prompt.id, sampling=sampling, sample=sample),
            prompt_id=prompt.id,
            primary="planted",
            sample=sample,
            seed=sample,
            text="word " * 3,
            token_ids=(1, 2, 3),
            logprobs=(-1.0, -1.0, -1.0),
            finish_reason="length" if is_cut else "stop",
        )


def write_prompts(path: Path) -> Path:
    """Write prompts of several domains; half of each holds "red", half "blue", in random company."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for domain in range(N_DOMAINS):
            for number in range(PROMPTS_A_DOMAIN):
                company = rng.choice(WORDS[2:], size=4)
                text = " ".join([WORDS[number % 2], *company, f"number {domain * 1000 + number}"])
                file.write(json.dumps({"prompt": text, "domain": f"domain{domain}"}) + "\n")
    return path


def planted_config(folder: Path, primary: PlantedModel, **changes: object) -> RunConfig:
    """Return a config over planted prompts and one planted primary model."""
    raw: dict[str, Any] = {
        "name": "planted",
        "directory": str(folder / "run"),
        "logger": "none",
        "prompts": {
            "n_prompts": None,
            "sources": [{"kind": "file", "path": str(write_prompts(folder / "prompts.jsonl")), "references": None}],
        },
        "primaries": [{"kind": "zoo", "model": "lstm", "name": "planted"}],
        "sampling": {"n_samples": 3, "temperature": 1.0, "max_new_tokens": 8},
        "behaviors": [{"kind": "truncated"}, {"kind": "empty"}, {"kind": "correct"}],
        "metamodels": [{"kind": "base_rate"}, {"kind": "tfidf_logistic"}, {"kind": "bag", "n_buckets": 4096}],
        "evaluation": {"n_bootstrap": 200},
    }
    return replace(build_config({**raw, **changes}), primaries={"planted": primary})


def mean_row(rows: Sequence[MetricsRow], metamodel_name: str, split: str, behavior: str = "truncated") -> MetricsRow:
    """Return the one summary row."""
    (row,) = [
        row
        for row in select(rows, metamodels=[metamodel_name], behavior=behavior)
        if row.domain is None and row.split == split
    ]
    return row


def binary_entropy(p: float) -> float:
    """Return the entropy of a coin in bits."""
    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, RunDirectory]:
    """Return a finished run whose behavior carries a known number of bits."""
    config = planted_config(tmp_path_factory.mktemp("planted"), PlantedModel(if_red=0.9, if_blue=0.1))
    return config, metamodel.run(config, quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["held_out_domain", "in_distribution"])
def test_planted_information_is_recovered(planted_run: tuple[RunConfig, RunDirectory], split: str) -> None:
    """A behavior that carries 1 - H(0.1) bits is found to carry them, by ceiling and metamodel, on both splits."""
    truth = 1 - binary_entropy(0.1)
    rows = rows_from_json(planted_run[1].read_text("metrics.json"))
    row = mean_row(rows, "tfidf_logistic", split)
    assert row.ceiling_low_bits is not None
    assert row.ceiling_high_bits is not None
    assert row.ceiling_low_bits <= truth <= row.ceiling_high_bits
    assert row.reduction_low_bits is not None
    assert row.reduction_high_bits is not None
    assert row.reduction_low_bits <= truth <= row.reduction_high_bits
    bag = mean_row(rows, "bag", split)
    assert bag.reduction_bits is not None
    assert bag.reduction_bits > 0.85 * truth


@pytest.mark.slow
def test_metrics_hold_together(planted_run: tuple[RunConfig, RunDirectory]) -> None:
    """Every row has the contract's keys, H - CE is the reduction, and what cannot be defined is null."""
    text = planted_run[1].read_text("metrics.json")
    assert all(tuple(row) == ROW_KEYS for row in json.loads(text))
    rows = rows_from_json(text)
    for row in rows:
        if row.reduction_bits is not None:
            assert row.entropy_bits is not None
            assert row.cross_entropy_bits is not None
            assert row.reduction_bits == pytest.approx(row.entropy_bits - row.cross_entropy_bits, abs=1e-9)
    without_references = mean_row(rows, "bag", "held_out_domain", behavior="correct")
    assert (without_references.n_prompts, without_references.reduction_bits, without_references.auroc) == (
        0,
        None,
        None,
    )
    constant = mean_row(rows, "bag", "held_out_domain", behavior="empty")
    assert constant.entropy_bits == 0
    assert constant.explained is None
    base = mean_row(rows, "base_rate", "in_distribution")
    assert base.auroc == 0.5
    assert base.n_samples == 3 * base.n_prompts


@pytest.mark.slow
def test_a_finished_run_does_nothing_again(planted_run: tuple[RunConfig, RunDirectory]) -> None:
    """Running a finished run again draws, labels and fits nothing, and ends with the same figures."""
    config, run = planted_run
    before = {path: path.stat().st_mtime_ns for path in Path(run.path).glob("metamodels/*/weights.safetensors")}
    shards = run.shard_names("generations")
    text = run.read_text("metrics.json")
    metamodel.run(config, quiet=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert RunDirectory.open(run.path).shard_names("generations") == shards
    assert run.read_text("metrics.json") == text


@pytest.mark.slow
def test_saved_metamodels_predict_what_was_stored(planted_run: tuple[RunConfig, RunDirectory]) -> None:
    """A metamodel opened again gives the stored predictions bit for bit, so the figures are those of the artifact."""
    config, run = planted_run
    stored = run.read("predictions").to_pandas()
    stored = stored[(stored["metamodel"] == "bag") & (stored["behavior"] == "truncated")]
    stored = stored[stored["domain"] == "domain2"]
    stored = stored[stored["split"] == "held_out_domain"]
    dataset = read_datasets(run, config)["planted"]
    texts = dict(zip(dataset.prompt_ids, dataset.prompts.texts, strict=True))
    opened = metamodel.load_metamodel(f"{run.path}/metamodels/bag-planted-without_domain2")
    predicted = opened.predict([texts[prompt_id] for prompt_id in stored["prompt_id"]])["truncated"]
    assert np.array_equal(predicted, np.stack(stored["probabilities"].to_list()))


@pytest.mark.slow
def test_labels_without_information_give_none(tmp_path: Path) -> None:
    """Outputs that ignore the prompt leave nothing to explain: the reduction's interval holds zero."""
    config = planted_config(
        tmp_path,
        PlantedModel(if_red=0.4, if_blue=0.4),
        behaviors=[{"kind": "truncated"}],
        splits={"held_out_domains": ["domain0", "domain1"]},
    )
    rows = rows_from_json(metamodel.run(config, quiet=True).read_text("metrics.json"))
    for name in ("tfidf_logistic", "bag"):
        for split in ("held_out_domain", "in_distribution"):
            row = mean_row(rows, name, split)
            assert row.reduction_low_bits is not None
            assert row.reduction_high_bits is not None
            assert row.ceiling_low_bits is not None
            assert row.reduction_low_bits <= 0 <= row.reduction_high_bits
            assert row.ceiling_low_bits <= 0.01


def test_stages_say_what_must_come_first(tmp_path: Path) -> None:
    """A stage without its input names the stage to run, and makes no folder."""
    config = planted_config(tmp_path, PlantedModel(if_red=0.9, if_blue=0.1), behaviors=[{"kind": "truncated"}])
    with pytest.raises(RunError, match="run `metamodel collect` first"):
        run_stages(config, ["featurize"], quiet=True)
    assert not (tmp_path / "run").exists()
    run_stages(config, ["collect"], quiet=True)
    with pytest.raises(RunError, match="run `metamodel featurize` first"):
        run_stages(config, ["train"], quiet=True)
    run_stages(config, ["featurize"], quiet=True)
    with pytest.raises(RunError, match="run `metamodel train` first"):
        run_stages(config, ["evaluate"], quiet=True)


def test_labels_change_without_drawing_again(tmp_path: Path) -> None:
    """Another featurizer needs no new sample: with --resume it reads the stored generations."""
    primary = PlantedModel(if_red=0.9, if_blue=0.1)
    run = run_stages(
        planted_config(tmp_path, primary, behaviors=[{"kind": "truncated"}]), ["collect", "featurize"], quiet=True
    )
    drawn = run.shard_names("generations")
    changed = planted_config(tmp_path, primary, behaviors=[{"kind": "truncated"}, {"kind": "empty"}])
    with pytest.raises(RunError, match="made with another config"):
        run_stages(changed, ["featurize"], quiet=True)
    run = run_stages(changed, ["featurize"], resume=True, quiet=True)
    assert run.shard_names("generations") == drawn
    assert sorted(run.shard_names("labels")) == ["empty", "truncated"]


def test_a_split_that_cannot_work_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    """A config that leaves a domain with no training data costs no sample."""
    config = planted_config(tmp_path, PlantedModel(if_red=0.9, if_blue=0.1), splits={"held_out_domains": ["nowhere"]})
    with pytest.raises(DataError, match="names nowhere, but no prompt has that domain"):
        metamodel.run(config, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_rerun_reads_sources_only_when_they_changed(tmp_path: Path) -> None:
    """A finished collect returns without drawing prompts again; a prompt file with other rows is read anew."""
    config = planted_config(tmp_path, PlantedModel(if_red=0.9, if_blue=0.1))
    reports: list[CollectReport] = []
    for _ in range(2):
        run_stages(config, ["collect"], quiet=True, on_collected=reports.append)
    n_prompts = N_DOMAINS * PROMPTS_A_DOMAIN
    assert [(report.primaries["planted"].n_found, report.primaries["planted"].n_drawn) for report in reports] == [
        (0, 3 * n_prompts),
        (3 * n_prompts, 0),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metamodel.prompts.files.read_rows", lambda path: pytest.fail(f"{path} was read"))
        run_stages(config, ["collect"], quiet=True)
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": "one more", "domain": "domain0"}) + "\n")
    run = run_stages(config, ["collect"], quiet=True, on_collected=reports.append)
    assert reports[-1].primaries["planted"].n_drawn == 3
    assert run.read("prompts").num_rows == n_prompts + 1


def test_a_plan_counts_changed_versions_apart(tmp_path: Path) -> None:
    """Changed versions are sampled, but are no prompts of their own and no reason for a fold."""
    prompt = Prompt.create("a", domain="d")

    class Source:
        is_finite = True

        def prompts(self, seed: int) -> Iterator[Prompt]:
            for number in range(40):
                own = Prompt.create(f"{seed} {number}", domain=f"d{number % 2}")
                yield own
                yield own.changed("x", variant="x")

    config = replace(planted_config(tmp_path, PlantedModel(if_red=0.9, if_blue=0.1)), sources=(Source(),))
    plan = make_plan(config)
    assert plan.prompts_by_domain == {"d0": 20, "d1": 20}
    assert (plan.n_changed_prompts, plan.n_generations) == (40, 240)
    orphan = prompt.changed("y", variant="y")
    with pytest.raises(DataError, match=f"1 changed prompts come without .*{prompt.id}"):
        list(distinct_tables(tables_of([orphan])))


def test_folds_without_texts_are_those_of_the_texts(tmp_path: Path) -> None:
    """What is checked before drawing is what train will do."""
    config = planted_config(tmp_path, PlantedModel(if_red=0.9, if_blue=0.1))
    surveyed = survey_folds(config, survey_prompts(config))
    trained = config_folds(config, draw_prompts(config))
    assert [fold.name for fold in surveyed] == [fold.name for fold in trained]
    for one, other in zip(surveyed, trained, strict=True):
        for side in ("train", "validation", "test"):
            assert np.array_equal(getattr(one, side), getattr(other, side))
