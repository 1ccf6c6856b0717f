"""The primary model behind an OpenAI-compatible endpoint: vLLM, llama.cpp, Ollama, or a hosted one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.primaries.endpoint.accounts import Budget, Prices, Usage
from metamodel.primaries.endpoint.asks import RESERVED_FIELDS, Api, AskFormat, LimitField, Server, asks_of
from metamodel.primaries.endpoint.drawing import Drawing, Settings
from metamodel.primaries.endpoint.keys import ApiKey
from metamodel.primaries.endpoint.pacing import Clock, SystemClock
from metamodel.primaries.endpoint.retries import RetryPolicy
from metamodel.primaries.endpoint.transport import Transport, is_local
from metamodel.types import JSONObject, JSONValue, Outcome, Prompt, Sampling, content_hash


@dataclass(frozen=True, kw_only=True)
class OpenAIEndpoint:
    """A model behind an OpenAI-compatible endpoint.

    Whatever goes wrong, each requested sample ends as one generation or one failure. Tried again are: a connection lost
    or refused, a time-out, HTTP 408, 409, 425, 429 and 5xx, an answer that is cut off, malformed, has another number of
    choices or a log-probability that is no number. A prompt that the endpoint refuses (400, 413,
    422) is a failure, and final where the prompt is to blame: the answer names the context, or other prompts were
    accepted. A refused key, want of credit, an address or model that is not there, and `max_failures_in_row` stop the
    run, which keeps what was drawn.

    Answers are read whole, so `timeout_s` bounds a request from its start to its last byte, however slowly it comes.

    Outputs are drawn by the server, with its own arithmetic: the same seed gives the same output only where the server
    holds to that. Limits and budgets count what one process draws.

    Attributes:
        model: Name that the endpoint knows the model by.
        base_url: Address of the API, mostly ending in /v1.
        api: Whether a prompt is sent as a chat message or as plain text to be continued.
        server: What the endpoint runs on. For "vllm" and "llama.cpp" the sampling is sent with the parameters that
            OpenAI's interface lacks (top_k among them), for else the server's own defaults for them would apply; vllm
            also gives token ids. "openai" sends only the common ones and takes token counts as told; Ollama is of that
            kind, and keeps the top_k of its Modelfile.
        weights: Name of the weights with their revision. It takes the place of the address in `identity`, so that a
            server that moves to another address goes on with the same run.
        system_prompt: Sent before each prompt (api: chat).
        api_key_env: Name of the environment variable that holds the key; None sends no key.
        allow_http: Whether a key may be sent unencrypted to another machine.
        logprobs: Whether to ask for the log-probabilities of the tokens.
        samples_per_request: Samples of a prompt drawn by one request, where the server knows `n`. With more than one a
            sample has no seed of its own.
        send_seed: Whether to send a seed, one a sample; switch it off where an endpoint refuses it.
        limit_field: What the endpoint calls the limit of new tokens.
        extra_body: Further fields of the request, as the endpoint documents them.
        max_in_flight: Requests at a time.
        requests_per_minute: Limit; None for none.
        tokens_per_minute: Limit on tokens read and drawn; None for none.
        timeout_s: Seconds that one request may take.
        connect_timeout_s: Seconds that making a connection may take.
        max_attempts: Requests for the same sample, the first included.
        backoff_s: Scale of the waits between them, which double and are drawn at random.
        max_wait_s: Longest wait between them, also where the endpoint asks for a longer one.
        max_failures_in_row: Samples that may fail one after another before the run stops.
        prices: Money for a million tokens.
        budget: The most money that one process spends, in the prices' currency; needs prices.
        budget_tokens: The most tokens that one process reads and draws. A sample that a budget does not pay for is
            a failure that `collect --retry-errors` draws.
    """

    model: str
    base_url: str = "http://localhost:8000/v1"
    api: Api = "chat"
    server: Server = "openai"
    weights: str | None = None
    system_prompt: str | None = None
    api_key_env: str | None = None
    allow_http: bool = False
    logprobs: bool = False
    samples_per_request: int = 1
    send_seed: bool = True
    limit_field: LimitField = "max_tokens"
    extra_body: Mapping[str, JSONValue] = field(default_factory=dict)
    max_in_flight: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    max_attempts: int = 8
    backoff_s: float = 1.0
    max_wait_s: float = 120.0
    max_failures_in_row: int = 50
    prices: Prices | None = None
    budget: float | None = None
    budget_tokens: int | None = None
    _usage: Usage = field(default_factory=Usage, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing, and settings that would show the key."""
        problems = [*_url_problems(self), *_number_problems(self)]
        if not self.model:
            problems.append("model is empty, must be the name that the endpoint knows the model by")
        taken = sorted(RESERVED_FIELDS & self.extra_body.keys())
        if taken:
            problems.append(f"extra_body holds {', '.join(taken)}, which other fields and the sampling say")
        if self.system_prompt is not None and self.api == "completions":
            problems.append("system_prompt is for api: chat, put it into the prompts themselves")
        if self.budget is not None and self.prices is None:
            problems.append("budget is set without prices: set prices, or budget_tokens instead")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def identity(self) -> str:
        """Name the weights as well as an endpoint lets us, and what else changes the outputs."""
        address = urlsplit(self.base_url)
        place = self.weights or f"{address.netloc}{address.path.rstrip('/')}/{self.model}"
        parts = [f"{self.api}:{place}"]
        if self.server != "openai":
            parts.append(self.server)
        if self.system_prompt is not None:
            parts.append(f"system:{content_hash(self.system_prompt)[:16]}")
        if self.extra_body:
            parts.append(f"body:{json.dumps(dict(self.extra_body), sort_keys=True)}")
        return "+".join(parts)

    @property
    def usage(self) -> Usage:
        """Requests, tokens and money used up since this was built."""
        return self._usage

    def usage_summary(self) -> JSONObject:
        """Return the same, ready for JSON."""
        return self._usage.to_dict()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every sample of every prompt.

        Raises:
            MetamodelError: The endpoint cannot be reached or would refuse every request.
        """
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample, as they come.

        Reads at most twice `max_in_flight` samples ahead. Closing the generator cancels what is in flight.

        Raises:
            MetamodelError: The endpoint cannot be reached or would refuse every request.
        """
        return self.draw_by(SystemClock(), requests, sampling)

    def draw_by(self, clock: Clock, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample; limits and retries wait by the given clock."""
        key = None if self.api_key_env is None else ApiKey(self.api_key_env)
        transport = Transport(
            self._url,
            key=key,
            timeout_s=self.timeout_s,
            connect_timeout_s=self.connect_timeout_s,
        )
        budget = Budget(self._usage, prices=self.prices or Prices(), money=self.budget, n_tokens=self.budget_tokens)
        drawing = Drawing(self._settings, sampling, transport=transport, budget=budget, usage=self._usage, clock=clock)
        yield from drawing.batches(asks_of(requests, samples_per_request=self.samples_per_request))

    @property
    def _url(self) -> str:
        return f"{self.base_url.rstrip('/')}/{'chat/completions' if self.api == 'chat' else 'completions'}"

    @property
    def _settings(self) -> Settings:
        return Settings(
            identity=self.identity,
            url=self._url,
            key_name=self.api_key_env,
            format=AskFormat(
                model=self.model,
                api=self.api,
                server=self.server,
                system_prompt=self.system_prompt,
                limit_field=self.limit_field,
                logprobs=self.logprobs,
                send_seed=self.send_seed,
                extra_body=self.extra_body,
            ),
            retries=RetryPolicy(max_attempts=self.max_attempts, backoff_s=self.backoff_s, max_wait_s=self.max_wait_s),
            max_in_flight=self.max_in_flight,
            max_failures_in_row=self.max_failures_in_row,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )


def _url_problems(endpoint: OpenAIEndpoint) -> Iterator[str]:
    try:
        address = urlsplit(endpoint.base_url)
        is_complete = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        yield "base_url is no address, must be like http://localhost:8000/v1 or https://api.example.org/v1"
    elif address.username or address.password or address.query or address.fragment:
        # Not quoted: this is where a key may be hidden.
        yield "base_url holds a user name, a password or a query: keys come from the environment (api_key_env)"
    elif (
        endpoint.api_key_env is not None
        and address.scheme == "http"
        and not (endpoint.allow_http or is_local(endpoint.base_url))
    ):
        yield (
            f"base_url sends the key of api_key_env unencrypted to {address.hostname}: use https, or set allow_http "
            "to true on a network that you trust"
        )
    name = endpoint.api_key_env
    # Keys have small letters: one pasted here by mistake must not get into run.json.
    if name is not None and not (name.isascii() and name.isidentifier() and name.isupper()):
        yield "api_key_env must be the name of an environment variable like OPENAI_API_KEY: the key itself stays out"


def _number_problems(endpoint: OpenAIEndpoint) -> Iterator[str]:
    for name in ("samples_per_request", "max_in_flight", "max_attempts"):
        value = getattr(endpoint, name)
        if value < 1:
            yield f"{name} is {value}, must be at least 1"
    for name in ("timeout_s", "connect_timeout_s", "requests_per_minute", "tokens_per_minute"):
        value = getattr(endpoint, name)
        if value is not None and not 0 < value < float("inf"):
            yield f"{name} is {value}, must be above 0"
    for name in ("backoff_s", "max_wait_s", "max_failures_in_row", "budget", "budget_tokens"):
        value = getattr(endpoint, name)
        if value is not None and not 0 <= value < float("inf"):
            yield f"{name} is {value}, must be 0 or more"
