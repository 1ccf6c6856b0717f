"""Put the tables of benchmarks/results/ into README.md and docs/, between their markers; --check: are they current?"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from results_file import RESULTS, read_figures
from science_tables import ceiling_table, discover_table, ladder_table, report_line, transfer_table

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "science.md")
BASELINES = ("base_rate", "domain_tag", "prompt_length")
SPLITS = {"held_out_domain": "held out", "in_distribution": "in distribution"}
Row = Mapping[str, Any]


def pipeline_table(name: str) -> str:
    """Return the summary of a run: the best trained metamodel beside the best baseline, per behavior and split."""
    figures: Mapping[str, Any] = read_figures(name)
    rows: Sequence[Row] = figures["mean_rows"]
    titles = (
        *("primary", "behavior", "split", "best trained", "bits gained [95 %]", "of ceiling", "AUROC", "ECE"),
        *("worst domain, bits", "best baseline", "bits gained [95 %]", "difference, paired [95 %]"),
    )
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    pairs = dict.fromkeys((row["primary"], row["behavior"]) for row in rows)
    beats: list[str] = []
    ties: list[str] = []
    for key in ((*pair, split) for pair in pairs for split in SPLITS):
        cell = [row for row in rows if (row["primary"], row["behavior"], row["split"]) == key]
        trained = _best([row for row in cell if row["metamodel"] not in BASELINES])
        baseline = _best([row for row in cell if row["metamodel"] in BASELINES])
        if trained is not None and baseline is not None:
            paired = _paired(key, trained, baseline, figures)
            lines.append(_line(key, trained, baseline, paired, figures))
            if key[2] == "held_out_domain":
                wins = paired is not None and paired["low_bits"] > 0
                (beats if wins else ties).append(f"{key[1]} of {key[0]}")
    verdict = (
        "On held-out domains the best trained metamodel beats the best baseline (its paired interval lies above zero) "
        f"on {', '.join(beats) or 'nothing'}. **It does not on {', '.join(ties) or 'nothing'}.** The best of each is "
        "picked on these same figures, which flatters both."
    )
    measured = f"Measured by `benchmarks/{name}.py`: {figures['wall_s']:.0f} s, peak memory {figures['peak_gib']} GiB."
    lines += ["", verdict, "", measured]
    return "\n".join(lines)


def _paired(key: tuple[str, str, str], trained: Row, baseline: Row, figures: Mapping[str, Any]) -> Row | None:
    for one in figures["comparisons"]:
        place = (one["primary"], one["behavior"], one["split"])
        if place == key and (one["metamodel"], one["rival"]) == (trained["metamodel"], baseline["metamodel"]):
            found: Row = one
            return found
    return None


def _line(
    key: tuple[str, str, str], trained: Row, baseline: Row, paired: Row | None, figures: Mapping[str, Any]
) -> str:
    primary, behavior, split = key
    worst = [
        row
        for row in figures["worst_rows"]
        if (row["primary"], row["behavior"], row["metamodel"]) == (primary, behavior, trained["metamodel"])
    ]
    shown_worst = f"{worst[0]['reduction_bits']:+.3f} ({worst[0]['domain']})" if worst and "held" in split else ""
    difference = "" if paired is None else _interval(paired["difference_bits"], paired["low_bits"], paired["high_bits"])
    explained = "" if trained["explained"] is None else f"{trained['explained']:.0%}"
    auroc = "" if trained["auroc"] is None else f"{trained['auroc']:.3f}"
    ece = "" if trained["ece"] is None else f"{trained['ece']:.3f}"
    cells = (
        *(primary, behavior, SPLITS[split], trained["metamodel"], _bits(trained), explained, auroc, ece, shown_worst),
        *(baseline["metamodel"], _bits(baseline), difference),
    )
    return f"| {' | '.join(cells)} |"


def _best(rows: Sequence[Row]) -> Row | None:
    known = [row for row in rows if row["reduction_bits"] is not None]
    return max(known, key=lambda row: float(row["reduction_bits"]), default=None)


def _bits(row: Row) -> str:
    return _interval(row["reduction_bits"], row["reduction_low_bits"], row["reduction_high_bits"])


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def zoo_table(name: str) -> str:
    """Return the table of base rates that benchmarks/zoo.py made."""
    return str(read_figures(name)["markdown"])


def collect_table(name: str) -> str:
    """Return tokens a second of every model, ours beside the best of each rival, and the import of a log."""
    figures: Mapping[str, Any] = read_figures(name)
    ways = ("ours", "pipeline", "sorted generate", "lm-eval", "bound")
    titles = ("model", "workload", *ways, "k = 8 over 8 times k = 1")
    lines = [f"| {' | '.join(titles)} |", "| --- " * 2 + "| ---: " * (len(ways) + 1) + "|"]
    for workload, models in figures["models"].items():
        for model, found in models.items():
            rates = found["tokens_per_s"]
            best = [max((rate for way, rate in rates.items() if way.startswith(start)), default=0) for start in ways]
            cells = (model, workload, *(f"{rate:,}" for rate in best), f"{found['k8_cost_ratio']:.2f}")
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Tokens a second of processor time, one thread. " + _imported(figures) + _measured(name)]
    return "\n".join(lines)


def _imported(figures: Mapping[str, Any]) -> str:
    if "import_rows_per_s" not in figures:
        return ""
    return (
        f"A million recorded rows are imported at {figures['import_rows_per_s']:,.0f} rows a second within "
        f"{figures['import_peak_gib']:.2f} GiB; a rerun of that run takes {figures['rerun_s']:.1f} s. "
    )


def featurize_table(name: str) -> str:
    """Return the rows a second of all text-only behaviors together, and of the slowest."""
    figures: Mapping[str, Any] = read_figures(name)
    slowest = sorted(figures["rows_per_s"].items(), key=lambda item: item[1])[:6]
    lines = ["| behavior | rows a second |", "| --- | ---: |"]
    lines.append(
        f"| **all {figures['n_featurizers']} that read text only, together** | {figures['all_rows_per_s']:,} |"
    )
    lines += [f"| `{kind}` | {rate:,.0f} |" for kind, rate in slowest]
    speedups = ", ".join(f"{what} {figures[f'{what}_speedup']}" for what in ("loop", "ngram", "novelty"))
    told = (
        f"{figures['n_rows']:,} real outputs in {figures['all_s']:.0f} s in one process, "
        f"{figures['peak_gib']:.2f} GiB, {figures['data_gib']:.2f} GiB of it the outputs; the six slowest are "
        f"listed. Times faster than plain Python: {speedups}. {_measured(name)}"
    )
    lines += ["", told]
    return "\n".join(lines)


def train_table(name: str) -> str:
    """Return time, memory and quality on left-out domains of every way to train."""
    figures: Mapping[str, Any] = read_figures(name)
    titles = ("way", "wall s", "processor s", "GiB", "bits, left-out domains", "AUROC, left-out domains")
    lines = [f"| {' | '.join(titles)} |", "| --- " + "| ---: " * (len(titles) - 1) + "|"]
    for way, row in figures["rows"].items():
        cells = (f"{row['wall_s']:.0f}", f"{row['cpu_s']:.0f}", f"{row['peak_gib']:.2f}")
        lines.append(f"| {way} | {' | '.join(cells)} | {row['bits']:+.4f} | {row['auroc']:.3f} |")
    texts = "cut from real texts" if figures["has_data"] else "made up"
    told = (
        f"`prompts`: {figures['n_prompts']:,} prompts {texts}, 20 behaviors; `across`: one behavior of many primary "
        f"models. Each way in a process of its own, on two threads; bits and AUROC are means over behaviors. "
    )
    lines += ["", told + _measured(name)]
    return "\n".join(lines)


def quality_table(name: str) -> str:
    """Return what every way of predicting reaches on each set of real outputs, for the behavior `correct`."""
    sets: Mapping[str, Any] = read_figures(name)
    titles = ("set", "way", "AUROC, left out", "bits, left out", "worst", "AUROC, random", "bits, random")
    lines = [f"| {' | '.join(titles)} |", "| --- | --- " + "| ---: " * (len(titles) - 2) + "|"]
    for set_name, figures in sets.items():
        for way, row in figures["ways"].items():
            own = row.get("correct", {})
            shown = f"**{way}**" if way == figures["headline"] else way
            is_judged = own.get("out_worst_bits") is not None
            worst = f"{own['out_worst_bits']:+.3f} ({own['out_worst']})" if is_judged else ""
            cells = (_figure(own, "out_auroc", ".3f"), _figure(own, "out_bits", "+.3f"), worst)
            cells += (_figure(own, "random_auroc", ".3f"), _figure(own, "random_bits", "+.3f"))
            lines.append(f"| {set_name} | {shown} | {' | '.join(cells)} |")
    told = (
        "Whether real models answer correctly, from the prompt alone: means over primary models, each left-out domain "
        "judged by itself, 95 % bootstrap intervals over prompts. `other_models` is an oracle: it sees what the other "
        "primary models did with the same prompt. "
    )
    lines += ["", told + _measured(name)]
    return "\n".join(lines)


def prescreen_table(name: str) -> str:
    """Return how long a decision takes with every way, how much it tells, and what serving adds."""
    found: Mapping[str, float] = read_figures(name)
    base, rate = found.get("fasttext_p50_us"), found.get("sklearn_tfidf_batch_per_s")
    titles = ("way", "p50 us", "of fastText's", "p99 / p50", "prompts a second", "of scikit-learn's", "bits", "AUROC")
    lines = [f"| {' | '.join(titles)} |", "| --- " + "| ---: " * (len(titles) - 1) + "|"]
    for way in [key.removesuffix("_p50_us") for key in found if key.endswith("_p50_us")]:
        p50, batch = found[f"{way}_p50_us"], found.get(f"{way}_batch_per_s")
        cells = (
            f"{p50:,.0f}",
            f"{p50 / base:.1f}" if base else "",
            f"{found[f'{way}_p99_us'] / p50:.1f}",
            f"{batch:,.0f}" if batch else "",
            f"{batch / rate:.1f}" if batch and rate else "",
            f"{found[f'{way}_bits']:+.4f}" if f"{way}_bits" in found else "",
            f"{found[f'{way}_auroc']:.3f}" if f"{way}_auroc" in found else "",
        )
        lines.append(f"| {way} | {' | '.join(cells)} |")
    parts = {
        "http_p50_ms": "HTTP at 500 requests a second {:.2f} ms at the median",
        "http_p99_ms": "{:.1f} ms at the 99th percentile",
        "gateway_added_ms": "the gateway adds {:.2f} ms to the first token",
        "served_rss_mb": "a served bag takes {:.0f} MB",
        "start_s": "is ready after {:.2f} s",
        "artifact_mb": "and is {:.1f} MB at int8",
    }
    told = ", ".join(text.format(found[key]) for key, text in parts.items() if key in found)
    texts = "Real" if found["has_data"] else "Made-up"
    of = (
        f"{texts} prompts of 600 characters, one thread (many at once: two cores); bits, AUROC: one model, left-out "
        "domains, no interval."
    )
    lines += ["", f"{of} {told}. {_measured(name)}"]
    return "\n".join(lines)


def _figure(row: Mapping[str, Any], key: str, form: str) -> str:
    if row.get(key) is None:
        return ""
    low, high = row[f"{key}_interval"]
    return f"{row[key]:{form}} [{low:{form}}, {high:{form}}]"


def _measured(name: str) -> str:
    return f"Measured by `benchmarks/{name}.py`."


BLOCKS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "quickstart": ("quickstart", pipeline_table),
    "local-model": ("local_model", pipeline_table),
    "zoo": ("zoo", zoo_table),
    "collect": ("collect", collect_table),
    "featurize": ("featurize", featurize_table),
    "quality": ("quality", quality_table),
    "train": ("train", train_table),
    "prescreen": ("prescreen", prescreen_table),
    "zoo-ladder": ("zoo_ladder", ladder_table),
    "ceiling": ("ceiling", ceiling_table),
    "discover": ("discover", discover_table),
    "report": ("report", report_line),
    "transfer": ("transfer", transfer_table),
}


def filled(text: str) -> str:
    """Return a page's text with every block that has results filled in."""
    for marker, (name, table) in BLOCKS.items():
        begin, end = f"<!-- begin {marker} -->", f"<!-- end {marker} -->"
        if begin in text and (RESULTS / f"{name}.json").exists():
            block = f"{begin}\n{table(name)}\n{end}"
            text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def main() -> None:
    """Fill the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a page is not current")
    only_checks = parser.parse_args().check
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = filled(text)
        if only_checks and new != text:
            sys.exit(f"{page.relative_to(ROOT)} is not current: python benchmarks/readme.py")
        if not only_checks:
            page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
