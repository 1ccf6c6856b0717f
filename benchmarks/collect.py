"""How fast outputs are drawn and recorded ones imported, beside what else one would use.

    python benchmarks/collect.py [--models DIR] [--data DIR] [--quick]

DIR of --models holds Hugging Face folders (stories260K-llama, vanilla1M-gpt2-byte), DIR of --data holds corpora/, one
sub-folder of .txt files a corpus; without them only the zoo's model and domains are measured. Every way draws the same
prompts from the same model, greedily, one process after another, on one thread; tokens a second are of processor time,
which on a quiet machine is wall time. Two workloads:

mixed     until the first full stop or line break, the model's own end, or 128 tokens: outputs of 1 to 128 tokens. The
          figures at the end are of this one.
at limit  until the model's own end or 128 tokens: nearly every output has 128, so that rows begin and end together.
          That suits the rivals best, which wait for the longest output of each batch.

The bound is a bare loop: decode steps of the fullest batch, rows of one length (the mean context of all tokens that we
drew), no Python between them. It reads no prompt; `share_of_bound_with_reading` adds to its time bare forward passes
over as many prompt tokens as were read.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from results_file import read_figures, write_results

from metamodel.primaries.stop_texts import before_stop
from metamodel.prompts import GENERATED_DOMAINS
from metamodel.prompts.base import take_unique
from metamodel.registry import component_class
from metamodel.zoo.catalog import zoo_folder

SCRIPT = Path(__file__).parent / "rivals.py"
REAL_MODELS = ("stories260K-llama", "vanilla1M-gpt2-byte")
ZOO_MODELS = ("gpt2",)
MAX_NEW_TOKENS = 128
WORKLOADS: Mapping[str, tuple[str, ...]] = {"mixed": (".", "\n"), "at limit": ()}
FEWEST_WORDS, MOST_WORDS = 3, 60
# So that prompt and output fit: one token a byte in contexts of 512, of 256 in the smallest model.
MOST_BYTES, MOST_BYTES_IN_SMALLEST = 360, 120
SMALLEST = "vanilla1M-gpt2-byte"
BATCH_SIZES = (32, 128)
N_SAMPLES = 8
SEED = 7
# Prompts of each part: at the limit the outputs are long, and rivals are slow.
SIZES = {
    "mixed": {"ours": 2000, "rivals": 512, "k8": 48},
    "at limit": {"ours": 512, "rivals": 128, "k8": 16},
}
QUICK_SIZES = {workload: {"ours": 48, "rivals": 16, "k8": 4} for workload in WORKLOADS}
WORST = {
    "speedup_over_pipeline": min,
    "speedup_over_lm_eval": min,
    "k8_cost_ratio": max,
    "share_of_bound": min,
    "share_of_bound_with_reading": min,
}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder with Hugging Face folders")
    parser.add_argument("--data", type=Path, help="folder with corpora/")
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures little")
    parser.add_argument("--import-only", action="store_true", help="measure the import again, keep all other figures")
    options = parser.parse_args()
    if options.import_only:
        print(write_results("collect", read_figures("collect") | import_figures(quick=options.quick)))
        return
    sizes_of = QUICK_SIZES if options.quick else SIZES
    models = {} if options.models is None else {name: options.models / name for name in REAL_MODELS}
    models |= {f"zoo/{name}": zoo_folder(name) for name in ZOO_MODELS}
    by_model: dict[str, dict[str, Any]] = {workload: {} for workload in WORKLOADS}
    for name, folder in models.items():
        most_bytes = MOST_BYTES_IN_SMALLEST if name == SMALLEST else MOST_BYTES
        prompts = mixed_prompts(sizes_of["mixed"]["ours"], options.data, most_bytes=most_bytes)
        for workload, stop in WORKLOADS.items():
            sizes = sizes_of[workload]
            found = measured_model(str(folder), prompts, stop, sizes)
            by_model[workload][name] = found
            print(f"\n{name}, {workload}: {sizes['ours']} prompts; beside the rivals {sizes['rivals']} of them")
            print(table(found))
    figures: dict[str, Any] = {"n_prompts": sizes_of, "models": by_model}
    print()
    for workload, found in by_model.items():
        for figure, worst in WORST.items():
            name = figure if workload == "mixed" else f"{figure}_at_limit"
            figures[name] = worst(one[figure] for one in found.values())
            print(f"{name}, the worst of {len(found)} models: {figures[name]:.2f}")
    figures |= import_figures(quick=options.quick)
    if not options.quick:
        print(write_results("collect", figures))


def mixed_prompts(n_prompts: int, data: Path | None, *, most_bytes: int) -> list[str]:
    """Return prompts of mixed length: windows of texts and the zoo's domains, half each."""
    rng = random.Random(SEED)  # noqa: S311 - a benchmark's prompts are no secret
    per_domain = 1 + n_prompts // len(GENERATED_DOMAINS)
    generated = [
        prompt.text
        for domain in GENERATED_DOMAINS
        for prompt in take_unique(component_class("prompts", domain)(), per_domain, SEED)
    ]
    windows = []
    if data is not None:
        words = " ".join(path.read_text("utf-8", "replace") for path in sorted(data.glob("corpora/*/*.txt"))).split()
        for _ in range(2 * n_prompts):
            start = rng.randrange(len(words) - MOST_WORDS)
            windows.append(" ".join(words[start : start + rng.randint(FEWEST_WORDS, MOST_WORDS)]))
    fitting = [[text for text in texts if len(text.encode()) <= most_bytes] for texts in (windows, generated)]
    for texts in fitting:
        rng.shuffle(texts)
    chosen = fitting[0][: n_prompts // 2]
    chosen += fitting[1][: n_prompts - len(chosen)]
    rng.shuffle(chosen)
    return chosen


def measured_model(
    folder: str, prompts: Sequence[str], stop: Sequence[str], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Return tokens a second of every way, and the ratios."""
    greedy = {"model": folder, "n_samples": 1, "temperature": 0.0, "max_new_tokens": MAX_NEW_TOKENS, "stop": stop}
    prompts = prompts[: sizes["ours"]]
    some = prompts[: sizes["rivals"]]
    ours = answer("ours", greedy | {"prompts": prompts})
    beside = answer("ours", greedy | {"prompts": some})
    rates = {"ours, all prompts": rate(ours, ours), "ours": rate(beside, beside)}
    agreement = {}
    for way in ("pipeline", "sorted generate", "lm-eval"):
        tries = [(size, answer(way, greedy | {"prompts": some, "batch_size": size})) for size in BATCH_SIZES]
        size, best = min(tries, key=lambda found: found[1]["cpu_s"])
        rates[f"{way}, batches of {size}"] = rate(best, beside)
        # Decoded without its prompt, an output loses its first space in some tokenizers.
        same = [
            before_stop(one.lstrip(" "), stop) == other.lstrip(" ")
            for one, other in zip(best["texts"], beside["texts"], strict=True)
        ]
        agreement[way] = round(sum(same) / len(same), 3)
    own_batching = {} if stop else answer("continuous batching", greedy | {"prompts": some[:8]}, may_fail=True)
    if own_batching:
        rates["transformers' continuous batching, 8 prompts"] = rate(own_batching, own_batching)
    n_steps = max(1, round(ours["n_tokens"] / ours["n_rows"]))
    n_positions = max(1, round(ours["n_prompt_tokens"] / len(prompts)))
    # The loop attends to as many positions as a token does on average: long outputs have more tokens.
    n_before = max(1, round(ours["mean_context"] - n_steps / 2))
    bare = answer("bare loop", greedy | {"n_positions": n_before, "n_steps": n_steps})
    bound = max(bare["rates"].values())
    bare_reading_s = ours["n_prompt_tokens"] / bare["reading_rate"]
    rates["bound: bare loop at its best batch"] = bound
    sampled = greedy | {"temperature": 1.0, "prompts": prompts[: sizes["k8"]]}
    one, eight = answer("ours", sampled), answer("ours", sampled | {"n_samples": N_SAMPLES})
    return {
        "tokens_per_s": {way: round(found) for way, found in rates.items()},
        "same_texts_as_ours": agreement,
        "mean_new_tokens": n_steps,
        "mean_prompt_tokens": n_positions,
        "mean_context": round(ours["mean_context"]),
        "bare_loop": bare["rates"],
        "speedup_over_pipeline": best_rival(rates, "pipeline"),
        "speedup_over_lm_eval": best_rival(rates, "lm-eval"),
        "stepping_share_of_bound": ours["n_tokens"] / max(ours["stepping_s"], 1e-9) / bound,
        "k8_cost_ratio": eight["cpu_s"] / (N_SAMPLES * one["cpu_s"]),
        "share_of_bound": rates["ours, all prompts"] / bound,
        "share_of_bound_with_reading": (bare_reading_s + ours["n_tokens"] / bound) / ours["cpu_s"],
        "profile_s": {
            "reading prompts": ours["reading_s"],
            "stepping": ours["stepping_s"],
            "everything else": ours["cpu_s"] - ours["reading_s"] - ours["stepping_s"],
        },
    }


def answer(way: str, task: Mapping[str, Any], *, may_fail: bool = False) -> dict[str, Any]:
    """Measure one way in a process of its own; nothing if it may fail and does."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    finished = subprocess.run(  # noqa: S603 - this interpreter and a script beside this one
        [sys.executable, str(SCRIPT), way],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if finished.returncode == 0:
        found: dict[str, Any] = json.loads(finished.stdout.strip().splitlines()[-1])
        return found
    reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
    if not may_fail:
        raise SystemExit(f"{way} failed: {reason}")
    print(f"{way}: not on this machine ({reason[:120]})")
    return {}


def rate(timed: Mapping[str, Any], counted: Mapping[str, Any]) -> float:
    """Return tokens a second of processor time; greedy outputs are the same, so one count serves every way."""
    return float(counted["n_tokens"]) / float(timed["cpu_s"])


def best_rival(rates: Mapping[str, float], way: str) -> float:
    """Return ours over a rival's best batch size, on the same prompts."""
    return rates["ours"] / next(found for name, found in rates.items() if name.startswith(way))


def table(found: Mapping[str, Any]) -> str:
    """Return one model's figures as Markdown."""
    lines = ["| way | tokens a second |", "| --- | ---: |"]
    lines += [f"| {way} | {tokens:,} |" for way, tokens in found["tokens_per_s"].items()]
    lines += [
        "",
        f"mean prompt {found['mean_prompt_tokens']} tokens, mean output {found['mean_new_tokens']}",
        f"mean context of a drawn token {found['mean_context']}",
        f"over pipeline {found['speedup_over_pipeline']:.2f}x, over lm-eval {found['speedup_over_lm_eval']:.2f}x",
        f"k = 8 costs {found['k8_cost_ratio']:.2f} of eight times k = 1",
        f"{found['share_of_bound']:.0%} of the bound, {found['share_of_bound_with_reading']:.0%} where it reads too",
        f"while stepping {found['stepping_share_of_bound']:.0%} of the bound",
        "where our time goes: " + ", ".join(f"{part} {part_s:.1f} s" for part, part_s in found["profile_s"].items()),
        f"texts equal to ours, but for a leading space: {found['same_texts_as_ours']}",
    ]
    return "\n".join(lines)


def import_figures(*, quick: bool) -> dict[str, float]:
    """Return what benchmarks/import_records.py measures; nothing without it."""
    if find_spec("import_records") is None:
        print("import figures skipped: benchmarks/import_records.py is absent")
        return {}
    measured: dict[str, float] = importlib.import_module("import_records").measure_import(
        10_000 if quick else 1_000_000
    )
    for figure, value in measured.items():
        print(f"{figure}: {value:,.2f}")
    return measured


if __name__ == "__main__":
    main()
