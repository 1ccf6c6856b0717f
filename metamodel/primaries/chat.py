"""Prompts as a chat model reads them: rendered by the tokenizer's own template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metamodel.errors import MetamodelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def render_chat(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, system_prompt: str) -> list[str]:
    """Return each text as a user's message, in the tokenizer's chat template, up to where the answer begins.

    The template writes its special tokens itself: encode the result without adding any.

    Args:
        tokenizer: With a chat template.
        texts: The user's messages.
        system_prompt: What stands before them; empty for none.

    Raises:
        MetamodelError: If there is no template, or it refuses the messages.
    """
    from jinja2 import TemplateError

    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    chats = [[*system, {"role": "user", "content": text}] for text in texts]
    try:
        rendered = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True) if chats else []
    except TemplateError as error:
        advice = "; leave system_prompt empty if the template knows no system role" if system_prompt else ""
        raise MetamodelError(f"the tokenizer's chat template refuses a prompt: {error}{advice}") from error
    except ValueError as error:
        raise MetamodelError(
            "the tokenizer has no chat template: set chat: false, or choose the model's chat version"
        ) from error
    return [str(text) for text in rendered]
