"""Ways to draw the same outputs, each measured in a process of its own: python benchmarks/rivals.py WAY < task.json.

A task is {"model": folder, "prompts": texts, "n_samples": k, "temperature": t, "max_new_tokens": n, "stop": texts,
"batch_size": b}; the answer, one line of JSON, holds `cpu_s`, `wall_s`, and where they are known `n_tokens`, `texts`,
`reading_s` (of prompts) and `stepping_s` (all that runs the model after them). One thread, so that processor time is
the wall time of a quiet machine.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Task = Mapping[str, Any]
Answer = dict[str, Any]

# Bare loops are tried with so many rows; the best counts.
BARE_ROWS = (32, 64, 128, 256, 512)
# The bound of reading prompts: calls over so many tokens.
READ_TOKENS, READ_CALLS = 4096, 10


def main() -> None:
    """Measure one way on the task from standard input."""
    task: Task = json.load(sys.stdin)
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    import torch

    torch.set_num_threads(1)
    print(json.dumps(WAYS[sys.argv[1]](task)))


def measured(work: Callable[[], Answer]) -> Answer:
    """Run and add the times."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    answer = work()
    return answer | {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s}


def ours(task: Task) -> Answer:
    """Draw with TransformersModel: outputs, tokens and their log-probabilities."""
    from metamodel.primaries.lanes import BatchLanes
    from metamodel.primaries.slots import SlotLanes
    from metamodel.primaries.transformers_model import TransformersModel
    from metamodel.types import Generation, Prompt, Sampling

    model = TransformersModel(model=task["model"])
    model.provenance()  # loads it
    prompts = [Prompt.create(text, domain=str(index)) for index, text in enumerate(task["prompts"])]
    sampling = Sampling(
        n_samples=task["n_samples"],
        temperature=task["temperature"],
        max_new_tokens=task["max_new_tokens"],
        stop=tuple(task["stop"]),
    )
    encoded = model._encode(model._load(), task["prompts"])  # noqa: SLF001 - to describe the task
    n_prompt_tokens = {prompt.id: len(tokens) for prompt, tokens in zip(prompts, encoded, strict=True)}
    spent = {"admit": 0.0, "step": 0.0}

    def timed(lanes: type, name: str) -> None:
        plain = getattr(lanes, name)

        def call(*arguments: object) -> object:
            started = time.process_time()
            result = plain(*arguments)
            spent[name] += time.process_time() - started
            return result

        setattr(lanes, name, call)

    for lanes in (SlotLanes, BatchLanes):
        for name in spent:
            timed(lanes, name)

    def work() -> Answer:
        rows = [row for batch in model.generate(prompts, sampling) for row in batch if isinstance(row, Generation)]
        texts = {row.prompt_id: row.text for row in rows}
        n_new = [len(row.token_ids or ()) for row in rows]
        contexts = [n * (n_prompt_tokens[row.prompt_id] + n / 2) for row, n in zip(rows, n_new, strict=True)]
        return {
            "n_tokens": sum(n_new),
            "n_rows": len(rows),
            "n_prompt_tokens": sum(n_prompt_tokens.values()),
            "mean_context": sum(contexts) / max(sum(n_new), 1),
            "texts": [texts.get(prompt.id) for prompt in prompts],
            "reading_s": spent["admit"],
            "stepping_s": spent["step"],
        }

    return measured(work)


def pipeline(task: Task) -> Answer:
    """Draw with transformers' text-generation pipeline; it gives no log-probabilities."""
    from transformers import pipeline as build

    model, tokenizer = loaded(task)
    generator = build("text-generation", model=model, tokenizer=tokenizer, batch_size=task["batch_size"])
    options = {"do_sample": False, "max_new_tokens": task["max_new_tokens"], "return_full_text": False}
    if task["stop"]:
        options |= {"stop_strings": list(task["stop"]), "tokenizer": tokenizer}

    def work() -> Answer:
        return {"texts": [found[0]["generated_text"] for found in generator(list(task["prompts"]), **options)]}

    return measured(work)


def sorted_generate(task: Task) -> Answer:
    """Draw with `generate` on prompts sorted by length, log-probabilities from its logits."""
    import torch

    model, tokenizer = loaded(task)
    prompts: Sequence[str] = task["prompts"]
    stopping = {"stop_strings": list(task["stop"]), "tokenizer": tokenizer} if task["stop"] else {}

    def work() -> Answer:
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        texts: dict[int, str] = {}
        for start in range(0, len(order), task["batch_size"]):
            batch = order[start : start + task["batch_size"]]
            inputs = tokenizer([prompts[index] for index in batch], return_tensors="pt", padding=True)
            inputs.pop("token_type_ids", None)
            with torch.inference_mode():
                found = model.generate(
                    **inputs,
                    do_sample=False,
                    max_new_tokens=task["max_new_tokens"],
                    return_dict_in_generate=True,
                    output_logits=True,
                    **stopping,
                )
                drawn = found.sequences[:, inputs["input_ids"].shape[1] :]
                logits = torch.stack(found.logits, dim=1)
                (logits.gather(2, drawn[..., None])[..., 0] - logits.logsumexp(-1)).tolist()
            texts.update(zip(batch, tokenizer.batch_decode(drawn, skip_special_tokens=True), strict=True))
        return {"texts": [texts[index] for index in range(len(prompts))]}

    return measured(work)


def lm_eval(task: Task) -> Answer:
    """Draw with lm-evaluation-harness; it gives no log-probabilities."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = loaded(task)
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=task["batch_size"], device="cpu")
    options = {"until": list(task["stop"]), "max_gen_toks": task["max_new_tokens"], "do_sample": False}
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(text, options), idx=index)
        for index, text in enumerate(task["prompts"])
    ]

    def work() -> Answer:
        return {"texts": harness.generate_until(requests, disable_tqdm=True)}

    return measured(work)


def continuous(task: Task) -> Answer:
    """Draw with transformers' own continuous batching."""
    from transformers import GenerationConfig

    model, tokenizer = loaded(task)
    ids = tokenizer(list(task["prompts"]))["input_ids"]
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=task["max_new_tokens"],
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )

    def work() -> Answer:
        found = model.generate_batch(inputs=ids, generation_config=config)
        return {"n_tokens": sum(len(output.generated_tokens) for output in found.values())}

    return measured(work)


def bare(task: Task) -> Answer:
    """Step a full batch, prompts of one length: nothing but the model, an argmax and a cache that copies nothing."""
    import torch

    from metamodel.primaries.growing_cache import let_grow_in_place

    model, _ = loaded(task)
    n_positions, n_steps = task["n_positions"], task["n_steps"]
    rates = {}
    for n_rows in BARE_ROWS:
        with torch.inference_mode():
            found = model(input_ids=torch.randint(3, 250, (n_rows, n_positions)), use_cache=True, logits_to_keep=1)
            cache, tokens = found.past_key_values, found.logits[:, -1].argmax(-1, keepdim=True)
            let_grow_in_place(cache)

            def step(tokens: torch.Tensor, cache: object = cache) -> torch.Tensor:
                found = model(input_ids=tokens, past_key_values=cache, use_cache=True)
                return torch.as_tensor(found.logits[:, -1].argmax(-1, keepdim=True))

            started = time.process_time()
            for _ in range(n_steps):
                tokens = step(tokens)
            rates[n_rows] = n_rows * n_steps / (time.process_time() - started)
    return {"rates": rates, "reading_rate": _reading_rate(model, n_positions)}


def _reading_rate(model: Any, n_positions: int) -> float:  # noqa: ANN401 - whatever transformers loads
    """Return prompt tokens a second of bare forward passes over full batches of one length."""
    import torch

    ids = torch.randint(3, 250, (max(1, READ_TOKENS // n_positions), n_positions))
    with torch.inference_mode():
        model(input_ids=ids, use_cache=True, logits_to_keep=1)
        started = time.process_time()
        for _ in range(READ_CALLS):
            model(input_ids=ids, use_cache=True, logits_to_keep=1)
    return READ_CALLS * ids.numel() / (time.process_time() - started)


def loaded(task: Task) -> tuple[Any, Any]:
    """Return model and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    from metamodel.zoo.architectures import register_lstm

    transformers_logging.disable_progress_bar()
    register_lstm()
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(task["model"], padding_side="left")
    return model, tokenizer


WAYS: Mapping[str, Callable[[Task], Answer]] = {
    "ours": ours,
    "pipeline": pipeline,
    "sorted generate": sorted_generate,
    "lm-eval": lm_eval,
    "continuous batching": continuous,
    "bare loop": bare,
}


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
