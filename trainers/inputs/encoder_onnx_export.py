"""Export an encoder as a network for onnxruntime: the layers that are computed, and the pooling.

Shapes: t = tokens of a window, h = the encoder's width.
"""

from __future__ import annotations

import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import MetamodelError
from metamodel.quiet import quiet_transformers
from trainers.artifacts.carried import ENCODER_FILE
from trainers.inputs.encoder_loading import Encoder, Pooling, pooled
from trainers.inputs.encoder_onnx import INPUT_NAME, OUTPUT_NAME, OnnxStates
from trainers.inputs.encoder_onnx_checks import problem_of_network

if TYPE_CHECKING:
    from torch import nn

_OPSET = 17
_TRACED_TOKENS = 7
# Share of the largest number of a state: the two sum in another order.
_MOST_DIFFERENCE = 1e-4


def exported_states(encoder: Encoder, *, pooling: Pooling, add_spread: bool, stands_for: str) -> OnnxStates:
    """Return an encoder in the form that a metamodel carries, after comparing both on windows of several lengths.

    Args:
        encoder: With what was learned merged into its weights.
        pooling: How a window's states become one.
        add_spread: Whether the windows' deviation is read too.
        stands_for: Identity of the states.

    Raises:
        MetamodelError: The encoder does something that cannot be exported, or onnxruntime is not installed.
    """
    states = OnnxStates(
        stands_for=stands_for,
        network=_exported(encoder, pooling),
        vocabulary=encoder.windows.tokenizer.to_str().encode(),
        encoder_width=encoder.width,
        scheme=encoder.windows.scheme,
        add_spread=add_spread,
    )
    problem = problem_of_network(states.network)
    if problem:
        raise MetamodelError(f"the encoder of {stands_for} cannot be carried: as a network it {problem}")
    _require_equal(encoder, pooling, states)
    return states


def _exported(encoder: Encoder, pooling: Pooling) -> bytes:
    import torch

    ids = torch.zeros((1, _TRACED_TOKENS), dtype=torch.int64)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers(), warnings.catch_warnings():
        path = Path(folder) / ENCODER_FILE
        # The newer exporter takes twenty times as long and prints on its way; this one says that it is the older one.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _window_state()(encoder.module, pooling).eval(),
                (ids,),
                path,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_axes={INPUT_NAME: {1: "t"}},
            )
        except Exception as error:  # whatever an encoder's own code does that cannot be traced
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise MetamodelError(
                f"an encoder of type {type(encoder.module).__name__} cannot be carried: torch cannot export it "
                f"({reason}); choose another encoder, or none"
            ) from error
        return path.read_bytes()


def _require_equal(encoder: Encoder, pooling: Pooling, states: OnnxStates) -> None:
    """Refuse a network that computes something else: a tracer keeps what it saw, and may have seen one length alone."""
    import torch

    module = _window_state()(encoder.module, pooling).eval()
    n_tokens = encoder.windows.tokenizer.get_vocab_size()
    longest = states.scheme.max_tokens
    rng = np.random.default_rng(0)
    for length in sorted({1, 2, _TRACED_TOKENS, longest // 2 + 1, longest}):
        window = tuple(rng.integers(0, n_tokens, length).tolist())
        with torch.inference_mode():
            expected = module(torch.tensor([window]))[0].numpy()
        differs = abs(states.state(window) - expected).max() / max(abs(expected).max(), 1.0)
        if not differs <= _MOST_DIFFERENCE:
            raise MetamodelError(
                f"an encoder of type {type(encoder.module).__name__} cannot be carried: exported, it differs by "
                f"{differs:.1g} over {length} tokens; choose another encoder, or none"
            )


@cache
def _window_state() -> type[nn.Module]:
    """Return the class of an encoder with its pooling, made when torch is there."""
    import torch
    from torch import Tensor, nn

    class WindowState(nn.Module):
        """From token ids, [1, t], to the pooled state, [1, h]."""

        def __init__(self, encoder: nn.Module, pooling: Pooling) -> None:
            super().__init__()
            self.encoder, self.pooling = encoder, pooling

        def forward(self, ids: Tensor) -> Tensor:
            mask = torch.ones_like(ids)
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            return pooled(states, mask, self.pooling)

    return WindowState
