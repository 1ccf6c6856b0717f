"""What a config would do, before it does anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from metamodel.draw import survey_folds, survey_prompts
from metamodel.train import fitted_across_primaries

if TYPE_CHECKING:
    from rich.table import Table

    from metamodel.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The amount of work of a config.

    Attributes:
        directory: Where the run goes.
        prompts_by_domain: Distinct prompts of each domain, changed versions not counted.
        n_changed_prompts: Changed versions of them, which are sampled but neither train nor judge.
        primaries: Names of the primary models.
        n_samples: Samples a prompt.
        n_generations: Outputs to draw, all primary models together.
        behaviors: Names of the behaviors.
        metamodels: Names of the metamodels.
        folds: Names of the folds.
        n_fits: Fits, all primary models together.
    """

    directory: str
    prompts_by_domain: dict[str, int]
    n_changed_prompts: int
    primaries: tuple[str, ...]
    n_samples: int
    n_generations: int
    behaviors: tuple[str, ...]
    metamodels: tuple[str, ...]
    folds: tuple[str, ...]
    n_fits: int

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)

    def table(self) -> Table:
        """Return it for the terminal."""
        from rich.table import Table

        domains = ", ".join(f"{name} {count}" for name, count in self.prompts_by_domain.items())
        n_prompts = sum(self.prompts_by_domain.values())
        changed = f"; and {self.n_changed_prompts} changed versions" if self.n_changed_prompts else ""
        table = Table(show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        table.add_row("run directory", self.directory)
        table.add_row("prompts", f"{n_prompts} in {len(self.prompts_by_domain)} domains: {domains}{changed}")
        table.add_row("primary models", ", ".join(self.primaries))
        table.add_row("generations", f"{self.n_generations} ({self.n_samples} a prompt and primary model)")
        table.add_row("behaviors", ", ".join(self.behaviors))
        table.add_row("metamodels", ", ".join(self.metamodels))
        table.add_row("fits", f"{self.n_fits}, over {len(self.folds)} folds a primary model")
        return table


def make_plan(config: RunConfig) -> Plan:
    """Draw the prompts of a config, without holding them, and count what it would do.

    Raises:
        MetamodelError: A prompt file cannot be read, or a fold has nothing to train on.
    """
    survey = survey_prompts(config)
    folds = survey_folds(config, survey)
    n_primaries, n_across = len(config.primaries), len(fitted_across_primaries(config))
    return Plan(
        directory=config.directory,
        prompts_by_domain=survey.n_by_domain,
        n_changed_prompts=survey.n_changed,
        primaries=tuple(config.primaries),
        n_samples=config.sampling.n_samples,
        n_generations=survey.n_prompts * config.sampling.n_samples * n_primaries,
        behaviors=tuple(config.behaviors),
        metamodels=tuple(config.metamodels),
        folds=tuple(fold.name for fold in folds),
        n_fits=len(folds) * ((len(config.metamodels) - n_across) * n_primaries + n_across),
    )
