"""What a loaded model's outputs come from, for a run's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metamodel.types import JSONObject, content_hash

if TYPE_CHECKING:
    from metamodel.primaries.loading import LanguageModel


def model_provenance(loaded: LanguageModel, *, example: str | None) -> JSONObject:
    """Return precision, device, threads, special tokens and chat template, ready for JSON.

    Args:
        loaded: The model.
        example: A prompt as the chat template renders it, None without one: templates may write today's date.
    """
    import torch

    tokenizer, model = loaded.tokenizer, loaded.model
    template = getattr(tokenizer, "chat_template", None)
    device = model.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(device),
        "device_name": name,
        "torch_threads": torch.get_num_threads(),
        "attention": getattr(model.config, "_attn_implementation", None),
        "context_tokens": loaded.context_tokens,
        "end_token_ids": list(loaded.end_ids),
        "special_tokens": {key: str(value) for key, value in tokenizer.special_tokens_map.items()},
        "reads": {
            "caches": loaded.abilities.caches,
            "pads": loaded.abilities.pads,
            "joins": loaded.abilities.joins,
        },
        "chat_template": template if isinstance(template, str) and example is not None else None,
        "chat_template_hash": content_hash(template) if isinstance(template, str) else None,
        "chat_example": example,
    }
