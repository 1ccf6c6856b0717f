"""What collect did; and the mark by which a run that has everything is known at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from metamodel.collecting.failures import STEM
from metamodel.collecting.fingerprints import shards_fingerprint
from metamodel.store.run_directory import RunDirectory
from metamodel.types import JSONObject, Sampling, content_hash

_FACT = "collected"


@dataclass(frozen=True, kw_only=True)
class PrimaryReport:
    """What collect did for one primary model, in generations.

    Attributes:
        n_wanted: Samples times prompts.
        n_found: Of those, how many the run had already.
        n_drawn: How many were drawn now.
        n_failed_final: How many cannot be drawn; a row in errors/ each.
        n_failed_retryable: How many failed but may work another time (`--retry-errors`); a row in errors/ each.
    """

    n_wanted: int
    n_found: int
    n_drawn: int
    n_failed_final: int
    n_failed_retryable: int

    @property
    def n_failed(self) -> int:
        """All rows in errors/."""
        return self.n_failed_final + self.n_failed_retryable

    @property
    def n_left(self) -> int:
        """What is neither drawn nor failed: a budget ran out, say. The next call draws it."""
        return self.n_wanted - self.n_found - self.n_drawn - self.n_failed


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """What collect did.

    Attributes:
        primaries: By name of the primary model.
    """

    primaries: Mapping[str, PrimaryReport]

    @property
    def n_failed_retryable(self) -> int:
        """Failures that may work another time, of all primary models."""
        return sum(report.n_failed_retryable for report in self.primaries.values())

    @property
    def n_left(self) -> int:
        """What the next call draws, of all primary models."""
        return sum(report.n_left for report in self.primaries.values())

    def to_dict(self) -> JSONObject:
        """Return it ready for JSON."""
        return {name: {**asdict(report), "n_left": report.n_left} for name, report in self.primaries.items()}


@dataclass(frozen=True, kw_only=True)
class CompletionMark:
    """The fact in run.json that a run has all that is wanted; it holds as long as neither changes.

    Attributes:
        run: The run.
        prompts_fingerprint: Determines the prompts; None where nothing does, and no mark can hold.
        identities: Identity of each primary model, by name.
        sampling: How outputs are drawn.
    """

    run: RunDirectory
    prompts_fingerprint: str | None
    identities: Mapping[str, str]
    sampling: Sampling

    def read(self) -> CollectReport | None:
        """Return the report of a run that is known to be finished, else None."""
        known = self.run.facts.get(_FACT)
        mark = self._mark()
        if mark is None or not isinstance(known, dict) or known.get("mark") != mark:
            return None
        names = [item.name for item in fields(PrimaryReport)]
        reports = {
            name: PrimaryReport(**{key: int(value) for key, value in entry.items() if key in names})
            for name, entry in known["primaries"].items()
        }
        return CollectReport(primaries=reports)

    def write(self, report: CollectReport) -> None:
        """Keep the report, as a rerun would give it; the mark only if nothing is left."""
        settled = {
            name: {**asdict(entry), "n_found": entry.n_found + entry.n_drawn, "n_drawn": 0}
            for name, entry in report.primaries.items()
        }
        mark = None if report.n_left else self._mark()
        self.run.update_facts(**{_FACT: {"mark": mark, "primaries": settled}})

    def _mark(self) -> str | None:
        """Hash what is wanted and what is there; the lock has checked that shards are what they were."""
        if self.prompts_fingerprint is None:
            return None
        wanted = [self.prompts_fingerprint, self.sampling.fingerprint(), str(self.sampling.n_samples)]
        names = [part for name, identity in self.identities.items() for part in (name, identity)]
        there = [
            shards_fingerprint(self.run, "prompts"),
            shards_fingerprint(self.run, "generations"),
            shards_fingerprint(self.run, "errors", prefix=STEM),
        ]
        return content_hash(*wanted, *there, *names)
