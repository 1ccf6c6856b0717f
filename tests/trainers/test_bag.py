"""The bag: what it learns, how it trains, what it logs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Metamodel
from metamodel.types import FloatArray
from trainers.bag import Bag, BagMetamodel
from trainers.base_rate import BaseRate
from trainers.heads.outcomes import cross_entropy_bits, outcome_shares
from trainers.inputs.bag_features import BagFeatures
from trainers.networks.bag_network import BagNetwork
from trainers.networks.sparse_rows import sparse_rows, summed_rows

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
        parts = network(sparse_rows(inputs.ngrams), torch.from_numpy(inputs.lengths.astype(np.float32)))
    for part, values in zip(parts, metamodel.raw_predict(inputs).values(), strict=True):
        np.testing.assert_allclose(part.exp().numpy(), values, atol=1e-5)


def test_sparse_product_gradient(planted: Planted) -> None:
    """The hand-written backward pass gives the gradient of torch's own embedding bag."""
    texts = planted(20, 0).texts
    _, inputs = BagFeatures.fit(texts, SMALL.scheme(), min_prompts=2)
    rows = sparse_rows(inputs.ngrams)
    rows = rows._replace(weights=rows.weights.clone().requires_grad_())
    table = torch.randn(inputs.ngrams.shape[1], 4, requires_grad=True)
    direction = torch.randn(20, 4)
    summed = summed_rows(table, rows)
    (summed * direction).sum().backward()
    reference, weights = (leaf.detach().clone().requires_grad_() for leaf in (table, rows.weights))
    bag = torch.nn.functional.embedding_bag(
        rows.columns, reference, rows.offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
    torch.testing.assert_close(summed, bag)
    (bag * direction).sum().backward()
    torch.testing.assert_close(table.grad, reference.grad)
    torch.testing.assert_close(rows.weights.grad, weights.grad)


def test_untrained_network_is_the_prior(planted: Planted) -> None:
    """Training starts from the training prior, so that what is learned is what prompts add to it."""
    priors = [[0.2, 0.8], [0.5, 0.25, 0.25]]
    network = BagNetwork(n_buckets=50, dimension=4, hidden=3, dropout=0.0, priors=priors)
    _, inputs = BagFeatures.fit(planted(6, 0).texts, Bag(n_buckets=50).scheme(), min_prompts=1)
    padded = inputs.ngrams.copy()
    padded.resize((6, 50))
    parts = network(sparse_rows(padded), torch.zeros(6, 2))
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
