"""Sections that other stages add to a run's report: each is shown when the file that its stage writes is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from metamodel.errors import RunError
from metamodel.report.elements import Section

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class ExtraSections:
    """One stage's part of the report.

    Attributes:
        file: What the stage writes into the run directory, as JSON.
        sections_of: From that file's content to sections.
    """

    file: str
    sections_of: Callable[[object], Sequence[Section]]


def _information_sections(content: object) -> Sequence[Section]:
    from metamodel.output_information.sections import sections_of_file

    return sections_of_file(content)


def _discovery_sections(content: object) -> Sequence[Section]:
    from metamodel.discovery.sections import sections_of_file

    return sections_of_file(content)


def _perturbation_sections(content: object) -> Sequence[Section]:
    from metamodel.perturbations.sections import sections_of_file

    return sections_of_file(content)


def _corpus_sections(content: object) -> Sequence[Section]:
    from metamodel.corpus.sections import sections_of_file

    return sections_of_file(content)


# The one place where a stage's sections join the report, in the order of the page. Each function imports its stage
# when it is called: a stage may use the report's elements, so the report must not need it to be loaded.
EXTRA_SECTIONS: Final[tuple[ExtraSections, ...]] = (
    ExtraSections(file="information.json", sections_of=_information_sections),
    ExtraSections(file="discoveries.json", sections_of=_discovery_sections),
    ExtraSections(file="perturb.json", sections_of=_perturbation_sections),
    ExtraSections(file="corpus.json", sections_of=_corpus_sections),
)


def extra_sections(run: RunDirectory, found: Sequence[ExtraSections] = EXTRA_SECTIONS) -> list[Section]:
    """Return the sections of every stage whose file is in a run directory.

    Raises:
        RunError: A file is no JSON.
    """
    return [section for extra in found if run.exists(extra.file) for section in extra.sections_of(_content(run, extra))]


def _content(run: RunDirectory, extra: ExtraSections) -> object:
    try:
        return json.loads(run.read_text(extra.file))
    except ValueError as error:
        raise RunError(f"{run.path}/{extra.file} is not JSON ({error}): write it again, or remove it") from error
