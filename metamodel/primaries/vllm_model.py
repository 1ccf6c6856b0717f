"""vLLM's offline engine: a model in this process, for machines that vLLM runs on (extra `vllm`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from metamodel.errors import MetamodelError
from metamodel.primaries.capabilities import DrawRequest, requests_for_all
from metamodel.primaries.randomness import generation_seed
from metamodel.types import Failure, FinishReason, Generation, Outcome, Prompt, Sampling, generation_key

if TYPE_CHECKING:
    from metamodel.primaries.loading import Source

_FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class _Tokenizer(Protocol):
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class _Logprob(Protocol):
    logprob: float


class _CompletionOutput(Protocol):
    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[Mapping[int, _Logprob]] | None
    finish_reason: str | None
    stop_reason: int | str | None


class _RequestOutput(Protocol):
    outputs: Sequence[_CompletionOutput]


class _ModelConfig(Protocol):
    max_model_len: int


class _Engine(Protocol):
    model_config: _ModelConfig


class _LLM(Protocol):
    llm_engine: _Engine

    def get_tokenizer(self) -> _Tokenizer: ...

    def generate(
        self, prompts: Sequence[object], sampling_params: Sequence[object], *, use_tqdm: bool
    ) -> Sequence[_RequestOutput]: ...


@dataclass(frozen=True, kw_only=True)
class VLLMModel:
    """A model folder or a hub name, run by vLLM in this process.

    Each sample is drawn from a seed of its own. vLLM's arithmetic depends on what shares a batch, so the same seed
    gives the same output only as far as vLLM holds to that (its `VLLM_BATCH_INVARIANT`).

    Attributes:
        model: Folder or name on the hub.
        revision: Branch, tag or commit on the hub.
        dtype: Precision of the weights; "auto" is what the model's own config says.
        tensor_parallel_size: GPUs that share the model.
        gpu_memory_utilization: Share of each GPU's memory to use.
        max_model_len: Longest prompt and output together, in tokens; None is the model's own limit.
        trust_remote_code: Whether to run Python files that come with the model.
        add_special_tokens: Whether the tokenizer adds its special tokens (a start token, most often) to prompts.
        batch_samples: Samples handed to the engine at a time; it batches them by itself.
    """

    model: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    trust_remote_code: bool = False
    add_special_tokens: bool = True
    batch_samples: int = 1024

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        problems = []
        for name in ("tensor_parallel_size", "batch_samples", "max_model_len"):
            value = getattr(self, name)
            if value is not None and value < 1:
                problems.append(f"{name} is {value}, must be at least 1")
        if not 0 < self.gpu_memory_utilization <= 1:
            problems.append(f"gpu_memory_utilization is {self.gpu_memory_utilization}, must be above 0 and at most 1")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def identity(self) -> str:
        """Name and hash of the weights (a folder) or commit (the hub), and what else changes the outputs.

        Raises:
            MetamodelError: If the model cannot be found.
        """
        from metamodel.primaries.loading import weights_identity

        special = "" if self.add_special_tokens else "+no_special_tokens"
        return f"vllm:{weights_identity(_source(self))}+{self.dtype}{special}"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield batches of generations, every sample of every prompt; a Failure for one that does not fit the context.

        Raises:
            MetamodelError: If vLLM is not installed.
        """
        return self.draw(requests_for_all(prompts, sampling), sampling)

    def draw(self, requests: Iterable[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Yield an outcome for every requested sample, `batch_samples` at a time."""
        llm = _load(self)
        identity = self.identity
        wanted = ((request.prompt, sample) for request in requests for sample in request.samples)
        while batch := list(islice(wanted, self.batch_samples)):
            yield self._outcomes(llm, batch, sampling, identity)

    def _outcomes(
        self, llm: _LLM, batch: Sequence[tuple[Prompt, int]], sampling: Sampling, identity: str
    ) -> list[Outcome]:
        import vllm

        tokenizer, limit = llm.get_tokenizer(), llm.llm_engine.model_config.max_model_len
        outcomes: list[Outcome] = []
        rows: list[tuple[Prompt, int, int]] = []
        inputs: list[object] = []
        tokens_of: dict[str, list[int]] = {}
        for prompt, sample in batch:
            if prompt.id not in tokens_of:
                tokens_of[prompt.id] = tokenizer.encode(prompt.text, add_special_tokens=self.add_special_tokens)
            tokens = tokens_of[prompt.id]
            reason = _refusal(len(tokens), sampling.max_new_tokens, limit)
            if reason is not None:
                outcomes.append(Failure(prompt_id=prompt.id, sample=sample, reason=reason, is_final=True))
                continue
            seed = generation_seed(run_seed=sampling.seed, prompt_id=prompt.id, sample=sample)
            rows.append((prompt, sample, seed))
            inputs.append({"prompt_token_ids": tokens})
        params = [
            vllm.SamplingParams(
                n=1,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k or -1,
                max_tokens=sampling.max_new_tokens,
                stop=list(sampling.stop) or None,
                seed=seed,
                logprobs=0,  # of the drawn token alone
            )
            for _, _, seed in rows
        ]
        outputs = llm.generate(inputs, params, use_tqdm=False) if rows else []
        for (prompt, sample, seed), output in zip(rows, outputs, strict=True):
            outcomes.append(self._outcome(output, prompt, sample, seed, sampling, identity))
        return outcomes

    def _outcome(
        self, output: _RequestOutput, prompt: Prompt, sample: int, seed: int, sampling: Sampling, identity: str
    ) -> Outcome:
        (drawn,) = output.outputs
        finish_reason = _FINISH_REASONS.get(drawn.finish_reason or "")
        if finish_reason is None:
            reason = f"vLLM broke the output off (finish reason {drawn.finish_reason!r})"
            return Failure(prompt_id=prompt.id, sample=sample, reason=reason)
        token_ids = tuple(drawn.token_ids)
        logprobs = _logprobs(drawn)
        if logprobs is not None and not all(map(math.isfinite, logprobs)):
            raise MetamodelError(
                f"vLLM gives log-probabilities of {self.model} that are not finite: its weights are damaged, or dtype "
                "is too narrow"
            )
        # Beside "stop" vLLM names the stop string; an end token is a number or nothing.
        if finish_reason == "stop" and isinstance(drawn.stop_reason, str):
            finish_reason = "stop_string"
        return Generation(
            key=generation_key(primary_identity=identity, prompt_id=prompt.id, sampling=sampling, sample=sample),
            prompt_id=prompt.id,
            primary=self.model,
            sample=sample,
            seed=seed,
            text=drawn.text,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=finish_reason,
            n_tokens=max(len(token_ids) - (finish_reason == "stop"), 0),
        )


def _logprobs(drawn: _CompletionOutput) -> tuple[float, ...] | None:
    if drawn.logprobs is None:
        return None
    return tuple(float(choices[token].logprob) for token, choices in zip(drawn.token_ids, drawn.logprobs, strict=True))


def _refusal(n_tokens: int, n_new: int, limit: int) -> str | None:
    if not n_tokens:
        return "the prompt has no token"
    if n_tokens + n_new > limit:
        return f"the prompt has {n_tokens} tokens, which with {n_new} new ones exceeds the model's context of {limit}"
    return None


def _source(model: VLLMModel) -> Source:
    from metamodel.primaries.loading import Source, folder_stamp

    return Source(
        model=model.model,
        revision=model.revision,
        dtype=model.dtype,
        device="auto",
        trust_remote_code=model.trust_remote_code,
        stamp=folder_stamp(model.model),
    )


@lru_cache(maxsize=1)  # one engine takes the GPU's memory
def _load(model: VLLMModel) -> _LLM:
    try:
        import vllm
    except ImportError as error:
        raise MetamodelError("primary model vllm needs vLLM: pip install 'metamodel[vllm]'") from error
    from metamodel.primaries.loading import hub_commit

    folder = Path(model.model).expanduser()
    llm = vllm.LLM(
        model=str(folder) if folder.is_dir() else model.model,
        # What is loaded is the commit that the identity names, though the branch may have moved on.
        revision=None if folder.is_dir() else hub_commit(_source(model)),
        dtype=model.dtype,
        tensor_parallel_size=model.tensor_parallel_size,
        gpu_memory_utilization=model.gpu_memory_utilization,
        max_model_len=model.max_model_len,
        trust_remote_code=model.trust_remote_code,
        seed=0,
    )
    return cast("_LLM", llm)
