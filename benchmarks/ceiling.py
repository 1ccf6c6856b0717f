"""The noise ceiling's interval: how often a 95 % interval holds the true I(F; X), over label spaces, shapes, k and n.

    python benchmarks/ceiling.py                  all cells; resumes where it was stopped
    python benchmarks/ceiling.py --quick          a tenth of the repetitions; the stored figures stay

Every cell draws data sets from a population whose I(F; X) is exact (see ceiling_populations.py), computes the interval
that `metamodel evaluate` reports, and counts how often it holds the truth. The coverage's own 95 % interval is Clopper
and Pearson's. Cells are stored as they finish, in benchmarks/results/ceiling.jsonl, until all are done.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ceiling_populations import Population, greedy_populations, sampled_populations
from results_file import RESULTS, write_results
from scipy.stats import beta

from metamodel.ceiling import Ceiling, noise_ceiling

SAMPLES = (2, 4, 8, 32)
PROMPTS = (50, 500, 5000)
REPETITIONS = {50: 400, 500: 200, 5000: 60}
PROMISED = 0.93
# Interior-point and grid errors, in bits: a truth this close to an end is held.
TOLERANCE_BITS = 1e-3


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A population with a number of prompts and of samples a prompt; k = 0 is greedy decoding."""

    space: str
    shape: str
    k: int
    n: int

    @property
    def population(self) -> Population:
        """The population drawn from."""
        return (sampled_populations() if self.k else greedy_populations())[self.space][self.shape]


@dataclass(frozen=True, kw_only=True)
class Covered:
    """What the simulation of one cell found.

    Attributes:
        cell: The cell.
        bits: The true I(F; X).
        n_repetitions: Data sets drawn.
        n_above: How often the truth lay above the interval.
        n_below: How often below it.
        n_none: How often there was no interval.
        width_bits: Mean width of the interval.
        error_bits: Mean of the point estimate less the truth.
        cpu_ms: Mean processor time of a data set and its interval.
    """

    cell: Cell
    bits: float
    n_repetitions: int
    n_above: int
    n_below: int
    n_none: int
    width_bits: float
    error_bits: float
    cpu_ms: float

    @property
    def n_held(self) -> int:
        """Intervals that held the truth."""
        return self.n_repetitions - self.n_none - self.n_above - self.n_below

    @property
    def coverage(self) -> tuple[float, float, float]:
        """Low end, value and high end of the coverage among the intervals that exist."""
        n, held = self.n_repetitions - self.n_none, self.n_held
        low = float(beta.ppf(0.025, held, n - held + 1)) if held else 0.0
        high = float(beta.ppf(0.975, held + 1, n - held)) if held < n else 1.0
        return low, held / n, high

    def to_dict(self) -> dict[str, object]:
        """Return the figures as stored."""
        low, value, high = self.coverage
        rest = {key: figure for key, figure in asdict(self).items() if key != "cell"}
        return {**asdict(self.cell), **rest, "coverage": value, "coverage_low": low, "coverage_high": high}

    @classmethod
    def from_dict(cls, figures: dict[str, object]) -> Covered:
        """Read what `to_dict` returned."""
        keys = ("space", "shape", "k", "n")
        cell = Cell(**{key: figures[key] for key in keys})  # type: ignore[arg-type]  # our own file
        rest = {key: figures[key] for key in cls.__dataclass_fields__ if key != "cell"}
        return cls(cell=cell, **rest)  # type: ignore[arg-type]  # our own file


def simulated(task: tuple[Cell, int]) -> Covered:
    """Return the coverage in one cell from so many repetitions."""
    cell, n_repetitions = task
    population, bits = cell.population, cell.population.bits
    rng = np.random.default_rng(zlib.crc32(repr(cell).encode()))
    above = below = none = 0
    widths, errors = [], []
    # The order of prompts does not matter, and few prompts with few samples often repeat themselves.
    known: dict[bytes, Ceiling | None] = {}
    started = time.process_time()
    for _ in range(n_repetitions):
        counts = population.drawn(cell.n, cell.k or 1, rng)
        key = counts[np.lexsort(counts.T)].tobytes()
        if key not in known:
            known[key] = noise_ceiling(counts, is_deterministic=not cell.k)
        found = known[key]
        if found is None:
            none += 1
            continue
        above += found.high_bits < bits - TOLERANCE_BITS
        below += found.low_bits > bits + TOLERANCE_BITS
        widths.append(found.high_bits - found.low_bits)
        errors.append(found.bits - bits)
    return Covered(
        cell=cell,
        bits=bits,
        n_repetitions=n_repetitions,
        n_above=int(above),
        n_below=int(below),
        n_none=none,
        width_bits=float(np.mean(widths)),
        error_bits=float(np.mean(errors)),
        cpu_ms=(time.process_time() - started) / len(known) * 1000,
    )


def all_cells() -> list[Cell]:
    """Return all cells, those that cost least first, else mixed: a study that is stopped early has seen all sorts."""
    cells = [
        Cell(space=space, shape=shape, k=k, n=n)
        for populations, samples in ((sampled_populations(), SAMPLES), (greedy_populations(), (0,)))
        for space, shapes in populations.items()
        for shape in shapes
        for k in samples
        for n in PROMPTS
    ]
    return sorted(cells, key=lambda cell: (cell.n, zlib.crc32(repr(cell).encode())))


def _stored(path: Path) -> dict[Cell, Covered]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {found.cell: found for found in map(Covered.from_dict, map(json.loads, lines))}


def print_table(rows: Iterable[Covered]) -> None:
    """Print a line a cell, the worst coverage first."""
    print(f"{'label space':15} {'shape':33} {'k':>6} {'n':>5} {'I(F;X)':>7} {'reps':>5} ", end="")
    print(f"{'coverage [95 %]':>22} {'above':>6} {'below':>6} {'width':>7} {'ms':>6}")
    for row in sorted(rows, key=lambda found: found.coverage[1]):
        cell, (low, value, high) = row.cell, row.coverage
        k = str(cell.k) if cell.k else "greedy"
        share = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        print(f"{cell.space:15} {cell.shape:33} {k:>6} {cell.n:>5} {row.bits:7.3f} {row.n_repetitions:5} ", end="")
        print(f"{share:>22} {row.n_above:6} {row.n_below:6} {row.width_bits:7.3f} {row.cpu_ms:6.1f}")


def summary(rows: Sequence[Covered]) -> dict[str, object]:
    """Return the figures over all cells."""
    values = [row.coverage for row in rows]
    return {
        "n_cells": len(rows),
        "n_intervals": sum(row.n_repetitions - row.n_none for row in rows),
        "lowest_coverage": min(value for _, value, _ in values),
        "median_coverage": float(np.median([value for _, value, _ in values])),
        "n_cells_below_93": sum(value < PROMISED for _, value, _ in values),
        "n_cells_below_93_beyond_noise": sum(high < PROMISED for _, _, high in values),
        "mean_width_bits": float(np.mean([row.width_bits for row in rows])),
    }


def main() -> None:
    """Simulate every cell that is not stored yet, then print and store all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions, stored apart")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--progress", type=Path, help="where finished cells are kept until all are done")
    parser.add_argument("--only", default="", help="cells whose label space and shape hold one of these texts")
    options = parser.parse_args()
    is_partial = options.quick or bool(options.only)
    default = RESULTS / ("ceiling_quick.jsonl" if options.quick else "ceiling.jsonl")
    progress: Path = options.progress or default
    scale = 10 if options.quick else 1
    done = _stored(progress)
    wanted = options.only.split(",")
    cells = [cell for cell in all_cells() if any(word in f"{cell.space}: {cell.shape}" for word in wanted)]
    waiting = [(cell, REPETITIONS[cell.n] // scale) for cell in cells if cell not in done]
    with multiprocessing.Pool(options.workers) as pool, progress.open("a", encoding="utf-8") as log:
        for number, found in enumerate(pool.imap_unordered(simulated, waiting), 1):
            done[found.cell] = found
            log.write(json.dumps(found.to_dict()) + "\n")
            log.flush()
            print(f"{number}/{len(waiting)} {found.cell} {found.coverage[1]:.3f}", flush=True)
    rows = [done[cell] for cell in cells]
    print_table(rows)
    print(json.dumps(summary(rows), indent=1))
    if not is_partial:
        write_results("ceiling", {"summary": summary(rows), "cells": [row.to_dict() for row in rows]})
        progress.unlink()


if __name__ == "__main__":
    main()
