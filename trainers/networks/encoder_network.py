"""A pretrained encoder under linear heads, as one network that can be fine-tuned.

Shapes: n = prompts of a batch, b = their windows, t = tokens of the longest, h = the encoder's width, e = further
numbers a prompt, o = outcomes of all behaviors together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from trainers.networks.network import Network
from trainers.networks.prior_heads import PriorHeads


class EncoderNetwork(Network):
    """Pooled states, averaged over a prompt's windows, brought to one scale, then one linear head a behavior.

    Args:
        encoder: Any module of transformers with a `last_hidden_state`.
        pool: From states [b, t, h] and mask [b, t] to one vector a window, [b, h].
        scale: Mean and inverse deviation of each number, [2, h + e].
        farthest: Numbers are kept within so many deviations.
        heads: On h + e numbers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pool: Callable[[Tensor, Tensor], Tensor],
        scale: Tensor,
        farthest: float,
        heads: PriorHeads,
    ) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads
        self._pool, self._farthest = pool, farthest
        self.register_buffer("scale", scale)

    def encode(self, *inputs: object) -> Tensor:
        """Return standardized numbers, [n, h + e].

        Args:
            *inputs: Token ids [b, t]; their mask [b, t]; the rising number of each window's prompt, [b]; further
                numbers of each prompt, [n, e].
        """
        ids, mask, owners, further = cast("tuple[Tensor, Tensor, Tensor, Tensor]", inputs)
        vectors = self._pool(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)  # [b, h]
        sums = vectors.new_zeros((len(further), vectors.shape[1])).index_add(0, owners, vectors)
        counts = torch.bincount(owners, minlength=len(further)).unsqueeze(1)
        numbers = torch.cat([sums / counts, further.to(sums.dtype)], dim=1)  # [n, h + e]
        scale = cast("Tensor", self.scale)
        return ((numbers - scale[0]) * scale[1]).clamp(-self._farthest, self._farthest)
