"""What a reply says, whole or reassembled from a stream. It is untrusted: what does not fit is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metamodel.recorded.columns import known_finish_reason
from metamodel.recorded.rows import storable
from metamodel.types import FinishReason

_MOST_CHOICES = 1024


@dataclass(frozen=True, kw_only=True)
class ReplyChoice:
    """One output of a reply.

    Attributes:
        index: Its number in the reply.
        text: Of the output; None where it is no text but a call of tools.
        finish_reason: What ended it.
        n_tokens: Tokens drawn; None where the reply does not say, or not of each output.
        logprobs: Natural log-probabilities of the tokens; None where the reply does not say.
    """

    index: int
    text: str | None
    finish_reason: FinishReason | None
    n_tokens: int | None
    logprobs: tuple[float, ...] | None


@dataclass
class _Growing:
    texts: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    calls_tools: bool = False


def reply_choices(reply: bytes, *, is_stream: bool) -> list[ReplyChoice]:
    r"""Return the outputs of a reply, in the order of their indices.

    >>> pieces = b'data: {"choices": [{"index": 0, "delta": {"content": "H"}}]}'
    >>> pieces += b'\n\ndata: {"choices": [{"index": 0, "delta": {"content": "i"}, "finish_reason": "stop"}]}\n\n'
    >>> [(one.text, one.finish_reason) for one in reply_choices(pieces, is_stream=True)]
    [('Hi', 'stop')]
    """
    growing: dict[int, _Growing] = {}
    n_tokens: int | None = None
    for part in _events(reply) if is_stream else _whole(reply):
        listed = part.get("choices")
        for choice in listed if isinstance(listed, list) else ():
            index = choice.get("index", 0) if isinstance(choice, dict) else None
            if type(index) is int and (index in growing or len(growing) < _MOST_CHOICES):
                _add(growing.setdefault(index, _Growing()), choice)
        usage = part.get("usage")
        count = usage.get("completion_tokens") if isinstance(usage, dict) else None
        n_tokens = count if type(count) is int and count >= 0 else n_tokens
    return [
        ReplyChoice(
            index=index,
            text=None if one.calls_tools and not any(one.texts) else storable("".join(one.texts)),
            finish_reason=one.finish_reason,
            n_tokens=n_tokens if len(growing) == 1 else None,
            logprobs=tuple(one.logprobs) or None,
        )
        for index, one in sorted(growing.items())
    ]


def _add(growing: _Growing, choice: Mapping[str, object]) -> None:
    said = choice.get("message", choice.get("delta", choice))
    said = said if isinstance(said, dict) else {}
    text = said.get("content", said.get("text"))
    if isinstance(text, str):
        growing.texts.append(text)
    growing.calls_tools |= bool(said.get("tool_calls") or said.get("function_call"))
    growing.finish_reason = known_finish_reason(choice.get("finish_reason")) or growing.finish_reason
    growing.logprobs += _logprobs(choice.get("logprobs"))


def _logprobs(told: object) -> Iterator[float]:
    if not isinstance(told, dict):
        return
    content = told.get("content")
    values = (
        [one.get("logprob") for one in content if isinstance(one, dict)]
        if isinstance(content, list)
        else told.get("token_logprobs")
    )
    for value in values if isinstance(values, list) else ():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)


def _whole(reply: bytes) -> Iterator[Mapping[str, object]]:
    parsed = _parsed(reply)
    if parsed is not None:
        yield parsed


def _events(reply: bytes) -> Iterator[Mapping[str, object]]:
    for line in reply.splitlines():
        name, _, value = line.partition(b":")
        parsed = _parsed(value) if name == b"data" else None
        if parsed is not None:
            yield parsed


def _parsed(content: bytes) -> Mapping[str, object] | None:
    try:
        parsed = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
