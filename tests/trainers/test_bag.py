"""The bag: what it learns, how it trains, what it logs."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Metamodel
from metamodel.types import FloatArray
from trainers.bag import Bag, BagMetamodel
from trainers.base_rate import BaseRate
from trainers.fitting.lightning_fit import BagTraining, Batches, KeepBest, Schedule
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares
from trainers.inputs.bag_features import BagFeatures
from trainers.networks.bag_network import BagNetwork

Planted = Callable[..., LabeledPrompts]
SMALL = Bag(max_epochs=3, n_buckets=1024)


def bits(metamodel: Metamodel, prompts: LabeledPrompts, behavior: str) -> float:
    """Return a metamodel's cross-entropy."""
    rows, shares = outcome_shares(prompts.labels[behavior])
    return cross_entropy_bits(shares, metamodel.predict(prompts.texts)[behavior][rows])


def weights(metamodel: BagMetamodel) -> FloatArray:
    """Return the embedding table."""
    return metamodel.artifact.floats("network.embedding.weight", (None, None))


def test_bag_learns_planted_signals(planted: Planted) -> None:
    """A planted bigram and the length are found, and a label without signal costs no more than the base rate."""
    train, validation, test = planted(800, 0), planted(200, 1), planted(300, 2)
    base = BaseRate().fit(train, validation, context=FitContext())
    metamodel = Bag().fit(train, validation, context=FitContext())
    assert bits(metamodel, test, "bigram") < 0.7 * bits(base, test, "bigram")
    assert bits(metamodel, test, "length") < bits(base, test, "length") - 0.5
    assert bits(metamodel, test, "domain") < bits(base, test, "domain") + 0.03


def test_prediction_is_the_network(planted: Planted) -> None:
    """The prediction without torch is what the trained module computes."""
    train = planted(80, 0)
    metamodel = SMALL.fit(train, planted(30, 1), context=FitContext())
    artifact = metamodel.artifact
    priors = [prior.tolist() for prior in metamodel.priors.values()]
    network = BagNetwork(
        n_buckets=len(weights(metamodel)), dimension=32, hidden=SMALL.hidden, dropout=0.5, priors=priors
    )
    state = {n.removeprefix("network."): torch.from_numpy(t) for n, t in artifact.weights.items() if "network" in n}
    network.load_state_dict(state)
    network.eval()
    inputs = BagFeatures.from_artifact(artifact, SMALL.scheme()).inputs(train.texts)
    with torch.no_grad():
        parts = network(inputs.ngrams.astype(np.float32), torch.from_numpy(inputs.lengths.astype(np.float32)))
    for part, values in zip(parts, metamodel.raw_predict(inputs).values(), strict=True):
        np.testing.assert_allclose(part.exp().numpy(), values, atol=1e-5)


def test_sparse_product_gradient(planted: Planted) -> None:
    """The hand-written backward pass gives the gradient of torch's own embedding bag."""
    texts = planted(20, 0).texts
    _, inputs = BagFeatures.fit(texts, SMALL.scheme(), min_prompts=2)
    ngrams = inputs.ngrams.astype(np.float32)
    network = BagNetwork(n_buckets=ngrams.shape[1], dimension=4, hidden=2, dropout=0.0, priors=[[0.5, 0.5]])
    table = network.embedding.weight
    direction = torch.randn(20, 4)
    (network.embedding(ngrams) * direction).sum().backward()
    reference = table.detach().clone().requires_grad_()
    bag = torch.nn.functional.embedding_bag(
        torch.from_numpy(ngrams.indices.astype(np.int64)),
        reference,
        torch.from_numpy(ngrams.indptr[:-1].astype(np.int64)),
        mode="sum",
        per_sample_weights=torch.from_numpy(ngrams.data),
    )
    torch.testing.assert_close(network.embedding(ngrams), bag)
    (bag * direction).sum().backward()
    torch.testing.assert_close(table.grad, reference.grad)


def test_untrained_network_is_the_prior(planted: Planted) -> None:
    """Training starts from the training prior, so that what is learned is what prompts add to it."""
    priors = [[0.2, 0.8], [0.5, 0.25, 0.25]]
    network = BagNetwork(n_buckets=50, dimension=4, hidden=3, dropout=0.0, priors=priors)
    _, inputs = BagFeatures.fit(planted(6, 0).texts, Bag(n_buckets=50).scheme(), min_prompts=1)
    padded = inputs.ngrams.copy()
    padded.resize((6, 50))
    parts = network(padded.astype(np.float32), torch.zeros(6, 2))
    for part, prior in zip(parts, priors, strict=True):
        np.testing.assert_allclose(part.exp().detach().numpy(), [prior] * 6, rtol=1e-5)


def test_seed_decides_weights(planted: Planted) -> None:
    """Equal seeds give equal weights, others give others, and the caller's random stream is left alone."""
    train, validation = planted(60, 0), planted(20, 1)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = (weights(SMALL.fit(train, validation, context=FitContext(seed=seed))) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_best_weights_are_kept() -> None:
    """Weights of the pass with the fewest validation bits come back, not the last ones."""
    network = BagNetwork(n_buckets=3, dimension=2, hidden=2, dropout=0.0, priors=[[0.5, 0.5]])
    schedule = Schedule(learning_rate=0.1, weight_decay=0.0, max_epochs=1, patience=1, batch_size=1)
    module, keeper = BagTraining(network, schedule), KeepBest()

    class Passes:
        callback_metrics: dict[str, float]

    for bits_of_pass, value in ((0.9, 1.0), (0.5, 2.0), (math.nan, 3.0), (0.7, 4.0)):
        Passes.callback_metrics = {"validation_bits": bits_of_pass}
        torch.nn.init.constant_(network.embedding.weight, value)
        keeper.on_validation_end(Passes, module)  # type: ignore[arg-type] # all that the callback reads of a trainer
    keeper.on_fit_end(Passes, module)  # type: ignore[arg-type] # the same
    assert (network.embedding.weight == 2.0).all()


def test_batches_cover_every_prompt(planted: Planted) -> None:
    """A pass holds each prompt once, two passes differ in order, and the same seed gives the same passes."""
    _, inputs = BagFeatures.fit(planted(10, 0).texts, SMALL.scheme(), min_prompts=1)
    targets = np.arange(10.0)[:, None]
    batches, again = (Batches(inputs, targets, batch_size=4, seed=0) for _ in range(2))
    passes = [torch.cat([batch.targets for batch in batches]).ravel().tolist() for _ in range(2)]
    assert len(batches) == 3
    assert [sorted(numbers) for numbers in passes] == [list(range(10))] * 2
    assert passes[0] != passes[1]
    assert [torch.cat([batch.targets for batch in again]).ravel().tolist() for _ in range(2)] == passes


def test_csv_logger(planted: Planted, tmp_path: Path) -> None:
    """Bits of each pass are logged to a file, a second fit into the same folder starts it anew."""
    for _ in range(2):
        SMALL.fit(planted(40, 0), planted(20, 1), context=FitContext(directory=tmp_path / "new", logger="csv"))
    with (tmp_path / "new" / "metrics.csv").open(encoding="utf-8") as file:
        logged = list(csv.DictReader(file))
    assert sum(bool(row["validation_bits"]) for row in logged) == 3
    assert sum(bool(row["train_bits"]) for row in logged) == 3
    assert {path.name for path in tmp_path.rglob("*")} <= {"new", "logs", "metrics.csv", "hparams.yaml"}


def test_wandb_logger(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, Weights & Biases writes its run below the given folder and nowhere else."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    SMALL.fit(planted(40, 0), planted(20, 1), context=FitContext(directory=tmp_path / "logs", logger="wandb"))
    assert list((tmp_path / "logs").rglob("*.wandb"))
    assert list(working.iterdir()) == []


@pytest.mark.parametrize(("progress", "drawn"), [(True, True), (False, False)])
def test_progress_bar(progress: bool, drawn: bool, planted: Planted, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001 - parameters of a test
    """A progress bar is drawn where asked for."""
    SMALL.fit(planted(20, 0), planted(10, 1), context=FitContext(progress=progress))
    captured = capfd.readouterr()
    assert ("Epoch" in captured.out + captured.err) is drawn


def test_loggers_need_a_directory(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory no logger writes anything, not even below the working directory."""
    monkeypatch.chdir(tmp_path)
    loggers: tuple[Literal["csv", "wandb"], ...] = ("csv", "wandb")
    for logger in loggers:
        SMALL.fit(planted(20, 0), planted(10, 1), context=FitContext(logger=logger))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"n_buckets": 0}, "n_buckets is 0"),
        ({"hidden": 0}, "hidden is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_meaningless_fields(options: dict[str, object], problem: str) -> None:
    """A field out of range is refused with its value."""
    with pytest.raises(ValueError, match=problem):
        Bag(**options)  # type: ignore[arg-type] # values differ in type
