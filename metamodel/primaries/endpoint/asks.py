"""What is asked of an endpoint: the body of each request, its seed, and the most that it can cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from metamodel.primaries.capabilities import DrawRequest
from metamodel.primaries.endpoint.accounts import TokenCount
from metamodel.primaries.randomness import generation_seed
from metamodel.types import JSONObject, JSONValue, Prompt, Sampling

Api: TypeAlias = Literal["chat", "completions"]
Server: TypeAlias = Literal["openai", "vllm", "llama.cpp"]
LimitField: TypeAlias = Literal["max_tokens", "max_completion_tokens"]

# What a chat template adds to a message, with room to spare.
_TEMPLATE_TOKENS = 64
_BYTES_PER_TOKEN = 4
# Servers differ in what integers they hold; these all do.
_SEED_MASK = 0x7FFFFFFF

# What the sampling and the component's own fields say, which nothing may contradict.
RESERVED_FIELDS: Final = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "n",
        "best_of",
        "echo",
        "stream",
        "seed",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "logprobs",
    }
)


@dataclass(frozen=True, kw_only=True)
class AskFormat:
    """How a body is written.

    Attributes:
        model: Name that the endpoint knows the model by.
        api: Whether prompts are sent as chat messages or as plain text.
        server: Which parameters beyond OpenAI's are understood.
        system_prompt: Sent before each prompt.
        limit_field: What the endpoint calls the limit of new tokens.
        logprobs: Whether log-probabilities are asked for.
        send_seed: Whether seeds are sent.
        extra_body: Further fields.
    """

    model: str
    api: Api = "chat"
    server: Server = "openai"
    system_prompt: str | None = None
    limit_field: LimitField = "max_tokens"
    logprobs: bool = False
    send_seed: bool = True
    extra_body: Mapping[str, JSONValue] = field(default_factory=dict)

    def body(self, prompt: Prompt, sampling: Sampling, *, n: int, seed: int) -> JSONObject:
        """Return the body of a request for n samples of a prompt."""
        body: JSONObject = {"model": self.model, "temperature": sampling.temperature, self.limit_field: 0}
        body[self.limit_field] = sampling.max_new_tokens
        # Named even where it is the usual one: servers have defaults of their own, from the model's folder.
        body["top_p"] = sampling.top_p
        if n > 1:
            body["n"] = n
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self.send_seed:
            body["seed"] = seed
        if self.api == "completions":
            body["prompt"] = prompt.text
        else:
            system: list[JSONValue] = (
                [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]
            )
            body["messages"] = [*system, {"role": "user", "content": prompt.text}]
        if self.logprobs:
            # The older interface counts the alternatives; some servers read 0 as none at all.
            body["logprobs"] = True if self.api == "chat" else 1
        return body | self._beyond_openai(sampling) | dict(self.extra_body)

    def _beyond_openai(self, sampling: Sampling) -> JSONObject:
        """Return what undoes a server's own defaults, so that the sampling alone shapes the distribution."""
        if self.server == "vllm":
            top_k = sampling.top_k or -1
            return {"top_k": top_k, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True}
        if self.server == "llama.cpp":
            return {"top_k": sampling.top_k, "min_p": 0.0, "repeat_penalty": 1.0}
        return {"top_k": sampling.top_k} if sampling.top_k else {}

    def most_tokens(self, prompt: Prompt, sampling: Sampling, *, n: int) -> TokenCount:
        """Return what a request can cost at most: no tokenizer of ours makes more than a token of a byte."""
        return TokenCount(prompt=self._n_bytes(prompt) + _TEMPLATE_TOKENS, completion=n * sampling.max_new_tokens)

    def likely_tokens(self, prompt: Prompt, sampling: Sampling, *, n: int) -> int:
        """Return what a request may cost, as providers reckon for their limits a minute."""
        return self._n_bytes(prompt) // _BYTES_PER_TOKEN + n * sampling.max_new_tokens

    def _n_bytes(self, prompt: Prompt) -> int:
        return len(f"{self.system_prompt or ''}{prompt.text}".encode(errors="surrogatepass"))


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request's worth of a prompt's samples.

    Attributes:
        prompt: The input.
        samples: Indices of the samples.
    """

    prompt: Prompt
    samples: tuple[int, ...]

    def seed(self, sampling: Sampling) -> int:
        """Return the seed of the first sample, which is the whole request's."""
        return generation_seed(run_seed=sampling.seed, prompt_id=self.prompt.id, sample=self.samples[0]) & _SEED_MASK


def asks_of(requests: Iterable[DrawRequest], *, samples_per_request: int) -> Iterator[Ask]:
    """Cut requests into asks of so many samples.

    >>> requests = [DrawRequest(prompt=Prompt.create("a", domain="d"), samples=(0, 2, 3))]
    >>> [ask.samples for ask in asks_of(requests, samples_per_request=2)]
    [(0, 2), (3,)]
    """
    for request in requests:
        for start in range(0, len(request.samples), samples_per_request):
            yield Ask(prompt=request.prompt, samples=request.samples[start : start + samples_per_request])
