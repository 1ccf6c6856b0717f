"""Write the cards of a run's metamodels, with what evaluation found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from metamodel.cards.card import CardFacts, Judgment, card_text
from metamodel.dataset import ALL_PRIMARIES
from metamodel.metric_rows import SPLITS, MetricsRow, Split, best_row, domain_rows, mean_rows, select, worst_domain
from metamodel.report.baselines import baseline_names
from metamodel.screen.checks import read_json

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory
    from metamodel.train import Fit

CARD_FILE: Final = "README.md"
_SPEC_FILE: Final = "spec.json"


def write_cards(run: RunDirectory, config: RunConfig, fits: Sequence[Fit], rows: Sequence[MetricsRow]) -> None:
    """Replace README.md of every fit by one that says how well it predicts.

    Args:
        run: A run whose fits are trained.
        config: Its config.
        fits: All of its fits.
        rows: What evaluation found.
    """
    for fit in fits:
        run.write_text(f"metamodels/{fit.name}/{CARD_FILE}", card_text(card_facts(run, config, fit, rows)))


def card_facts(run: RunDirectory, config: RunConfig, fit: Fit, rows: Sequence[MetricsRow]) -> CardFacts:
    """Gather what a fit's card says.

    Args:
        run: A run whose fits are trained.
        config: Its config.
        fit: One of its fits.
        rows: What evaluation found; none before.

    Raises:
        DataError: The fit's spec.json cannot be read.
    """
    spec = read_json(run.metamodel_folder(fit.name) / _SPEC_FILE)
    borrowed = spec.get("borrowed_bits") if isinstance(spec, Mapping) else None  # a third party's may not tell
    prompts = fit.dataset.prompts
    return CardFacts(
        name=fit.name,
        kind=str(config.specs("metamodels")[fit.metamodel]["kind"]),
        primaries=_identities(run, config, fit),
        outcomes={name: table.space.outcomes for name, table in prompts.labels.items()},
        n_prompts=len(fit.fold.train),
        n_validation_prompts=len(fit.fold.validation),
        domains=dict(sorted(Counter(prompts.domains[row] for row in fit.fold.train).items())),
        left_out=fit.fold.held_out_domain or "",
        seed=config.seed,
        judgments=list(_judgments(config, fit, rows)),
        borrowed=[str(name) for name in borrowed] if isinstance(borrowed, Mapping) else [],
    )


def _identities(run: RunDirectory, config: RunConfig, fit: Fit) -> dict[str, str]:
    """Return the identity of each primary model that the fit speaks of, as run.json tells it."""
    told = run.facts.get("primaries")
    known = told if isinstance(told, Mapping) else {}
    primary = fit.dataset.primary
    names = list(config.primaries) if primary == ALL_PRIMARIES else [primary]
    return {name: str(known.get(name, "")) for name in names}


def _judgments(config: RunConfig, fit: Fit, rows: Sequence[MetricsRow]) -> Iterator[Judgment]:
    """Yield how the fit did: a fit without one domain on that domain, another on both splits."""
    baselines = baseline_names(config)
    primary = fit.dataset.primary
    mine = select(rows, metamodels=[fit.metamodel], primary=None if primary == ALL_PRIMARIES else primary)
    if fit.fold.held_out_domain is not None:
        chosen = [row for row in domain_rows(mine) if _place(row) == ("held_out_domain", fit.fold.held_out_domain)]
    else:
        chosen = [row for split in SPLITS[::-1] for row in mean_rows(select(mine, split=split))]
    for row in chosen:
        rivals = [
            one for one in select(rows, metamodels=baselines) if one.cell == row.cell and one.metamodel != row.metamodel
        ]
        alike = select(mine, behavior=row.behavior, primary=row.primary, split=row.split)
        yield Judgment(
            row=row, worst=worst_domain(alike) if row.domain is None else None, best_baseline=best_row(rivals)
        )


def _place(row: MetricsRow) -> tuple[Split, str | None]:
    return row.split, row.domain
