"""How long a pre-screen takes beside fastText, scikit-learn, MiniLM and the primary models, and how much it tells.

    python benchmarks/prescreen.py [--data DIR] [--models DIR] [--quick]

DIR of --data holds mmlu_pro/; without it the prompts are made up. DIR of --models holds Hugging Face folders. All of it
is measured in one run, on the same prompts of 600 characters, one at a time on one thread; what counts is the ratios to
fastText.

NAME_p50_us, NAME_p99_us   one prompt at a time, in process
NAME_batch_per_s           prompts a second, many at once, on all cores for who can use them
http_*, gateway_added_ms   `metamodel serve` at 500 requests a second, due at fixed times; the gateway's first token
NAME_bits, NAME_auroc      on domains left out of the fit; NAME_bits_per_us is bits over NAME_p50_us

What cannot run here says why, and its figures are absent.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import prescreen_http
from prescreen_ways import (
    FASTTEXT_NGRAMS,
    Ask,
    Questions,
    ask_ours,
    fit_fasttext,
    fit_minilm,
    fit_ours,
    fit_sklearn,
    load_primary,
    questions,
)
from results_file import write_results

from metamodel.information import label_entropy_bits
from metamodel.metrics import auroc
from metamodel.protocols import Compresses, Compression, Metamodel
from metamodel.screen import Screen, ScreenRule
from metamodel.screen.writing import screen_folder

N_CHARACTERS = 600
LOWEST_CHANCE = 1e-4
Figures: TypeAlias = dict[str, float]


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with mmlu_pro/")
    parser.add_argument("--models", type=Path, help="folder with Hugging Face folders")
    parser.add_argument("--quick", action="store_true", help="few prompts: checks the script, measures nothing")
    options = parser.parse_args()
    of = questions(options.data, 600 if options.quick else 8_000)
    prompts = timed_prompts(of, 100 if options.quick else 2_000)
    print(f"{len(of.train):,} prompts to fit, {len(prompts):,} of {N_CHARACTERS} characters to time\n")
    found: Figures = {}
    ours = measure_ours(of, prompts, found, is_quick=options.quick)
    measure_rivals(of, prompts, found, is_quick=options.quick)
    if options.models:
        measure_primaries(options.models, prompts[: 4 if options.quick else 20], found)
    print_ratios(found)
    if "bag" in ours:
        measure_screen(ours["bag"], prompts, of, found, is_quick=options.quick)
    for name in sorted(set(found) - {name for name in found if name.endswith(("_us", "_per_s", "_bits", "_auroc"))}):
        print(f"{name:<32}{found[name]:>12.4g}")
    if not options.quick:
        print(write_results("prescreen", {"has_data": bool(options.data), **found}))


def timed_prompts(of: Questions, n: int) -> list[str]:
    """Return beginnings of real prompts, all of one length; short ones are joined."""
    rows = [*of.left_out, *of.train]
    long = [of.texts[row][:N_CHARACTERS] for row in rows if len(of.texts[row]) >= N_CHARACTERS]
    if len(long) < n:
        running = "\n".join(of.texts[row] for row in rows)
        long += [running[start : start + N_CHARACTERS] for start in range(0, len(running) - N_CHARACTERS, N_CHARACTERS)]
    return long[:n]


def measure_ours(of: Questions, prompts: Sequence[str], found: Figures, *, is_quick: bool) -> dict[str, Metamodel]:
    """Fit and measure ours; return what was fitted."""
    names = list(of.codes)
    epochs: Mapping[str, object] = {"max_epochs": 1} if is_quick else {}
    ways: Mapping[str, tuple[str, Mapping[str, object], Sequence[str]]] = {
        "bag": ("bag", epochs, names[:1]),
        "bag_fasttext_ngrams": ("bag", {**epochs, **FASTTEXT_NGRAMS}, names[:1]),
        "surface": ("surface", {}, names[:1]),
        "static": ("static", epochs, names[:1]),
        "tfidf": ("tfidf_logistic", {}, names[:1]),
        "joint_1": ("joint", {}, names[:1]),
        f"joint_{len(names)}": ("joint", {}, names),
    }
    fitted: dict[str, Metamodel] = {}
    for name, (kind, fields, tasks) in ways.items():

        def one(name: str = name, way: tuple[str, Mapping[str, object], Sequence[str]] = (kind, fields, tasks)) -> None:
            fitted[name] = fit_ours(way[0], way[1], of, way[2])
            measure(name, ask_ours(fitted[name]), prompts, of, found)

        attempt(name, one)
    return fitted


def measure_rivals(of: Questions, prompts: Sequence[str], found: Figures, *, is_quick: bool) -> None:
    """Fit and measure what others build."""
    name = next(iter(of.codes))
    attempt("fasttext", lambda: measure("fasttext", fit_fasttext(of, name), prompts, of, found))
    attempt("sklearn_tfidf", lambda: measure("sklearn_tfidf", fit_sklearn(of, name), prompts, of, found))
    n_train, n_timed = (20, 4) if is_quick else (2_000, 100)
    minilm = lambda: fit_minilm(of, name, n_train=n_train)  # noqa: E731 - fitted inside the attempt
    attempt("minilm", lambda: measure("minilm", minilm(), prompts[:n_timed], of, found, n_judged=n_timed * 4))


def measure_primaries(folder: Path, prompts: Sequence[str], found: Figures) -> None:
    """Time answers of 32 tokens by the primary models themselves."""
    for path in sorted(one for one in folder.iterdir() if (one / "config.json").is_file()):

        def one(path: Path = path) -> None:
            found.update(latency(f"primary_{path.name}", load_primary(path), prompts))

        attempt(path.name, one)


def measure(
    name: str, ask: Ask, prompts: Sequence[str], of: Questions, found: Figures, *, n_judged: int | None = None
) -> None:
    """Time one way, one prompt at a time and all at once, and judge it on the domains left out."""
    found |= latency(name, lambda text: ask([text]), prompts)
    found[f"{name}_batch_per_s"] = prompts_per_s(ask, prompts)
    codes = np.asarray(next(iter(of.codes.values())))
    rows = of.left_out[codes[of.left_out] >= 0][:n_judged]
    yes = np.clip(ask([of.texts[row] for row in rows]), LOWEST_CHANCE, 1 - LOWEST_CHANCE)
    probabilities, counts = np.stack([1 - yes, yes], axis=1), np.eye(2, dtype=np.int64)[codes[rows]]
    entropy, area = label_entropy_bits(counts), auroc(counts, probabilities)
    if entropy is not None and area is not None:
        bits = entropy + float((counts * np.log2(probabilities)).sum() / len(counts))
        found |= {f"{name}_bits": bits, f"{name}_auroc": area, f"{name}_bits_per_us": bits / found[f"{name}_p50_us"]}


def prompts_per_s(ask: Ask, prompts: Sequence[str]) -> float:
    """Return how many prompts a second are answered when all are given at once, on all cores."""
    told = os.environ["OMP_NUM_THREADS"]
    os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
    try:
        begin_s = time.perf_counter()
        ask(prompts)
        return len(prompts) / (time.perf_counter() - begin_s)
    finally:
        os.environ["OMP_NUM_THREADS"] = told


def latency(name: str, ask: Callable[[str], object], prompts: Sequence[str]) -> Figures:
    """Return the median and the 99th percentile of microseconds a prompt, after a warm-up."""
    for prompt in prompts[: max(len(prompts) // 10, 1)]:
        ask(prompt)
    times_us = []
    for prompt in prompts:
        begin_ns = time.perf_counter_ns()
        ask(prompt)
        times_us.append((time.perf_counter_ns() - begin_ns) / 1e3)
    return {f"{name}_p50_us": float(np.percentile(times_us, 50)), f"{name}_p99_us": float(np.percentile(times_us, 99))}


def measure_screen(
    metamodel: Metamodel, prompts: Sequence[str], of: Questions, found: Figures, *, is_quick: bool
) -> None:
    """Measure a bag as it is shipped: in process behind its rules, over HTTP, in front of an endpoint, in 8 bits."""
    behavior, space = next(iter(metamodel.spaces.items()))  # type: ignore[attr-defined] # every trainer of ours has them
    rules = [ScreenRule(behavior=behavior, failures=("no",), threshold=0.7)]
    screen = Screen(metamodel, spaces={behavior: space}, rules=rules)
    found |= latency("screen_bag", lambda text: screen([text]), prompts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "prescreen"
        with screen_folder(folder, metamodel, spaces={behavior: space}, rules=rules, source={}):
            pass

        def http() -> None:
            found.update(prescreen_http.served(folder, prompts, seconds=1 if is_quick else 20))
            found["http_p50_added_ms"] = found["http_p50_ms"] - found["screen_bag_p50_us"] / 1e3

        def gateway() -> None:
            n_calls = 20 if is_quick else 300
            found["gateway_added_ms"] = prescreen_http.gateway_added_ms(
                folder, prompts, n_calls=n_calls, scratch=Path(scratch)
            )

        attempt("serve", http)
        attempt("gateway", gateway)

        def int8() -> None:
            if not isinstance(metamodel, Compresses):
                raise TypeError("cannot be compressed")
            short = metamodel.compressed(Compression(int8=True))
            place = Path(scratch) / "int8"
            with screen_folder(place, short, spaces={behavior: space}, rules=rules, source={}):
                pass
            found["artifact_mb"] = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6
            measure("bag_int8", ask_ours(short), prompts, of, found)
            if "bag_bits" in found:
                found["int8_bits_lost"] = found["bag_bits"] - found["bag_int8_bits"]

        attempt("int8", int8)


def attempt(name: str, part: Callable[[], None]) -> None:
    """Run one part; what cannot run says why and leaves no figure."""
    try:
        part()
    except Exception as error:  # noqa: BLE001 - a rival that is not installed must not hide the others
        print(f"{name}: skipped, {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def print_ratios(found: Figures) -> None:
    """Print a line each way, with its ratio to fastText's median and to scikit-learn's prompts a second."""
    base, rate = found.get("fasttext_p50_us"), found.get("sklearn_tfidf_batch_per_s")
    titles = {"p50 us": 11, "x": 7, "p99/p50": 9, "batch/s": 11, "x sklearn": 10, "bits": 9, "AUROC": 8, "bits/us": 11}
    print(f"{'way':<28}" + "".join(f"{title:>{width}}" for title, width in titles.items()))
    for name in [key.removesuffix("_p50_us") for key in found if key.endswith("_p50_us")]:
        p50, batch = found[f"{name}_p50_us"], found.get(f"{name}_batch_per_s")
        cells = (
            f"{p50:>11.1f}",
            f"{p50 / base:>7.1f}" if base else f"{'':>7}",
            f"{found[f'{name}_p99_us'] / p50:>9.1f}",
            f"{batch:>11,.0f}" if batch else f"{'':>11}",
            f"{batch / rate:>10.1f}" if batch and rate else f"{'':>10}",
            f"{found[f'{name}_bits']:>+9.4f}" if f"{name}_bits" in found else f"{'':>9}",
            f"{found[f'{name}_auroc']:>8.4f}" if f"{name}_auroc" in found else f"{'':>8}",
            f"{found[f'{name}_bits_per_us']:>+11.2e}" if f"{name}_bits_per_us" in found else "",
        )
        print(f"{name:<28}{''.join(cells)}")


if __name__ == "__main__":
    main()
