"""What is wrong with single rows of a log: counted, the first ones kept in words."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_SHOWN = 20


@dataclass
class Problems:
    """Rows that cannot be used. They are reported and left out; the rest of the log is read.

    Attributes:
        n_rows: How many.
        shown: The first of them, each with file and line.
    """

    n_rows: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, problem: str, *, n_rows: int = 1) -> None:
        """Count a problem of one row or several alike."""
        self.n_rows += n_rows
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(problem)

    def summary(self) -> str:
        """Return one line: how many, and the first few."""
        more = f"; and {self.n_rows - 3} more" if self.n_rows > 3 else ""  # noqa: PLR2004 - as many as are shown
        return f"{self.n_rows} rows cannot be used: {'; '.join(self.shown[:3])}{more}"
