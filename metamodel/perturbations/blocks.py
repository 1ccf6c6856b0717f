"""Find a model's layers, heads and units whatever its architecture, and silence them through their weights.

A layer of a residual network writes to the stream through a few output projections (of attention or its like, and of
the feed-forward part). Where these are zero it hands on its input; whether it really does is checked on the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from metamodel.errors import MetamodelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# The last maps of a layer's parts, by the names that Hugging Face's models give them.
_OUTPUT_NAMES: Final = frozenset(
    {"c_proj", "o_proj", "out_proj", "dense", "down_proj", "dense_4h_to_h", "fc2", "fc_out", "wo", "w2"}
)
_HEADED_PARTS: Final = ("attn", "attention", "mixer")
_GATES: Final = 4  # of an LSTM, stacked: input, forget, cell, output
_CELL_GATE: Final = 2


@torch.no_grad()
def ablate_layers(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Make layers hand on their input.

    Raises:
        MetamodelError: The model has no such layer, or no layers that can be skipped.
    """
    if not layers:
        return
    blocks = blocks_of(model)
    for layer in layers:
        block = _entry(blocks, layer, "layers", model)
        for projection in _output_projections(block).values():
            for weight in projection.parameters(recurse=False):
                weight.zero_()
    changed = _layers_that_change_their_input(model, [blocks[layer] for layer in layers])
    if changed:
        raise MetamodelError(
            f"ablate_layers: {_name(model)} has layers that no zero weight turns into nothing (layer "
            f"{layers[changed[0]]}); use ablate_heads, noise or quantize"
        )


@torch.no_grad()
def ablate_heads(model: PreTrainedModel, layer: int, heads: Sequence[int]) -> None:
    """Let heads of a layer add nothing to its output.

    Raises:
        MetamodelError: The model has no such layer or head.
    """
    if not heads:
        return
    block = _entry(blocks_of(model), layer, "layer", model)
    projections = [
        projection
        for name, projection in _output_projections(block).items()
        if any(part in name.lower() for part in _HEADED_PARTS)
    ]
    n_heads = _n_heads(model)
    if not projections or n_heads is None:
        raise MetamodelError(f"ablate_heads: {_name(model)} has no heads; use ablate_layers, noise or quantize")
    for head in heads:
        if head >= n_heads:
            raise MetamodelError(f"heads holds {head}, must be from 0 to {n_heads - 1}: {_name(model)} has {n_heads}")
        for projection in projections:
            weight = _as_output_by_input(projection)  # [o, i], a view
            width = weight.shape[1] // n_heads
            weight[:, head * width : (head + 1) * width] = 0


@torch.no_grad()
def ablate_units(model: PreTrainedModel, layer: int, units: Sequence[int]) -> None:
    """Keep the cells of LSTM units empty: what the cell gate would write is zero, and so is their output.

    Raises:
        MetamodelError: The model has no LSTM with such a layer or unit.
    """
    if not units:
        return
    found = [module for module in model.modules() if isinstance(module, nn.LSTM)]
    if len(found) != 1 or found[0].bidirectional or found[0].proj_size:
        raise MetamodelError(f"ablate_units: {_name(model)} is no plain LSTM; use ablate_heads or ablate_layers")
    lstm = found[0]
    if layer >= lstm.num_layers:
        raise MetamodelError(f"layer is {layer}, must be from 0 to {lstm.num_layers - 1}: the LSTM has so many")
    for unit in units:
        if unit >= lstm.hidden_size:
            raise MetamodelError(f"units holds {unit}, must be from 0 to {lstm.hidden_size - 1}: the LSTM has so many")
    rows = torch.tensor(units) + _CELL_GATE * lstm.hidden_size
    for name, weight in lstm.named_parameters():
        if name.endswith(f"_l{layer}"):
            weight[rows.to(weight.device)] = 0


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """Return the stack of a model's layers.

    Raises:
        MetamodelError: It has none, as a network that is one LSTM has none.
    """
    n_layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers and _is_uniform(module):
            return module
    hint = "use ablate_units" if any(isinstance(module, nn.LSTM) for module in model.modules()) else "use noise"
    raise MetamodelError(
        f"{_name(model)} has no stack of residual layers: without one of its layers nothing would reach the output; "
        f"{hint} or quantize"
    )


def _is_uniform(modules: nn.ModuleList) -> bool:
    return len({type(module) for module in modules}) == 1 and bool(_output_projections(modules[0]))


def _output_projections(block: nn.Module) -> dict[str, nn.Module]:
    """Return the maps by which a layer writes to the residual stream, by their names within it."""
    return {
        name: module
        for name, module in block.named_modules()
        if name.rpartition(".")[2] in _OUTPUT_NAMES and isinstance(getattr(module, "weight", None), torch.Tensor)
    }


def _entry(blocks: nn.ModuleList, layer: int, field: str, model: PreTrainedModel) -> nn.Module:
    if layer >= len(blocks):
        raise MetamodelError(
            f"{field} holds {layer}, must be from 0 to {len(blocks) - 1}: {_name(model)} has {len(blocks)} layers"
        )
    return blocks[layer]


def _n_heads(model: PreTrainedModel) -> int | None:
    config = model.config.get_text_config(decoder=True)
    found = getattr(config, "num_attention_heads", None) or getattr(config, "num_heads", None)
    return found if isinstance(found, int) else None


def _as_output_by_input(projection: nn.Module) -> Tensor:
    weight = projection.weight
    if not isinstance(weight, torch.Tensor):
        raise TypeError("an output projection has a weight")
    return weight.T if type(projection).__name__ == "Conv1D" else weight


def _layers_that_change_their_input(model: PreTrainedModel, blocks: Sequence[nn.Module]) -> list[int]:
    """Return the places of those blocks whose output is not their input, seen on a few tokens."""
    changed: list[int] = []

    def watch(place: int) -> torch.utils.hooks.RemovableHandle:
        def compare(
            _module: nn.Module,
            inputs: tuple[Tensor, ...],
            options: dict[str, Tensor],
            output: Tensor | Sequence[Tensor],
        ) -> None:
            before = inputs[0] if inputs else options["hidden_states"]
            after = output if isinstance(output, torch.Tensor) else output[0]
            if not torch.equal(before, after):
                changed.append(place)

        return blocks[place].register_forward_hook(compare, with_kwargs=True)

    handles = [watch(place) for place in range(len(blocks))]
    try:
        model(input_ids=torch.tensor([[1, 2, 3]], device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    return sorted(set(changed))


def _name(model: PreTrainedModel) -> str:
    return type(model).__name__
