"""Losses under shift: group DRO against its closed form, the reversed gradient against the plain one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from metamodel.labels import Binary, LabeledPrompts, LabelTable
from metamodel.protocols import FitContext
from trainers.bag import Bag
from trainers.networks.domain_adversary import DomainAdversary, reversal_factor, reverse_gradient
from trainers.networks.group_dro import GroupWeights, group_sums

Planted = Callable[..., LabeledPrompts]


def test_group_dro_closed_form() -> None:
    """Weights follow q_g * exp(step * mean loss) / sum, and weighted prompts sum to q's mean over domains' losses."""
    groups = GroupWeights(3, step_size=0.5)
    losses, domains = torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1])
    sums = group_sums(losses, domains, 3)
    groups.update(sums)
    powers = np.exp(0.5 * np.array([2.0, 4.0, 0.0]))
    q = powers / powers.sum()
    np.testing.assert_allclose(groups.q.numpy(), q, rtol=1e-6)
    weighted = float((losses * groups.prompt_weights(domains, sums.counts)).sum())
    assert weighted == pytest.approx(q[0] * 2.0 + q[1] * 4.0, rel=1e-6)


def test_group_dro_helps_the_worst_domain() -> None:
    """A small domain with the opposite label is given up by the mean's loss and not by group DRO's."""
    texts = tuple(f"word {number}" for number in range(200))
    domains = tuple("small" if number % 20 == 0 else "large" for number in range(200))
    codes = np.array([[0 if domain == "small" else 1] for domain in domains])
    train = LabeledPrompts(texts=texts, domains=domains, labels={"f": LabelTable(space=Binary(), codes=codes)})
    chances = []
    for group_dro in (0.0, 1.0):
        trainer = Bag(max_epochs=5, n_buckets=64, dropout=0.0, group_dro=group_dro)
        fitted = trainer.fit(train, train.take([]), context=FitContext())
        small = [text for text, domain in zip(texts, domains, strict=True) if domain == "small"]
        chances.append(fitted.predict(small)["f"][:, 0].mean())
    assert chances[1] > chances[0] + 0.1


def test_reversed_gradient() -> None:
    """What is below the reversal gets the gradient times -factor, the classifier its own; values pass unchanged."""
    values = torch.randn(3, 2, requires_grad=True)
    (reverse_gradient(values, 0.25) * torch.arange(6.0).reshape(3, 2)).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, -0.25 * torch.arange(6.0).reshape(3, 2))
    assert torch.equal(reverse_gradient(values, 0.25), values)


def test_adversary_is_cross_entropy_in_bits() -> None:
    """The classifier's loss is in bits, and the reversal leaves the classifier's own gradient alone."""
    adversary, hidden, domains = DomainAdversary(4, 3), torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    bits = adversary(hidden, domains, 0.7)
    nats = torch.nn.functional.cross_entropy(adversary.classifier(hidden), domains, reduction="none")
    torch.testing.assert_close(bits, nats / math.log(2))
    gradients = []
    for factor in (0.0, 0.7):
        adversary.zero_grad()
        adversary(hidden, domains, factor).sum().backward()
        assert adversary.classifier.weight.grad is not None
        gradients.append(adversary.classifier.weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1])


def test_reversal_schedule() -> None:
    """The factor is Ganin et al.'s formula."""
    for progress in (0.0, 0.3, 1.0):
        expected = 2 / (1 + math.exp(-10 * progress)) - 1
        assert reversal_factor(progress, 0.5) == pytest.approx(0.5 * expected)
