"""Fine-tune an encoder together with its heads, all weights or low-rank adapters, and put back what was learned.

The heads start as the linear probes of the frozen encoder: heads that start at random tear the pretrained states apart
before they have learned anything, which costs most on domains never seen (Kumar et al., Fine-tuning can distort
pretrained features and underperform out-of-distribution, 2022).

Shapes: n = prompts, h = the encoder's width, e = further numbers a prompt, d = h + e, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray
from trainers.artifacts.artifact import Artifact, Tensor
from trainers.fitting.batches import Examples
from trainers.fitting.network_options import NetworkOptions
from trainers.fitting.run_lightning import trained_network
from trainers.heads.logistic import LinearHead
from trainers.inputs.dense import FARTHEST
from trainers.inputs.encoder_loading import padded, pooled
from trainers.inputs.encoder_states import EncoderStates
from trainers.inputs.encoder_tuned import PREFIX, TuningScheme, with_adapters
from trainers.inputs.encoder_windows import TokenIds
from trainers.networks.encoder_network import EncoderNetwork
from trainers.networks.prior_heads import PriorHeads


class WindowRows:
    """Cuts batches from the windows of prompts.

    Args:
        windows: Of each prompt.
        further: Further numbers of each prompt, [n, e].
    """

    def __init__(self, windows: Sequence[Sequence[TokenIds]], further: FloatArray) -> None:
        self._windows, self._further = windows, further.astype(np.float32)

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self._windows)

    def rows(self, index: IntArray) -> tuple[object, ...]:
        """Return what `EncoderNetwork.encode` takes."""
        ids, mask = padded([window for row in index for window in self._windows[row]])
        owners = np.repeat(np.arange(len(index)), [len(self._windows[row]) for row in index])
        return ids, mask, torch.from_numpy(owners), torch.from_numpy(self._further[index])


class Tuned(NamedTuple):
    """What fine-tuning gives.

    Attributes:
        weights: What was learned of the encoder, by tensor.
        heads: One a behavior.
    """

    weights: dict[str, Tensor]
    heads: list[LinearHead]


def tuned_encoder(
    states: EncoderStates,
    scheme: TuningScheme,
    probes: Artifact,
    train: LabeledPrompts,
    validation: LabeledPrompts,
    further: tuple[FloatArray, FloatArray],
    options: NetworkOptions,
    context: FitContext,
) -> Tuned:
    """Fine-tune; validation prompts say when to stop.

    Args:
        states: Which encoder, and how it reads.
        scheme: What moves.
        probes: Of the frozen encoder: a standardizer and a linear head a behavior.
        train: Prompts to fit on.
        validation: Prompts that stop training.
        further: Further numbers of training and validation prompts, [n, e] each.
        options: Steps, devices and losses.
        context: Where and how the fit reports.

    Raises:
        MetamodelError: The loss is no number any more, or peft is not installed.
    """
    encoder = states.load()
    scale = torch.from_numpy(probes.floats("standardizer", (2, None)).astype(np.float32))

    def build() -> EncoderNetwork:
        module = with_adapters(encoder.module, scheme) if scheme.learned == "lora" else encoder.module
        if scheme.learned == "full":
            module.requires_grad_(requires_grad=True)
        pool = partial(pooled, pooling=states.pooling)
        module.train()  # Lightning leaves dropout as it finds it
        return EncoderNetwork(module, pool, scale, FARTHEST, _probe_heads(probes, scale.shape[1]))

    fitting, judging = (
        Examples(WindowRows(encoder.windows.cut(prompts.texts), numbers), prompts)
        for prompts, numbers in zip((train, validation), further, strict=True)
    )
    rates = {PREFIX: scheme.encoder_rate} if scheme.learned == "full" else None
    network = trained_network(build, fitting, judging, options, context, learning_rates=rates).network
    return Tuned(weights=scheme.learned_of(network.encoder), heads=_linear_heads(network.heads))


def _probe_heads(probes: Artifact, width: int) -> PriorHeads:
    """Return the network's heads with the linear probes in them."""
    heads = PriorHeads(width, [prior.tolist() for prior in probes.priors.values()])
    ends = np.cumsum(heads.sizes)
    with torch.no_grad():
        for index, end in enumerate(ends):
            head = LinearHead.from_artifact(probes, index, n_features=width)
            rows = torch.from_numpy(end - heads.sizes[index] + head.outcomes.astype(np.int64))
            if len(rows) > 1:
                # One constant for all outcomes changes nothing; it keeps those never seen in training at their prior.
                level = heads.bias[rows].logsumexp(0) - torch.from_numpy(head.intercepts).logsumexp(0)
                heads.bias[rows] = torch.from_numpy(head.intercepts) + level
                heads.weight[rows] = torch.from_numpy(head.coefficients.T.copy())
    return heads


def _linear_heads(heads: PriorHeads) -> list[LinearHead]:
    """Return each behavior's part of the network's heads."""
    ends = np.cumsum(heads.sizes)[:-1]
    weights = np.split(heads.weight.detach().float().numpy(), ends)
    biases = np.split(heads.bias.detach().float().numpy(), ends)
    return [
        LinearHead(
            outcomes=np.arange(len(bias), dtype=np.int32),
            coefficients=np.ascontiguousarray(weight.T),
            intercepts=np.ascontiguousarray(bias),
        )
        for weight, bias in zip(weights, biases, strict=True)
    ]
