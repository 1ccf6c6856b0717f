"""Drift of the prompts that come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt

if TYPE_CHECKING:
    from metamodel.screen.drift import DriftMonitor


class Watching:
    """Shows decisions to a drift monitor: a new one for each pre-screen, whose training prompts are others.

    A pre-screen that does not know its training prompts is not watched: there is nothing to compare with.
    """

    def __init__(self) -> None:
        """Begin with nothing to watch."""
        self._screen: Screen | None = None
        self._monitor: DriftMonitor | None = None

    def see(self, screen: Screen, screened: Sequence[ScreenedPrompt]) -> None:
        """Compare prompts with those that the pre-screen was trained on."""
        if screen is not self._screen:
            self._begin(screen)
        if self._monitor is not None:
            self._monitor.see_prompts(screened)

    def report(self) -> Mapping[str, float]:
        """Return what the monitor says, by the name of the statistic."""
        if self._monitor is None:
            return {}
        report = self._monitor.report()
        return {
            "n_prompts": report.n_prompts,
            "n_unfamiliar": report.n_unfamiliar,
            "log10_inputs": report.log10_inputs,
            "have_inputs_drifted": float(report.have_inputs_drifted),
        }

    def _begin(self, screen: Screen) -> None:
        from metamodel.screen.drift import DriftMonitor

        self._screen = screen
        self._monitor = None if screen.familiarity is None else DriftMonitor(screen)
