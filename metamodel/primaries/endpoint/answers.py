"""What an endpoint's answer says. It is untrusted: whatever is not as it must be is a fault, never a guess."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

from metamodel.primaries.endpoint.accounts import TokenCount
from metamodel.primaries.endpoint.faults import RetryableError
from metamodel.types import FinishReason, JSONObject, JSONValue

# Names from OpenAI and, after it, from servers of their own mind.
_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop_string",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_ABORTED: Final = frozenset({"abort", "error"})
# What OpenAI and vLLM write where a log-probability is too low to tell.
_UNTOLD_LOGPROB: Final = -9999.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One output.

    Attributes:
        text: Of the output.
        finish_reason: What ended it; "stop" also for a stop string where the endpoint does not tell the two apart.
        token_ids: Tokens drawn, the end token included; None where not offered.
        logprobs: Natural log-probabilities; None where not offered or one of them is too low to be told.
        n_tokens: Tokens drawn, the end token not counted.
        metadata: What else is said of this output.
    """

    text: str
    finish_reason: FinishReason | None
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None
    n_tokens: int | None
    metadata: JSONObject


def parse_body(body: str) -> JSONObject:
    """Return an answer's JSON object.

    Raises:
        RetryableError: It is none.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RetryableError(f"the answer is no JSON ({len(body)} characters): cut off or malformed") from None
    if not isinstance(content, dict):
        raise RetryableError("the answer is no JSON object")
    return content


def read_usage(answer: JSONObject) -> TokenCount | None:
    """Return the tokens that an answer says were used; None where it does not."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return None if prompt is None or completion is None else TokenCount(prompt, completion)


def read_choices(answer: JSONObject, *, n: int, wants_logprobs: bool, counts_end_token: bool) -> list[Choice]:
    """Return the n outputs of an answer, in the order of their indices.

    Args:
        answer: The JSON object.
        n: How many were asked for.
        wants_logprobs: Whether log-probabilities were asked for: one that is no number is then a fault.
        counts_end_token: Whether token counts, ids and log-probabilities of this server hold the end token too.

    Raises:
        RetryableError: Another number of choices, a choice without a text, a log-probability that is no number.
    """
    entries = answer.get("choices")
    if not isinstance(entries, list) or len(entries) != n:
        got = len(entries) if isinstance(entries, list) else "no"
        hint = ": the server may not know `n`, set samples_per_request to 1" if n > 1 else ""
        raise RetryableError(f"the answer has {got} choices, asked for were {n}{hint}")
    choices: list[JSONObject] = [entry for entry in entries if isinstance(entry, dict)]
    if len(choices) != n:
        raise RetryableError("a choice of the answer is no JSON object")
    if n > 1:
        choices.sort(key=lambda choice: _count(choice.get("index")) or 0)
        if [choice.get("index") for choice in choices] != list(range(n)):
            raise RetryableError("the choices of the answer are not numbered")
    usage = read_usage(answer) if n == 1 else None
    return [
        _read_choice(
            choice,
            n_used=None if usage is None else usage.completion,
            wants_logprobs=wants_logprobs,
            counts_end_token=counts_end_token,
        )
        for choice in choices
    ]


def read_metadata(answer: JSONObject) -> JSONObject:
    """Return what an answer says of all its outputs: served model, fingerprint, usage."""
    told: JSONObject = {}
    for name in ("model", "system_fingerprint"):
        value = answer.get(name)
        if isinstance(value, str) and value:
            told[name] = value
    usage = answer.get("usage")
    if isinstance(usage, dict):
        counts: JSONObject = {name: value for name, value in usage.items() if _count(value) is not None}
        for details in ("prompt_tokens_details", "completion_tokens_details"):
            parts = usage.get(details)
            if isinstance(parts, dict):
                counts |= {name: value for name, value in parts.items() if _count(value) is not None}
        told["usage"] = counts
        if "prompt_tokens" in counts:
            told["prompt_tokens"] = counts["prompt_tokens"]
    return told


def _read_choice(choice: JSONObject, *, n_used: int | None, wants_logprobs: bool, counts_end_token: bool) -> Choice:
    told = choice.get("finish_reason")
    if isinstance(told, str) and told in _ABORTED:
        raise RetryableError(f"the endpoint broke the output off (finish reason {told!r})")
    text, metadata = _read_text(choice)
    logprobs, n_untold = _read_logprobs(choice.get("logprobs")) if wants_logprobs else (None, 0)
    if n_untold:
        metadata["n_untold_logprobs"] = n_untold
    token_ids = _read_token_ids(choice.get("token_ids"))
    if token_ids is not None and logprobs is not None and len(logprobs) != len(token_ids):
        raise RetryableError(f"the answer has {len(token_ids)} tokens and {len(logprobs)} log-probabilities")
    finish_reason = _finish_reason(choice)
    known = [len(values) for values in (token_ids, logprobs) if values is not None]
    n_drawn = known[0] if known else n_used
    has_end = counts_end_token and finish_reason == "stop"
    return Choice(
        text=text,
        finish_reason=finish_reason,
        token_ids=token_ids,
        logprobs=None if n_untold else logprobs,
        n_tokens=n_drawn if n_drawn is None else max(n_drawn - has_end, 0),
        metadata=metadata,
    )


def _finish_reason(choice: JSONObject) -> FinishReason | None:
    told = choice.get("finish_reason")
    # vLLM says beside "stop" which of the stop strings it was.
    if told == "stop" and isinstance(choice.get("stop_reason"), str):
        return "stop_string"
    return _FINISH_REASONS.get(told) if isinstance(told, str) else None


def _read_text(choice: JSONObject) -> tuple[str, JSONObject]:
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        if not isinstance(text, str):
            raise RetryableError("a choice of the answer has neither a text nor a message")
        return text, {}
    metadata: JSONObject = {}
    for name, sources in (("reasoning", ("reasoning_content", "reasoning")), ("refusal", ("refusal",))):
        told = next((message[source] for source in sources if isinstance(message.get(source), str)), None)
        if told:
            metadata[name] = told
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    if content is not None and not isinstance(content, str):
        raise RetryableError("a message of the answer has a content that is no text")
    return content or "", metadata


def _read_logprobs(told: JSONValue) -> tuple[tuple[float, ...] | None, int]:
    """Return log-probabilities and how many of them are too low to tell; reads both interfaces' forms."""
    if not isinstance(told, dict):
        return None, 0
    content, plain = told.get("content"), told.get("token_logprobs")
    if isinstance(content, list):
        values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    elif isinstance(plain, list):
        values = plain
    else:
        return None, 0
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise RetryableError("a log-probability of the answer is no number")
        numbers.append(float(value))
    return tuple(numbers), sum(number <= _UNTOLD_LOGPROB for number in numbers)


def _read_token_ids(told: JSONValue) -> tuple[int, ...] | None:
    if not isinstance(told, list):
        return None
    ids = [count for count in map(_count, told) if count is not None]
    if len(ids) != len(told):
        raise RetryableError("a token id of the answer is no number")
    return tuple(ids)


def _count(value: JSONValue) -> int | None:
    # Up to what a column of 32 bits holds.
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return value if is_count and isinstance(value, int) else None
