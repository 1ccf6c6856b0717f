"""One search: Optuna proposes fields, the folds judge them, a journal of JSON lines remembers.

The journal is Optuna's own (`JournalStorage` on a file), so its dashboard opens it. A search that was killed goes on
where it stood, and ends with the trials that it would have had: before each proposal the sampler is seeded by the
number of trials done, not by how often the process was started.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamodel.config.components import build_component
from metamodel.config.search import Choices, Space
from metamodel.errors import MetamodelError, RunError
from metamodel.protocols import Trainer
from metamodel.tune.objective import Cell, Objective, mean_bits
from metamodel.tune.trials import Trial, TrialState
from metamodel.types import JSONObject, JSONValue, content_hash

if TYPE_CHECKING:
    import optuna

JOURNAL_FILE = "journal.jsonl"
# Trials drawn at random before the sampler learns from them, and before any is compared with their median.
_RANDOM_TRIALS = 6
# A fold is some domains: one alone says too little to give a trial up.
_FOLDS_BEFORE_PRUNING = 2
_PROBLEM = "problem"
_SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched.

    Attributes:
        spec: The metamodel's resolved spec in the config.
        spaces: Space of each varied field.
        objective: Judges trainers.
        journal: The journal's file.
        seed: Seed of the proposals.
    """

    spec: JSONObject
    spaces: Mapping[str, Space]
    objective: Objective
    journal: Path
    seed: int

    def run(
        self, *, n_trials: int, timeout_s: float | None = None, on_fold: Callable[[int, int], None] | None = None
    ) -> bool:
        """Do trials until there are `n_trials` of them, those in the journal among them.

        Args:
            n_trials: Trials in all.
            timeout_s: Seconds after which no further fold is begun.
            on_fold: Told the numbers of the trial and of the fold that begin.

        Returns:
            Whether all were done in time.

        Raises:
            RunError: The journal cannot be read.
        """
        study = self._open()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (n_done := len(_counted(study))) < n_trials:
            if deadline is not None and time.monotonic() > deadline:
                return False
            if not n_done and (own := self._own_parameters()) is not None:
                study.enqueue_trial(own, skip_if_exists=False)
            study.sampler = _sampler(content_hash(str(self.seed), str(n_done)))
            if not self._do_trial(study, n_done, deadline, on_fold):
                return False
        return True

    def trials(self) -> list[Trial]:
        """Return the trials of the journal that came to an end."""
        own = self._own_parameters()
        return [
            Trial(
                number=number,
                state=_state(trial),
                fields={name: self._value(name, value) for name, value in trial.params.items()},
                bits=tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values)),
                seconds=float(trial.user_attrs.get(_SECONDS, 0.0)),
                problem=str(trial.user_attrs.get(_PROBLEM, "")),
                is_own=trial.params == own,
            )
            for number, trial in enumerate(_counted(self._open()))
        ]

    def importances(self) -> dict[str, float]:
        """Return what share of the worth's variance each field explains (functional ANOVA); empty where unknown.

        Source: Hutter, Hoos and Leyton-Brown, *An Efficient Approach for Assessing Hyperparameter Importance* (2014).
        """
        optuna = import_optuna()
        study = self._open()
        worths = {trial.value for trial in _counted(study) if _state(trial) == "complete"}
        if len(worths) < 4:  # noqa: PLR2004 - a forest on fewer says nothing
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def trainer(self, fields: Mapping[str, JSONValue]) -> Trainer:
        """Build the trainer with these fields in place of its own; raises ConfigError where they do not go together."""
        built: Trainer = build_component("trainers", {**self.spec, **fields}, at=f"metamodels.{self.spec['name']}")
        return built

    def _open(self) -> optuna.Study:
        library = import_optuna()
        _mend(self.journal)
        try:
            storage = library.storages.JournalStorage(library.storages.journal.JournalFileBackend(str(self.journal)))
            study: optuna.Study = library.create_study(
                storage=storage,
                study_name=str(self.spec["name"]),
                direction="maximize",
                load_if_exists=True,
                pruner=library.pruners.MedianPruner(
                    n_startup_trials=_RANDOM_TRIALS, n_warmup_steps=_FOLDS_BEFORE_PRUNING - 1
                ),
            )
            for trial in study.get_trials(deepcopy=False, states=(library.trial.TrialState.RUNNING,)):
                study.tell(trial.number, state=library.trial.TrialState.FAIL)
        except (ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
            raise RunError(f"{self.journal} cannot be read ({error}): move it away to begin the search anew") from error
        return study

    def _do_trial(
        self,
        study: optuna.Study,
        number: int,
        deadline: float | None,
        on_fold: Callable[[int, int], None] | None,
    ) -> bool:
        """Do one trial; returns False, and counts nothing, where the time is up before it ends."""
        trial = study.ask()
        fields = {name: self._value(name, _suggest(trial, name, space)) for name, space in self.spaces.items()}
        begin = time.monotonic()
        if _repeat(study, trial):
            return True
        cells: dict[Cell, float] = {}
        for position in range(self.objective.n_folds):
            if deadline is not None and time.monotonic() > deadline:
                study.tell(trial, state=_states().FAIL)
                return False
            if on_fold is not None:
                on_fold(number, position)
            try:
                cells |= self.objective.reductions(self.trainer(fields), position)
            except MetamodelError as error:
                trial.set_user_attr(_PROBLEM, " ".join(str(error).split()))
                study.tell(trial, state=_states().FAIL)
                return True
            trial.report(mean_bits(cells), position)
            trial.set_user_attr(_SECONDS, time.monotonic() - begin)
            if position + 1 < self.objective.n_folds and trial.should_prune():
                study.tell(trial, state=_states().PRUNED)
                return True
        if not cells:
            raise RunError("no prompt of the domains that tuning may read has a label: run `metamodel behaviors`")
        study.tell(trial, mean_bits(cells))
        return True

    def _own_parameters(self) -> dict[str, Any] | None:
        """Return the config's own values as Optuna's parameters; None where one lies outside its space."""
        own: dict[str, Any] = {}
        for name, space in self.spaces.items():
            value = self.spec[name]
            own[name] = _text(value) if isinstance(space, Choices) else value
            if not _is_inside(value, space):
                return None
        return own

    def _value(self, name: str, parameter: Any) -> JSONValue:  # noqa: ANN401 - what Optuna proposed
        """Return a parameter as a config writes it."""
        space = self.spaces[name]
        if not isinstance(space, Choices):
            return float(parameter) if not space.is_whole else int(parameter)
        return next(value for value in space.values if _text(value) == parameter)


def import_optuna() -> Any:  # noqa: ANN401 - a module of an extra
    """Return the module optuna, quiet.

    Raises:
        MetamodelError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MetamodelError("tuning needs optuna: run pip install 'metamodel[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _states() -> type[optuna.trial.TrialState]:
    import optuna

    return optuna.trial.TrialState


def _sampler(mark: str) -> optuna.samplers.BaseSampler:
    import optuna

    return optuna.samplers.TPESampler(seed=int(mark[:8], 16), n_startup_trials=_RANDOM_TRIALS)


def _suggest(trial: optuna.Trial, name: str, space: Space) -> str | int | float:
    if isinstance(space, Choices):
        # Optuna keeps choices that are numbers or text alone; as JSON text every value of a field is one.
        return str(trial.suggest_categorical(name, [_text(value) for value in space.values]))
    if space.is_whole:
        return trial.suggest_int(name, int(space.low), int(space.high), step=int(space.step or 1), log=space.log)
    return trial.suggest_float(name, space.low, space.high, step=space.step, log=space.log)


def _repeat(study: optuna.Study, trial: optuna.Trial) -> bool:
    """End a trial like an earlier one with the same fields, whose fits would be the same bit for bit."""
    for earlier in _counted(study):
        if earlier.params == trial.params:
            for step, bits in sorted(earlier.intermediate_values.items()):
                trial.report(bits, step)
            if _PROBLEM in earlier.user_attrs:
                trial.set_user_attr(_PROBLEM, earlier.user_attrs[_PROBLEM])
            is_complete = earlier.state == _states().COMPLETE
            study.tell(trial, earlier.value if is_complete else None, state=earlier.state)
            return True
    return False


def _counted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that came to an end of their own; one that was interrupted is done again."""
    ended = (_states().COMPLETE, _states().PRUNED)
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in ended or (trial.state == _states().FAIL and _PROBLEM in trial.user_attrs)
    ]


def _state(trial: optuna.trial.FrozenTrial) -> TrialState:
    names: dict[object, TrialState] = {_states().COMPLETE: "complete", _states().PRUNED: "pruned"}
    return names.get(trial.state, "failed")


def _is_inside(value: JSONValue, space: Space) -> bool:
    if isinstance(space, Choices):
        return value in space.values
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not space.low <= value <= space.high:
        return False
    n_steps = (value - space.low) / space.step if space.step else 0.0
    return abs(n_steps - round(n_steps)) < 1e-9  # noqa: PLR2004 - rounding


def _text(value: JSONValue) -> str:
    return json.dumps(value, sort_keys=True)


def _mend(journal: Path) -> None:
    """Remove what a kill left: half a line, and a lock. The run's own lock keeps other writers away."""
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)
