"""Trials as plain data: what was tried and what it gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from metamodel.types import JSONObject

TrialState: TypeAlias = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of fields that was tried.

    Attributes:
        number: Its place among the trials, from 0; the first has the config's own fields where the space holds them.
        state: Whether every fold judged it, or it was given up after some, or could not be fitted.
        fields: Value of each varied field, as a config writes it.
        bits: Mean bits gained after each fold that judged it; the last one is its worth.
        seconds: How long its fits took, the whole of them.
        problem: Why it failed.
        is_own: Whether these are the config's own fields.
    """

    number: int
    state: TrialState
    fields: JSONObject
    bits: tuple[float, ...]
    seconds: float
    problem: str = ""
    is_own: bool = False

    @property
    def worth_bits(self) -> float | None:
        """Mean bits gained over the folds that judged it; None without any."""
        return self.bits[-1] if self.bits else None


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """What a search found.

    Attributes:
        metamodel: Name of the metamodel in the config.
        folder: Folder of the study, below the run directory.
        final_domains: Domains that no trial read.
        domains: Domains that the trials read.
        n_folds: Folds that judge a trial.
        trials: All trials, in order.
        importances: Share of the variance of the worth that each field explains; empty where it cannot be told.
        is_out_of_time: Whether the time was up before all trials were done.
    """

    metamodel: str
    folder: str
    final_domains: Sequence[str]
    domains: Sequence[str]
    n_folds: int
    trials: Sequence[Trial]
    importances: Mapping[str, float]
    is_out_of_time: bool = False

    @property
    def best(self) -> Trial | None:
        """The trial with the most bits among those that every fold judged, the earlier of equals."""
        finished = [trial for trial in self.trials if trial.state == "complete"]
        return max(finished, key=lambda trial: trial.bits[-1], default=None)

    @property
    def own(self) -> Trial | None:
        """The trial of the config's own fields, where it was finished."""
        return next((trial for trial in self.trials if trial.is_own and trial.state == "complete"), None)

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        best, own = self.best, self.own
        return {
            "metamodel": self.metamodel,
            "folder": self.folder,
            "final_domains": list(self.final_domains),
            "domains": list(self.domains),
            "n_folds": self.n_folds,
            "best": None if best is None else best.number,
            "best_bits": None if best is None else best.worth_bits,
            "own_bits": None if own is None else own.worth_bits,
            "importances": dict(self.importances),
            "is_out_of_time": self.is_out_of_time,
            "trials": [{**asdict(trial), "bits": list(trial.bits)} for trial in self.trials],
        }
