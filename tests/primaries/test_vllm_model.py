"""vLLM's offline engine, through a stand-in with the signatures that vLLM's own source has."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from metamodel.config.components import build_component
from metamodel.errors import ConfigError, MetamodelError
from metamodel.primaries import vllm_model
from metamodel.primaries.capabilities import DrawRequest, DrawsSamples
from metamodel.primaries.randomness import generation_seed
from metamodel.primaries.vllm_model import VLLMModel
from metamodel.protocols import PrimaryModel
from metamodel.types import Failure, Generation, Prompt, Sampling, generation_key
from metamodel.zoo.catalog import zoo_folder

END = 3
COMMIT = 40 * "a"
PROMPTS = [Prompt.create(text, domain="d") for text in ("ab", "abc", "b")]
SAMPLING = Sampling(n_samples=2, temperature=0.8, top_p=0.9, max_new_tokens=4, seed=7)


# Fields as in vllm/sampling_params.py, vllm/logprobs.py and vllm/outputs.py; only those that may be given or read.
@dataclass(kw_only=True)
class SamplingParams:
    """How one output is drawn."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None


@dataclass
class Logprob:
    """A token's log-probability."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    """One output."""

    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class Tokenizer:
    """A token a letter, after a start token."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return token ids."""
        return [1] * add_special_tokens + [ord(letter) for letter in text]


@dataclass
class LLM:
    """The engine: how it was built and what it was asked."""

    model: str
    tokenizer: str | None = None
    trust_remote_code: bool = False
    tensor_parallel_size: int = 1
    dtype: str = "auto"
    revision: str | None = None
    seed: int | None = None
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    asked: list[tuple[list[dict[str, list[int]]], list[SamplingParams]]] = field(default_factory=list)
    endings: dict[str, Any] = field(default_factory=lambda: {"finish_reason": "stop", "stop_reason": None})
    logprob: float = -0.25

    built = 0

    def __post_init__(self) -> None:
        """Count engines."""
        type(self).built += 1
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=self.max_model_len or 8))

    def get_tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        return Tokenizer()

    def generate(
        self,
        prompts: list[dict[str, list[int]]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        lora_request: None = None,
    ) -> list[Any]:
        """Write the seed's parity and an end token, in the order of the prompts."""
        assert isinstance(sampling_params, list)
        assert not use_tqdm
        assert lora_request is None
        self.asked.append((prompts, sampling_params))
        return [self._output(params) for _, params in zip(prompts, sampling_params, strict=True)]

    def _output(self, params: SamplingParams) -> Any:  # noqa: ANN401 - a RequestOutput
        assert params.seed is not None
        tokens = [params.seed % 2 + 10, END]
        logprobs = [{99: Logprob(-9.0), token: Logprob(self.logprob)} for token in tokens]
        output = CompletionOutput(0, f"text {params.seed}", tokens, -0.5, logprobs, **self.endings)
        return SimpleNamespace(request_id="0", outputs=[output], finished=True)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[LLM]]:
    """Install the stand-in."""
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, "vllm", module)
    vllm_model._load.cache_clear()
    LLM.built = 0
    yield LLM
    vllm_model._load.cache_clear()


def model(**options: Any) -> VLLMModel:  # noqa: ANN401 - fields
    """Return a primary model with a folder that exists."""
    return VLLMModel(model=str(zoo_folder("lstm")), **options)


def drawn(primary: VLLMModel, sampling: Sampling = SAMPLING) -> list[Generation | Failure]:
    """Return every outcome, ordered."""
    outcomes = [row for batch in primary.generate(PROMPTS, sampling) for row in batch]
    return sorted(outcomes, key=lambda row: (row.prompt_id, row.sample))


def test_it_is_a_primary_model_that_draws_samples() -> None:
    """The stages find what they look for."""
    assert isinstance(model(), PrimaryModel)
    assert isinstance(model(), DrawsSamples)


def test_each_sample_has_its_own_seed_and_all_of_the_sampling(engine: type[LLM]) -> None:
    """A sample's parameters are its own, whatever shares its batch."""
    outcomes = drawn(model())
    llm = vllm_model._load(model())
    ((inputs, params),) = llm.asked  # type: ignore[attr-defined] # the stand-in
    assert [item["prompt_token_ids"] for item in inputs[::2]] == [[1, 97, 98], [1, 97, 98, 99], [1, 98]]
    assert [item.seed for item in params] == [
        generation_seed(run_seed=7, prompt_id=prompt.id, sample=sample) for prompt in PROMPTS for sample in range(2)
    ]
    assert params[0] == SamplingParams(
        n=1, temperature=0.8, top_p=0.9, top_k=-1, max_tokens=4, seed=params[0].seed, logprobs=0
    )
    assert {(row.prompt_id, row.sample) for row in outcomes} == {(p.id, sample) for p in PROMPTS for sample in range(2)}
    assert engine.built == 1


def test_a_generation_holds_what_the_engine_says(engine: type[LLM]) -> None:
    """Tokens with the end token, the drawn token's log-probability, counts without it, and the key."""
    primary = model()
    row = drawn(primary)[0]
    assert isinstance(row, Generation)
    assert row.seed is not None
    assert row.text == f"text {row.seed}"
    assert row.token_ids == (row.seed % 2 + 10, END)
    assert row.logprobs == (-0.25, -0.25)
    assert (row.finish_reason, row.n_tokens) == ("stop", 1)
    assert row.key == generation_key(
        primary_identity=primary.identity, prompt_id=row.prompt_id, sampling=SAMPLING, sample=row.sample
    )
    assert engine.built == 1


@pytest.mark.parametrize(
    ("endings", "expected", "n_tokens"),
    [
        ({"finish_reason": "stop", "stop_reason": 128009}, "stop", 1),
        ({"finish_reason": "stop", "stop_reason": "\n"}, "stop_string", 2),
        ({"finish_reason": "length", "stop_reason": None}, "length", 2),
    ],
)
def test_finish_reasons(engine: type[LLM], endings: dict[str, object], expected: str, n_tokens: int) -> None:
    """Only an end token is left out of the count."""
    primary = model()
    vllm_model._load(primary).endings = endings  # type: ignore[attr-defined] # the stand-in
    row = drawn(primary)[0]
    assert isinstance(row, Generation)
    assert (row.finish_reason, row.n_tokens) == (expected, n_tokens)
    assert engine.built == 1


def test_an_aborted_output_is_a_failure_to_draw_again(engine: type[LLM]) -> None:
    """What the engine gave up is no output."""
    primary = model()
    vllm_model._load(primary).endings = {"finish_reason": "abort"}  # type: ignore[attr-defined] # the stand-in
    outcomes = drawn(primary)
    assert [(type(row), getattr(row, "is_final", None)) for row in outcomes] == [(Failure, False)] * 6
    assert engine.built == 1


def test_logprobs_that_are_no_numbers_stop_the_run(engine: type[LLM]) -> None:
    """Damaged weights are one error, not rows of NaN."""
    primary = model()
    vllm_model._load(primary).logprob = math.nan  # type: ignore[attr-defined] # the stand-in
    with pytest.raises(MetamodelError, match="not finite"):
        drawn(primary)
    assert engine.built == 1


def test_prompts_beyond_the_context_are_final_failures(engine: type[LLM]) -> None:
    """A prompt that does not fit does not take the batch with it."""
    outcomes = drawn(model(max_model_len=7))
    refused = [row for row in outcomes if isinstance(row, Failure)]
    assert {row.prompt_id for row in refused} == {PROMPTS[1].id}
    assert all(row.is_final for row in refused)
    assert "4 tokens, which with 4 new ones exceeds the model's context of 7" in refused[0].reason
    assert len(outcomes) == 6
    assert engine.built == 1


def test_reads_ahead_only_a_batch(engine: type[LLM]) -> None:
    """A million prompts never sit in memory."""
    taken = 0

    def requests() -> Iterator[DrawRequest]:
        nonlocal taken
        for prompt in PROMPTS:
            taken += 1
            yield DrawRequest(prompt=prompt, samples=(0, 5))

    batches = model(batch_samples=2).draw(requests(), SAMPLING)
    assert [row.sample for row in next(batches)] == [0, 5]
    assert taken == 1
    assert [len(batch) for batch in batches] == [2, 2]
    assert engine.built == 1


def test_engine_arguments(engine: type[LLM]) -> None:
    """What the config says reaches vLLM, under vLLM's names."""
    llm = vllm_model._load(
        VLLMModel(
            model="org/m",
            revision=COMMIT,
            dtype="bfloat16",
            tensor_parallel_size=4,
            gpu_memory_utilization=0.5,
            max_model_len=99,
            trust_remote_code=True,
        )
    )
    assert isinstance(llm, engine)
    assert (llm.model, llm.revision, llm.dtype, llm.tensor_parallel_size) == ("org/m", COMMIT, "bfloat16", 4)
    assert (llm.gpu_memory_utilization, llm.max_model_len, llm.trust_remote_code) == (0.5, 99, True)


def test_identity_tells_engines_and_precisions_apart() -> None:
    """The same weights in another engine or precision draw other outputs."""
    identities = {model().identity, model(dtype="float16").identity, model(add_special_tokens=False).identity}
    assert len(identities) == 3
    assert all(identity.startswith("vllm:") for identity in identities)
    assert VLLMModel(model="org/m", revision=COMMIT).identity == f"vllm:org/m@{COMMIT}+auto"


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the line to type."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    vllm_model._load.cache_clear()
    with pytest.raises(MetamodelError, match=r"pip install 'metamodel\[vllm\]'"):
        drawn(model())


def test_senseless_configs_are_refused() -> None:
    """All problems at once, each with its field."""
    spec = {"kind": "vllm", "model": "m", "tensor_parallel_size": 0, "gpu_memory_utilization": 2, "batch_samples": 0}
    with pytest.raises(
        ConfigError, match=r"tensor_parallel_size is 0.*batch_samples is 0.*gpu_memory_utilization is 2"
    ):
        build_component("primaries", spec, at="primaries.0")
