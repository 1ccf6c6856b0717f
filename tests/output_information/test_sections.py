"""The section of the report: read back from the file, damaged files refused, hostile names escaped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metamodel.errors import RunError
from metamodel.output_information.reading import information_from_dict
from metamodel.output_information.results import (
    ExplainedRow,
    Figure,
    LabelRow,
    LengthInformation,
    OutputInformation,
    PrimaryInformation,
)
from metamodel.output_information.sections import sections_of_file
from metamodel.report.elements import write_page

HOSTILE = "<script>alert(1)</script>"
BITS = Figure(value=1.0, low=0.5, high=1.5)


def found() -> OutputInformation:
    """Return figures of one primary model with a hostile name, some of them missing."""
    length = LengthInformation(
        tokens=4, is_complete=True, bits=BITS, high_bits=None, conditional_entropy_bits=BITS, is_saturated=False
    )
    row = ExplainedRow(
        reader="metamodel",
        metamodel=HOSTILE,
        behavior="empty",
        reads_prompt=True,
        n_bins=3,
        bits=BITS,
        chance_bits=0.2,
        above_bits=BITS,
        share=BITS,
        p_value=0.01,
        within_bits=None,
        within_share=None,
        within_p_value=None,
        population_low_bits=None,
        population_high_bits=2.0,
        reduction_bits=0.1,
    )
    one = PrimaryInformation(
        primary=HOSTILE,
        identity="x",
        is_greedy=False,
        n_prompts=16,
        n_outputs=16,
        n_domains=2,
        n_dropped=0,
        log_n_bits=4.0,
        largest_gap_bits=None,
        lengths=[length],
        ranked_tokens=4,
        rows=[row],
        labels=[LabelRow(behavior="empty", reads_prompt=False, n_labeled=9, entropy_bits=BITS, share=None)],
        notes=["a note"],
    )
    return OutputInformation(
        split="in_distribution",
        n_bins=8,
        n_permutations=20,
        n_bootstrap=100,
        seed=0,
        ranked_by="share",
        primaries=[one],
        skipped={"other": "it cannot score"},
    )


def test_what_was_written_is_read_back() -> None:
    """The file gives the same figures again, whatever else stands in it."""
    content = json.loads(json.dumps({"schema_version": 1, **found().to_dict()}))
    assert information_from_dict(content) == found()


def test_damaged_files_are_refused() -> None:
    """A file with a part missing or of another kind is named, with what to do."""
    content = json.loads(json.dumps(found().to_dict()))
    for damaged in ([], None, {"primaries": 3}, {**content, "primaries": [{}]}, {"primaries": []}):
        with pytest.raises(RunError, match="run `metamodel information` again"):
            information_from_dict(damaged)


def test_the_page_shows_it_and_escapes_names(tmp_path: Path) -> None:
    """The section stands in a page with its figures; a name that is a script stays text."""
    sections = sections_of_file(json.loads(json.dumps(found().to_dict())))
    write_page(tmp_path / "page.html", "Page", sections)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "What outputs tell about prompts" in page
    assert "it cannot score" in page
    assert HOSTILE not in page
