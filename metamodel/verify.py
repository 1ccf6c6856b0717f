"""Check stored generations against their primary models: are they still what these models draw?

Two questions. Scoring: does the model give every stored token the log-probability that was stored with it? Redrawing:
does the recorded seed give the same tokens again?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import nsmallest
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from metamodel.config import build_config
from metamodel.generations import iterate_generations
from metamodel.primaries.capabilities import DrawRequest, DrawsSamples, ScoresTokens
from metamodel.types import FloatArray, Generation, Prompt, Sampling

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.protocols import PrimaryModel
    from metamodel.store.run_directory import RunDirectory

# Natural-log units. One float32 forward pass over the whole text and one token at a time with a cache differ by less.
DEFAULT_TOLERANCE = 2e-3
_ROWS_AT_ONCE = 2048
_SHOWN_DRIFTS = 20


CheckName: TypeAlias = Literal["score", "redraw"]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One stored generation that is not what its primary model gives now.

    Attributes:
        prompt_id: Its prompt.
        sample: Its index among the samples.
        check: Whether scoring or redrawing found it.
        position: The first token that differs, from 0.
        stored: The stored log-probability or token there; None where the stored output had ended.
        now: What the primary model gives; None where its output had ended, or it cannot score the prompt.
    """

    prompt_id: str
    sample: int
    check: CheckName
    position: int
    stored: float | None
    now: float | None


@dataclass(frozen=True, kw_only=True)
class PrimaryCheck:
    """What verify found for one primary model.

    Attributes:
        primary: Its name in the run.
        identity_stored: Its identity when the run was collected.
        identity_now: Its identity now: another one means other weights or settings.
        n_generations: Stored generations of the run's current config.
        n_scored: Those whose tokens were scored again.
        n_tokens: Tokens scored.
        max_drift: Largest absolute difference of a token's log-probability, natural; None where none was scored.
        n_drifted: Generations with a difference above the tolerance.
        n_redrawn: Generations drawn again.
        n_different: Of those, how many have other tokens.
        drifts: The first generations that differ.
        skipped: Why a check was left out, in words.
    """

    primary: str
    identity_stored: str
    identity_now: str
    n_generations: int = 0
    n_scored: int = 0
    n_tokens: int = 0
    max_drift: float | None = None
    n_drifted: int = 0
    n_redrawn: int = 0
    n_different: int = 0
    drifts: tuple[Drift, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether nothing differs."""
        return self.identity_stored == self.identity_now and not self.n_drifted and not self.n_different


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What verify found in a run.

    Attributes:
        tolerance: Largest difference of log-probabilities that passes, natural.
        primaries: One entry a primary model.
    """

    tolerance: float
    primaries: tuple[PrimaryCheck, ...]

    @property
    def passes(self) -> bool:
        """Whether nothing differs anywhere."""
        return all(check.passes for check in self.primaries)

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "passes": self.passes,
            "tolerance": self.tolerance,
            "primaries": [asdict(check) | {"passes": check.passes} for check in self.primaries],
        }


def verify(
    run: RunDirectory,
    *,
    n_redraw: int = 64,
    tolerance: float = DEFAULT_TOLERANCE,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Verification:
    """Score every stored generation again and redraw some of them; changes nothing.

    Args:
        run: A collected run.
        n_redraw: Generations to redraw a primary model, spread evenly over those stored.
        tolerance: Largest absolute difference of a token's natural log-probability that passes.
        on_progress: Called with a primary model's name, the generations done, and all of them.

    Raises:
        MetamodelError: The run has no generations, or a primary model cannot be loaded.
    """
    config = build_config(run.config, source=f"{run.path}/run.json")
    known = run.facts.get("primaries")
    stored = known if isinstance(known, Mapping) else {}
    checks = {
        name: _Check(name=name, primary=primary, identity=str(stored.get(name, "")), tolerance=tolerance)
        for name, primary in config.primaries.items()
    }
    n_stored = run.read("generations", columns=["sample"]).num_rows
    n_done = 0
    for frame in iterate_generations(run, config, rows=_ROWS_AT_ONCE):
        for name, rows in frame.groupby("primary", sort=False):
            outputs = _outputs(rows)
            checks[str(name)].score(outputs)
            checks[str(name)].keep_some(outputs, n_redraw)
            n_done += len(rows)
            if on_progress:
                on_progress(str(name), n_done, n_stored)
    for check in checks.values():
        check.redraw(config.sampling)
    return Verification(tolerance=tolerance, primaries=tuple(check.result() for check in checks.values()))


@dataclass(frozen=True, kw_only=True)
class _Output:
    """A stored generation with its prompt."""

    prompt: Prompt
    key: str
    sample: int
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None


def _outputs(rows: pd.DataFrame) -> list[_Output]:
    return [
        _Output(
            prompt=Prompt(id=row["prompt_id"], text=row["prompt"], domain=row["domain"], choices=tuple(row["choices"])),
            key=row["key"],
            sample=int(row["sample"]),
            token_ids=None if row["token_ids"] is None else tuple(map(int, row["token_ids"])),
            logprobs=None if row["logprobs"] is None else tuple(map(float, row["logprobs"])),
        )
        for row in rows.to_dict("records")
    ]


class _Check:
    """The check of one primary model while it goes on."""

    def __init__(self, *, name: str, primary: PrimaryModel, identity: str, tolerance: float) -> None:
        self._primary = primary
        self._tolerance = tolerance
        self._found = PrimaryCheck(primary=name, identity_stored=identity, identity_now=primary.identity)
        self._kept: list[_Output] = []

    def result(self) -> PrimaryCheck:
        return self._found

    def score(self, outputs: Sequence[_Output]) -> None:
        """Compare the log-probability of every stored token."""
        self._add(n_generations=len(outputs))
        if not isinstance(self._primary, ScoresTokens):
            self._skip("it cannot score tokens")
            return
        known = [output for output in outputs if output.token_ids and output.logprobs is not None]
        if len(known) < len(outputs) and any(output.token_ids is None for output in outputs):
            self._skip("some generations have no token ids")
        now = self._primary.token_logprobs(
            [output.prompt.text for output in known], [output.token_ids or () for output in known]
        )
        for output, values in zip(known, now, strict=True):
            self._compare(output, values)

    def _compare(self, output: _Output, now: FloatArray) -> None:
        stored = np.array(output.logprobs, dtype=np.float64)
        # A value that is no number is as far off as can be.
        differences = np.nan_to_num(np.abs(stored - now), nan=np.inf)
        largest = float(differences.max())
        self._add(n_scored=1, n_tokens=len(stored))
        self._found = replace(self._found, max_drift=max(largest, self._found.max_drift or 0.0))
        if largest > self._tolerance:
            position = int(np.argmax(differences > self._tolerance))
            self._add(n_drifted=1)
            self._note(output, "score", position, float(stored[position]), float(now[position]))

    def keep_some(self, outputs: Sequence[_Output], n_kept: int) -> None:
        """Keep those with the smallest keys: a random choice, since keys are hashes, and the same one every time."""
        fresh = [output for output in outputs if output.token_ids is not None]
        self._kept = nsmallest(n_kept, [*self._kept, *fresh], key=lambda output: output.key)

    def redraw(self, sampling: Sampling) -> None:
        """Draw the kept ones again from their seeds and compare token for token."""
        if not self._kept:
            return
        if not isinstance(self._primary, DrawsSamples) or not isinstance(self._primary, ScoresTokens):
            self._skip("it cannot be redrawn from a seed")
            return
        stored = {(output.prompt.id, output.sample): output for output in self._kept}
        samples: dict[str, list[int]] = {}
        for prompt_id, sample in stored:
            samples.setdefault(prompt_id, []).append(sample)
        prompts = {output.prompt.id: output.prompt for output in self._kept}
        requests = [DrawRequest(prompt=prompts[key], samples=tuple(mine)) for key, mine in samples.items()]
        for batch in self._primary.draw(requests, sampling):
            for row in batch:
                output = stored[row.prompt_id, row.sample]
                self._add(n_redrawn=1)
                self._compare_tokens(output, row.token_ids if isinstance(row, Generation) else None)

    def _compare_tokens(self, output: _Output, now: tuple[int, ...] | None) -> None:
        stored, drawn = output.token_ids or (), now or ()
        if stored == drawn:
            return
        pairs = zip_longest(stored, drawn)
        position, (before, after) = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
        self._add(n_different=1)
        self._note(output, "redraw", position, before, after)

    def _add(self, **counts: int) -> None:
        self._found = replace(
            self._found, **{name: getattr(self._found, name) + count for name, count in counts.items()}
        )

    def _skip(self, reason: str) -> None:
        if reason not in self._found.skipped:
            self._found = replace(self._found, skipped=(*self._found.skipped, reason))

    def _note(self, output: _Output, check: CheckName, position: int, stored: float | None, now: float | None) -> None:
        drift = Drift(
            prompt_id=output.prompt.id,
            sample=output.sample,
            check=check,
            position=position,
            stored=stored,
            now=now if now is None or np.isfinite(now) else None,
        )
        if len(self._found.drifts) < _SHOWN_DRIFTS:
            self._found = replace(self._found, drifts=(*self._found.drifts, drift))
