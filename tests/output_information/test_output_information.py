"""The stage on a toy primary model with 8 outputs and on a real one, an interrupted run, the command, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import RunConfig
from metamodel.dataset import read_prompts
from metamodel.errors import ConfigError, MetamodelError, RunError, UnknownNameError
from metamodel.evaluate import evaluate
from metamodel.labels import Binary, LabelTable
from metamodel.output_information.readers import JudgedSample, partitions_of
from metamodel.output_information.results import ExplainedRow, PrimaryInformation
from metamodel.output_information.stage import output_information
from metamodel.output_information.work import InformationQuery, information_work
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.train import train
from metamodel.types import FloatArray, Generation, Prompt, Sampling, content_hash, generation_key

LabeledRun = Callable[..., tuple[RunDirectory, RunConfig]]
Trained = tuple[RunDirectory, RunConfig]
METAMODELS = ["base_rate", {"kind": "tfidf_logistic", "name": "words", "min_df": 1, "C_grid": []}]


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A primary model with 8 outputs, three tokens 0 or 1: "red" in a prompt makes them ones, and each has its habits.

    Attributes:
        strength: How far red and blue are apart.
        context: Prompts with more letters do not fit.
        calls: Numbers of pairs that were scored.
    """

    strength: float = 0.35
    context: int = 1000
    calls: list[int] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """Name of the weights."""
        return f"toy@{self.strength}"

    def rates(self, text: str) -> FloatArray:
        """Return the probability of a one at each of the three places, [3]."""
        rng = np.random.default_rng(int(content_hash(text)[:8], 16))
        lean = self.strength if "red" in text else -self.strength
        return np.clip(0.5 + lean + 0.1 * rng.standard_normal(3), 0.02, 0.98)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Generation]]:
        """Draw nothing: the tests write outputs themselves."""
        raise NotImplementedError

    def token_logprobs(self, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        """Return the log-probability of each token."""
        self.calls.append(len(prompts))
        found = []
        for text, tokens in zip(prompts, outputs, strict=True):
            rates = self.rates(text)
            values = np.log(np.where(np.array(tokens) == 1, rates[: len(tokens)], 1 - rates[: len(tokens)]))
            found.append(values if len(text) <= self.context else np.full(len(tokens), np.nan))
        return found


def write_outputs(run: RunDirectory, config: RunConfig, toy: Toy, *, n_samples: int = 1) -> None:
    """Write outputs drawn from the toy, with their log-probabilities."""
    rng = np.random.default_rng(1)
    rows = []
    for prompt in read_prompts(run).to_dict("records"):
        for sample in range(n_samples):
            rates = toy.rates(prompt["text"])
            tokens = (rng.random(3) < (rates > 0.5 if config.sampling.is_greedy else rates)).astype(int).tolist()
            key = generation_key(
                primary_identity=toy.identity, prompt_id=prompt["prompt_id"], sampling=config.sampling, sample=sample
            )
            (logprobs,) = toy.token_logprobs([prompt["text"]], [tokens])
            row = {"key": key, "prompt_id": prompt["prompt_id"], "primary": "planted", "sample": sample, "text": "x"}
            rows.append({**row, "token_ids": tokens, "logprobs": logprobs.tolist(), "finish_reason": "length"})
    run.write_shard("generations", pa.Table.from_pylist(rows, schema=schema_of("generations")))
    run.update_facts(primaries={"planted": toy.identity})
    toy.calls.clear()


@pytest.fixture
def trained(labeled_run: LabeledRun) -> Callable[..., Trained]:
    """Return a function that makes a run of two metamodels on the toy, judged on two held-out domains."""

    def make(toy: Toy, name: str = "run", **changes: object) -> Trained:
        splits = {"in_distribution": True, "held_out_domains": ["d0", "d1"]}
        sampling = {"max_new_tokens": 3}
        run, config = labeled_run(name, **{"metamodels": METAMODELS, "splits": splits, "sampling": sampling, **changes})
        write_outputs(run, config, toy)
        train(run, config)
        evaluate(run, config)
        return run, replace(config, primaries={"planted": toy})

    return make


def row_of(found: PrimaryInformation, metamodel: str, behavior: str | None) -> ExplainedRow:
    """Return the row of a metamodel's behavior."""
    return next(row for row in found.rows if (row.metamodel, row.behavior) == (metamodel, behavior))


def test_the_informed_behavior_comes_first(trained: Callable[..., Trained]) -> None:
    """What words predict of the behavior that red decides explains most of I(Y; X); a coin and a constant nothing."""
    toy = Toy()
    run, config = trained(toy)
    found = output_information(run, config, InformationQuery(n_prompts=64))
    (one,) = found.primaries
    assert found.split == "held_out_domain"
    assert found.ranked_by == "within_share"
    assert one.n_prompts == 64
    assert one.log_n_bits == 6
    assert [length.tokens for length in one.lengths] == [1, 2, 3]
    bits = [length.bits.value for length in one.lengths]
    assert 0 < bits[0] < bits[1] < bits[2] < 6
    assert one.largest_gap_bits is not None
    assert one.largest_gap_bits < 1e-5  # stored as float32
    best = row_of(one, "words", "truncated")
    assert best.within_share is not None
    assert best.within_share.low is not None
    assert best.within_share.low > 0.3
    assert best.within_p_value == pytest.approx(1 / 201)
    constant = row_of(one, "base_rate", "truncated")
    assert constant.within_bits is not None
    assert constant.within_bits.value == pytest.approx(0, abs=1e-9)
    assert best.ranked(found.ranked_by) > row_of(one, "words", "empty").ranked(found.ranked_by)
    assert one.rows.index(best) < one.rows.index(constant)
    assert best.reduction_bits is not None
    # Equation 3: what is explained of the label is a lower bound, here with room to spare.
    assert best.reduction_bits < best.bits.value + 0.3
    assert sum(row.reader == "domain" for row in one.rows) == 1


def test_figures_of_the_sample_are_those_of_the_matrix(trained: Callable[..., Trained]) -> None:
    """I(Y; X) and H(Y given X) equal their definitions, computed by hand from the toy's own rates."""
    toy = Toy()
    run, config = trained(toy)
    query = InformationQuery(n_prompts=40, split="in_distribution")
    work = information_work(run, config, query)
    (plan,) = [one.plan for one in work.primaries]
    (one,) = output_information(run, config, query).primaries
    rates = np.stack([toy.rates(text) for text in plan.texts])
    tokens = np.array([output.token_ids for output in plan.outputs])
    likely = np.prod(np.where(tokens[:, None] == 1, rates[None], 1 - rates[None]), axis=2)  # [m, n]
    posterior = likely / likely.sum(axis=1, keepdims=True)
    whole = one.lengths[-1]
    expected = np.log2(40) + (posterior * np.log2(posterior)).sum(axis=1).mean()
    assert whole.bits.value == pytest.approx(expected, abs=1e-12)
    assert whole.conditional_entropy_bits.value == pytest.approx(-np.log2(np.diag(likely)).mean(), abs=1e-12)
    others = (likely.sum(axis=1) - np.diag(likely)) / 39
    assert whole.high_bits is not None
    assert whole.high_bits.value == pytest.approx(np.log2(np.diag(likely) / others).mean(), abs=1e-12)
    label = next(row for row in one.labels if row.behavior == "truncated")
    codes = work.primaries[0].dataset.prompts.labels["truncated"].codes[list(work.primaries[0].rows), 0]
    share = codes.mean()
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert label.entropy_bits.value == pytest.approx(entropy)


def test_other_samples_tell_the_behavior(trained: Callable[..., Trained]) -> None:
    """A behavior's own row needs a sample that was not scored; with one sample a prompt there is none."""
    run, config = trained(Toy())
    found = output_information(run, config, InformationQuery(n_prompts=32))
    assert not [row for row in found.primaries[0].rows if row.reader == "behavior"]
    codes = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [1, -1, -1]])
    sample = JudgedSample(
        prompt_ids=["a", "b", "c", "d"],
        domains=np.zeros(4, dtype=np.int64),
        labels={"empty": LabelTable(space=Binary(), codes=codes)},
        reads_prompt={"empty": False},
        n_scored=1,
        is_greedy=False,
        predicted={},
    )
    (partition,) = partitions_of(sample, n_bins=4, seed=0)
    assert partition.bins.tolist() == [2, 0, 1, 3]  # the scored sample says the opposite; the last has no other label


def test_greedy_outputs_need_no_scoring(trained: Callable[..., Trained]) -> None:
    """An output that is a function of the prompt tells H(Y) bits, and the label is one of the prompt too."""
    toy = Toy()
    run, config = trained(toy, sampling={"temperature": 0, "max_new_tokens": 3})
    (one,) = output_information(run, config, InformationQuery(n_prompts=48)).primaries
    assert not toy.calls
    assert one.is_greedy
    assert one.largest_gap_bits is None
    assert one.lengths[-1].conditional_entropy_bits.value == 0
    work = information_work(run, config, InformationQuery(n_prompts=48)).primaries[0]
    assert work.to_dict(seed=0)["n_pairs"] == 0
    _, times = np.unique([str(output.token_ids) for output in work.plan.outputs], return_counts=True)
    shares = times / 48
    assert one.lengths[-1].bits.value == pytest.approx(-(shares * np.log2(shares)).sum())
    assert any(row.reader == "behavior" and row.behavior == "truncated" for row in one.rows)
    assert any("I(Y; X) = H(Y)" in note for note in one.notes)


def test_a_killed_run_goes_on(trained: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that were scored are not scored again; damaged ones are; the figures are the same."""
    toy = Toy()
    run, config = trained(toy)
    query = InformationQuery(n_prompts=60)
    monkeypatch.setattr("metamodel.output_information.cross_scoring._PIECE_PAIRS", 600)
    real = Toy.token_logprobs

    def killed(self: Toy, prompts: Sequence[str], outputs: Sequence[Sequence[int]]) -> list[FloatArray]:
        if len(self.calls) == 4:
            raise KeyboardInterrupt
        return real(self, prompts, outputs)

    monkeypatch.setattr(Toy, "token_logprobs", killed)
    with pytest.raises(KeyboardInterrupt):
        output_information(run, config, query)
    monkeypatch.setattr(Toy, "token_logprobs", real)
    assert sum(toy.calls) == 2400
    assert information_work(run, config, query).primaries[0].plan.n_stored_pairs() == 2400
    found = output_information(run, config, query)
    assert sum(toy.calls) == 3600
    assert output_information(run, config, query).to_dict() == found.to_dict()
    assert sum(toy.calls) == 3600
    damaged = sorted((run.local_path or pytest.fail("local")).glob("information/*.safetensors"))
    assert len(damaged) == 6
    damaged[0].write_bytes(b"no")
    assert output_information(run, config, query).to_dict() == found.to_dict()
    assert sum(toy.calls) == 4200


def test_prompts_that_do_not_fit_are_left_out(trained: Callable[..., Trained]) -> None:
    """A prompt that the model cannot read with some output is dropped with its outputs, and said so."""
    run, config = trained(Toy(context=33))
    (one,) = output_information(run, config, InformationQuery(n_prompts=64)).primaries
    assert one.n_dropped > 0
    assert one.n_prompts == one.n_outputs == 64 - one.n_dropped
    assert any("do not fit" in note for note in one.notes)
    nothing, config = trained(Toy(context=3), "other")
    with pytest.raises(RunError, match="fit the model's context"):
        output_information(nothing, config, InformationQuery(n_prompts=10))


def test_outputs_that_give_prompts_away(trained: Callable[..., Trained]) -> None:
    """Among two prompts whole outputs may be saturated: shorter ones are ranked, and --tokens overrules."""
    run, config = trained(Toy())
    (one,) = output_information(run, config, InformationQuery(n_prompts=40, tokens=2)).primaries
    assert one.ranked_tokens == 2
    assert one.ranked_length.bits.value < one.lengths[-1].bits.value
    (few,) = output_information(run, config, InformationQuery(n_prompts=2)).primaries
    assert few.n_prompts == 2
    assert any("few" in note for note in few.notes)


@dataclass(frozen=True, kw_only=True)
class Mute:
    """A primary model that cannot score."""

    identity: str = "mute"


def test_what_is_wrong_is_said(trained: Callable[..., Trained], labeled_run: LabeledRun) -> None:
    """Models that cannot score, other temperatures, other weights, unknown names and impossible numbers."""
    toy = Toy()
    run, config = trained(toy)
    mute: dict[str, object] = {"planted": Mute()}
    with pytest.raises(RunError, match="cannot say how likely"):
        information_work(run, replace(config, primaries=mute), InformationQuery())  # type: ignore[arg-type] # on purpose
    warm = replace(config, sampling=replace(config.sampling, temperature=0.7))
    with pytest.raises(RunError, match=r"temperature 0\.7"):
        information_work(run, warm, InformationQuery())
    with pytest.raises(RunError, match="drew the outputs"):
        information_work(run, replace(config, primaries={"planted": Toy(strength=0.1)}), InformationQuery())
    with pytest.raises(UnknownNameError, match="planted"):
        information_work(run, config, InformationQuery(primaries=["plantd"]))
    with pytest.raises(UnknownNameError, match="words"):
        information_work(run, config, InformationQuery(metamodels=["word"]))
    with pytest.raises(ConfigError, match="--outputs is 2"):
        information_work(run, config, InformationQuery(n_outputs=2))
    with pytest.raises(ConfigError, match=r"--prompts is 1.*--bins is 1.*--permutations"):
        InformationQuery(n_prompts=1, n_bins=1, n_permutations=3)
    unjudged, config = labeled_run("unjudged")
    write_outputs(unjudged, config, toy)
    config = replace(config, primaries={"planted": toy})
    with pytest.raises(RunError, match="metamodel evaluate"):
        information_work(unjudged, config, InformationQuery(split="in_distribution"))
    found = output_information(unjudged, config, InformationQuery(n_prompts=20))
    assert found.split is None
    assert {row.reader for row in found.primaries[0].rows} == {"domain"}
    empty = RunDirectory.create_or_open(run.path + "-empty", config=config.resolved)
    with pytest.raises(MetamodelError):
        information_work(empty, config, InformationQuery())


def test_the_command_on_a_real_model(labeled_run: LabeledRun) -> None:
    """--dry-run counts and times pairs; the command prints its tables and leaves figures, chart and rows behind."""
    from metamodel.config import build_config

    run, config = labeled_run(metamodels=METAMODELS, sampling={"max_new_tokens": 4})
    primary = build_config(run.config).primaries["planted"]
    rows = []
    for number, prompt in enumerate(read_prompts(run).to_dict("records")):
        tokens = [70 + number % 5, 80, 90][: 1 + number % 3]
        key = generation_key(
            primary_identity=primary.identity, prompt_id=prompt["prompt_id"], sampling=config.sampling, sample=0
        )
        row = {"key": key, "prompt_id": prompt["prompt_id"], "primary": "planted", "sample": 0, "text": "<b>"}
        rows.append({**row, "token_ids": tokens, "finish_reason": "length"})
    run.write_shard("generations", pa.Table.from_pylist(rows, schema=schema_of("generations")))
    run.update_facts(primaries={"planted": primary.identity})
    train(run, config)
    evaluate(run, config)
    arguments = ["information", run.path, "--prompts", "16", "--permutations", "20"]
    dry = json.loads(CliRunner().invoke(app, [*arguments, "--dry-run"]).stdout)
    assert dry["primaries"][0]["n_pairs"] == 256
    assert dry["primaries"][0]["estimated_s"] >= 0
    assert not run.exists("information.json")
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for words in ("I(Y; X) of the sample", "bound log2 n = 4.00", "words", "H(F), bits"):
        assert words in " ".join(shown.stdout.split())
    printed = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    stored = json.loads(run.read_text("information.json"))
    assert stored["primaries"] == printed["primaries"]
    assert stored["schema_version"] == 1
    folder: Path | None = run.local_path
    assert folder is not None
    ET.parse(folder / "plots" / "information.svg")  # noqa: S314 - our own output
    assert "I(Y;B(X)) bits" in (folder / "plots" / "information.csv").read_text(encoding="utf-8")
    assert (
        json.loads(CliRunner().invoke(app, [*arguments, "--dry-run"]).stdout)["primaries"][0]["n_stored_pairs"] == 256
    )
    with pytest.raises(ConfigError, match="--prompts"):
        CliRunner().invoke(app, ["information", run.path, "--prompts", "0"], catch_exceptions=False)
