"""An LSTM language model as a Hugging Face model, so that the recurrent network is loaded and sampled like its peers.

transformers has no plain LSTM language model. `architectures.register_lstm` registers this one with the Auto classes,
so that a folder of its weights loads without trust_remote_code.

Shapes: b = rows, t = positions, d = hidden size, l = layers, v = vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class LstmConfig(PreTrainedConfig):
    """Sizes of an `LstmForCausalLM`.

    Attributes:
        vocab_size: Tokens v.
        hidden_size: Width d of the embedding and of every layer.
        num_hidden_layers: Layers l.
        initializer_range: Standard deviation of the embedding's initial values.
    """

    model_type = "metamodel_lstm"

    vocab_size: int = 259
    hidden_size: int = 256
    num_hidden_layers: int = 2
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 256
    eos_token_id: int | None = 257
    pad_token_id: int | None = 258


@dataclass
class LstmState:
    """What the LSTM carries from one call to the next.

    Attributes:
        hidden: Outputs of the last position, [l, b, d].
        cell: Cells after the last position, [l, b, d].
        n_positions: Positions read so far.
    """

    hidden: Tensor
    cell: Tensor
    n_positions: int

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of positions read, as transformers' own caches do."""
        del layer_idx
        return self.n_positions

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the given rows, in place."""
        self.hidden = self.hidden[:, indices].contiguous()
        self.cell = self.cell[:, indices].contiguous()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Reorder the rows, in place."""
        self.batch_select_indices(beam_idx)


class LstmForCausalLM(PreTrainedModel, GenerationMixin):
    """A stack of LSTM layers between an embedding and an output layer that share their weights."""

    config_class = LstmConfig
    base_model_prefix = "lstm"
    _tied_weights_keys = {"lm_head.weight": "embeddings.weight"}  # noqa: RUF012 - transformers reads it from the class
    _is_stateful = True  # generation may not roll the state back

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.lstm = nn.LSTM(config.hidden_size, config.hidden_size, config.num_hidden_layers, batch_first=True)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call] # transformers leaves it without annotations

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embedding."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding."""
        self.embeddings = cast("nn.Embedding", value)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: LstmState | None = None,
        use_cache: bool | None = None,  # noqa: FBT001 - transformers' signature
        labels: Tensor | None = None,
        logits_to_keep: int = 0,
        **_: object,
    ) -> CausalLMOutputWithPast:
        """Read tokens [b, t] after an optional state; return logits [b, t, v] and the new state.

        Args:
            input_ids: Tokens, [b, t].
            attention_mask: 1 for tokens and 0 for padding, on either side; its last t columns count.
            past_key_values: What an earlier call returned.
            use_cache: Whether to return the state; by default outside of training.
            labels: Tokens to predict, -100 to ignore; shifted inside.
            logits_to_keep: Compute the logits of so many last positions only; 0 for all.
        """
        hidden, state = self._encode(input_ids, attention_mask, past_key_values)
        hidden = self.norm(hidden)
        logits = self.lm_head(hidden[:, -logits_to_keep:] if logits_to_keep else hidden)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size)
        keep_state = (not self.training) if use_cache is None else use_cache
        # transformers types the field as its own Cache; generation only hands it back.
        cache = cast("None", state if keep_state else None)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        # The state is ours: generation must not begin with a cache of keys and values.
        return False

    def _encode(
        self, input_ids: Tensor, attention_mask: Tensor | None, past: LstmState | None
    ) -> tuple[Tensor, LstmState]:
        embedded = self.embeddings(input_ids)  # [b, t, d]
        n_positions = input_ids.shape[1] + (past.n_positions if past else 0)
        start = (past.hidden, past.cell) if past else None
        mask = attention_mask[:, -input_ids.shape[1] :].bool() if attention_mask is not None else None
        if mask is None or bool(mask.all()):
            outputs, (hidden, cell) = self.lstm(embedded, start)
        else:
            outputs, (hidden, cell) = self._run_padded(embedded, mask, start)
        return outputs, LstmState(hidden=hidden, cell=cell, n_positions=n_positions)

    def _run_padded(
        self, embedded: Tensor, mask: Tensor, start: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        # Padding may stand on either side: tokens move to the left in their order, run packed, and move back.
        order = torch.argsort(mask.int(), dim=1, descending=True, stable=True)  # [b, t]
        rows = torch.arange(len(order), device=order.device)[:, None]
        lengths = mask.sum(dim=1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            embedded[rows, order], lengths, batch_first=True, enforce_sorted=False
        )
        packed_outputs, state = self.lstm(packed, start)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(packed_outputs, batch_first=True, total_length=mask.shape[1])
        return outputs[rows, torch.argsort(order, dim=1)], state

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.LSTM):
            for name, weight in module.named_parameters():
                if "weight" in name:
                    for gate in weight.chunk(4):
                        nn.init.orthogonal_(gate) if "_hh_" in name else nn.init.xavier_uniform_(gate)
                else:
                    nn.init.zeros_(weight)
                    if "_ih_" in name:  # gates are stacked input, forget, cell, output: begin by remembering
                        nn.init.ones_(weight.chunk(4)[1])
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
