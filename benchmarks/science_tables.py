"""Tables of docs/science.md, from benchmarks/results/."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from results_file import read_figures

_BASELINES = ("base_rate", "domain_tag", "prompt_length")


def ladder_table(name: str) -> str:
    """Return how four tasks of inverse scaling move over the pretraining of the zoo's ladder."""
    found: Mapping[str, Any] = read_figures(name)
    return f"{found['markdown'].strip()}\n\n{_measured(name)}"


def ceiling_table(name: str) -> str:
    """Return the coverage of the ceiling's interval by label space and number of prompts."""
    found: Mapping[str, Any] = read_figures(name)
    cells: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for cell in found["cells"]:
        cells[cell["space"], cell["n"]].append(cell)
    sizes = sorted({n for _, n in cells})
    lines = [
        "| labels | " + " | ".join(f"n = {n:,}" for n in sizes) + " |",
        "| --- " + "| ---: " * len(sizes) + "|",
    ]
    lines += [
        f"| {space} | {' | '.join(_coverage(cells.get((space, n), [])) for n in sizes)} |"
        for space in dict.fromkeys(space for space, _ in cells)
    ]
    summary = found["summary"]
    told = (
        f"Share of {summary['n_intervals']:,} simulated intervals that hold the truth, {summary['n_cells']} of "
        f"{summary['n_cells_planned']} planned cells (k of 2, 4, 8, 32; shapes of the true distribution from all alike "
        "to rare and sparse); in brackets the lowest cell, and how many cells there are. "
        f"{summary['n_cells_below_93']} cells lie below 0.93, {summary['n_cells_below_93_beyond_noise']} beyond the "
        f"noise of their own repetitions. Mean width {summary['mean_width_bits']:.2f} bits."
    )
    return "\n".join([*lines, "", f"{told} {_measured(name)}"])


def _coverage(cells: list[Mapping[str, Any]]) -> str:
    if not cells:
        return ""
    n = sum(cell["n_repetitions"] for cell in cells)
    pooled = sum(cell["coverage"] * cell["n_repetitions"] for cell in cells) / n
    return f"{pooled:.3f} [{min(cell['coverage'] for cell in cells):.2f}, {len(cells)}]"


def discover_table(name: str) -> str:
    """Return what discovery finds of what was planted, and how often it finds something in noise."""
    found: Mapping[str, Any] = read_figures(name)
    lines = ["| planted | found |", "| --- | ---: |"]
    lines += [f"| {row['planted']} | {row['n_found']} of {row['n_seeds']} |" for row in found["planted"]]
    noise, speed = found["noise"], found["speed"]
    told = (
        f"Silent in {noise['n_silent']} of {noise['n_draws']} draws of pure noise. {speed['n_prompts']:,} prompts x "
        f"{speed['n_behaviors']} behaviors: prepared in {speed['prepare_s']:.0f} s, searched in "
        f"{speed['search_s']:.0f} s, {speed['peak_gib']:.2f} GiB."
    )
    return "\n".join([*lines, "", f"{told} {_measured(name)}"])


def transfer_table(name: str) -> str:
    """Return how far metamodels carry between primary models, and how long the command takes on many."""
    found: Mapping[str, Any] = read_figures(name)
    titles = ("models", "behavior", "judged on", "native bits", "foreign bits [95 %]", "kappa", "verdict")
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for key in ("local", "all"):
        part = found[key]
        rows = [row for row in part["verdicts"] if row["metamodel"] not in _BASELINES]
        lines += [f"| {len(part['models'])} | {' | '.join(_verdict_cells(row))} |" for row in rows]
    scale = found["scale"]
    told = (
        "Means over all ordered pairs of two models: 8 are the zoo's four architectures and four small public models, "
        "the others recorded on mmlu_pro. Below zero the best constant would have been better: base rates differ "
        f"between models. {scale['n_models']} models x {scale['n_behaviors']} behaviors x {scale['n_prompts']:,} "
        f"prompts take {scale['wall_s']:.0f} s and {scale['peak_gib']:.2f} GiB."
    )
    return "\n".join([*lines, "", f"{told} {_measured(name)}"])


def _verdict_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["behavior"],
        row["split"].replace("_", " "),
        _signed(row["native"]),
        f"{_signed(row['bits'])} [{_signed(row['low'])}, {_signed(row['high'])}]",
        "" if row["kappa"] is None else f"{row['kappa']:.2f}",
        row["verdict"] or "",
    )


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def report_line(name: str) -> str:
    """Return how large the report of many prompts is, and how soon it opens."""
    found: Mapping[str, float] = read_figures(name)
    return (
        f"A report of {found['n_prompts']:,.0f} prompts has {found['page_mb']:.1f} MB without the explorer and opens "
        f"in {found['open_ms_median'] / 1e3:.1f} s at the median, {found['open_ms_worst'] / 1e3:.1f} s at worst. "
        f"{_measured(name)}"
    )


def _measured(name: str) -> str:
    return f"Measured by `benchmarks/{name}.py`."
