"""Change the weights of a loaded model, in place: noise, rounding, averaging.

Shapes: o = output channels, i = inputs of a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import torch

from metamodel.errors import MetamodelError
from metamodel.perturbations.kinds import UNROUNDED_BITS, matches
from metamodel.types import content_hash

if TYPE_CHECKING:
    from torch import Tensor, nn


@torch.no_grad()
def add_noise(model: nn.Module, *, scale: float, seed: int, tensors: str = "*") -> None:
    """Add Gaussian noise of `scale` times the root mean square of each tensor."""
    if scale == 0:
        return
    for name, weight in float_weights(model, tensors):
        generator = torch.Generator().manual_seed(int(content_hash("noise", str(seed), name)[:15], 16))
        draws = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
        size = weight.float().square().mean().sqrt()
        weight.add_((scale * size * draws.to(weight.device)).to(weight.dtype))


@torch.no_grad()
def quantize(model: nn.Module, *, bits: int, per_channel: bool, tensors: str = "*") -> None:
    """Round every matrix to 2^bits - 1 levels around zero."""
    if bits >= UNROUNDED_BITS:
        return
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            full_name = f"{prefix}.{name}".lstrip(".")
            if weight.ndim < 2 or id(weight) in seen or not matches(full_name, tensors):  # noqa: PLR2004 - a matrix
                continue
            seen.add(id(weight))  # tied weights are one tensor
            # transformers' Conv1D keeps its weight as [i, o], everything else as [o, i, ...].
            channel = 1 if type(module).__name__ == "Conv1D" else 0
            weight.copy_(rounded(weight, bits=bits, channel=channel if per_channel else None))


def rounded(weight: Tensor, *, bits: int, channel: int | None) -> Tensor:
    """Return the weights rounded to levels that are equally far apart, of the same shape.

    Args:
        weight: A tensor.
        bits: Bits of a weight, 2 to 15.
        channel: Dimension whose entries have a scale of their own; None for one scale.
    """
    others = [dimension for dimension in range(weight.ndim) if dimension != channel]
    values = weight.double()
    largest = values.abs().amax(dim=others, keepdim=True)
    step = largest / (2 ** (bits - 1) - 1)
    step = torch.where(step > 0, step, torch.ones_like(step))
    return (torch.round(values / step) * step).to(weight.dtype)


@torch.no_grad()
def average(model: nn.Module, others: Sequence[nn.Module], shares: Sequence[float]) -> None:
    """Replace the weights by the weighted mean of theirs and those of other checkpoints.

    Args:
        model: The original, which changes.
        others: Checkpoints of the same architecture.
        shares: The original's weight, then the others'.

    Raises:
        MetamodelError: A checkpoint has other tensors, or other shapes.
    """
    own = dict(model.named_parameters())
    theirs = [dict(other.named_parameters()) for other in others]
    for number, weights in enumerate(theirs):
        _refuse_other_architecture(own, weights, number)
    used = [(weights, share) for weights, share in zip(theirs, shares[1:], strict=True) if share]
    if not used and shares[0] == 1:
        return
    for name, weight in own.items():
        mean = shares[0] * weight.double()
        for weights, share in used:
            mean += share * weights[name].to(weight.device).double()
        weight.copy_(mean.to(weight.dtype))


def float_weights(model: nn.Module, tensors: str = "*") -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the floating-point weights whose names fit, those that layers share once."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and matches(name, tensors):
            yield name, weight


def weights_hash(model: nn.Module) -> str:
    """Return 32 hex digits of all weights, bit for bit, with their names."""
    digest = blake2b(digest_size=16)
    for name, weight in model.named_parameters():
        plain = weight.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(name.encode() + b"\0" + str(tuple(weight.shape)).encode() + plain.numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def relative_change(model: nn.Module, original: nn.Module) -> tuple[int, float]:
    """Return how many tensors differ, and the norm of the difference of all weights over the norm of the original's."""
    n_changed, difference, size = 0, 0.0, 0.0
    for weight, before in zip(model.parameters(), original.parameters(), strict=True):
        moved = (weight.double() - before.double()).square().sum().item()
        n_changed += int(not torch.equal(weight, before))
        difference += moved
        size += before.double().square().sum().item()
    return n_changed, (difference / size) ** 0.5 if size else 0.0


def _refuse_other_architecture(own: Mapping[str, Tensor], other: Mapping[str, Tensor], number: int) -> None:
    missing = sorted(own.keys() ^ other.keys())
    if missing:
        raise MetamodelError(
            f"perturbation.others.{number} is of another architecture: only one of the two has "
            f"{', '.join(missing[:3])}; average checkpoints of one model"
        )
    shapes = [name for name in own if own[name].shape != other[name].shape]
    if shapes:
        name = shapes[0]
        raise MetamodelError(
            f"perturbation.others.{number} is of another size: {name} is {list(other[name].shape)} and the original's "
            f"{list(own[name].shape)}; average checkpoints of one model"
        )
