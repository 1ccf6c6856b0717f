"""A stated refusal in the shape of a completion, whole or as a stream.

Its finish reason is `content_filter`: OpenAI's word for an answer that the model was kept from. Clients tell it apart
from one that the model ended itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

FINISH_REASON: Final = "content_filter"
_MOST_CHOICES: Final = 128


def refusal(body: Mapping[str, object], message: str, *, is_chat: bool, n_prompts: int) -> dict[str, object]:
    """Return the completion.

    Args:
        body: The request.
        message: What it says.
        is_chat: Whether the chat API was called.
        n_prompts: Prompts of the request.
    """
    choices: list[dict[str, object]] = []
    for index in range(_n_choices(body, n_prompts)):
        said: dict[str, object] = (
            {"message": {"role": "assistant", "content": message, "refusal": None}} if is_chat else {"text": message}
        )
        choices.append({"index": index, **said, "logprobs": None, "finish_reason": FINISH_REASON})
    return {
        **_envelope(body, "chat.completion" if is_chat else "text_completion"),
        "choices": choices,
        "usage": _usage(),
    }


def refusal_events(body: Mapping[str, object], message: str, *, is_chat: bool, n_prompts: int) -> Iterator[bytes]:
    """Yield the completion as server-sent events; the arguments are those of `refusal`."""
    envelope = _envelope(body, "chat.completion.chunk" if is_chat else "text_completion")
    for index in range(_n_choices(body, n_prompts)):
        said: dict[str, object] = {"delta": {"role": "assistant", "content": message}} if is_chat else {"text": message}
        ended: dict[str, object] = {"delta": {}} if is_chat else {"text": ""}
        for part, reason in ((said, None), (ended, FINISH_REASON)):
            choice = {"index": index, **part, "logprobs": None, "finish_reason": reason}
            yield _event({**envelope, "choices": [choice]})
    options = body.get("stream_options")
    if isinstance(options, Mapping) and options.get("include_usage") is True:
        yield _event({**envelope, "choices": [], "usage": _usage()})
    yield b"data: [DONE]\n\n"


def _n_choices(body: Mapping[str, object], n_prompts: int) -> int:
    n = body.get("n")
    return min((n if type(n) is int and n > 0 else 1) * max(n_prompts, 1), _MOST_CHOICES)


def _envelope(body: Mapping[str, object], kind: str) -> dict[str, object]:
    prefix = "chatcmpl" if kind.startswith("chat") else "cmpl"
    return {
        "id": f"{prefix}-metamodel-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": str(body.get("model") or ""),
    }


def _usage() -> dict[str, object]:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def _event(content: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
