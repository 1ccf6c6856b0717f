"""A pre-screen as a plain function or a decorator, for any framework."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast, overload

from metamodel.screen.folder import load_screen
from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


class StoppedError(Exception):
    """A prompt was stopped, and nobody said what to do instead.

    Attributes:
        screened: The decision and what it rests on.
    """

    def __init__(self, screened: ScreenedPrompt) -> None:
        """Keep the decision; the message does not quote the prompt."""
        self.screened = screened
        super().__init__(f"stopped by {', '.join(screened.stopped_by)}")


class Guard:
    """Decides about a prompt, or stands before a function that takes one."""

    def __init__(
        self,
        screen: Screen,
        *,
        argument: str | None = None,
        on_stop: Callable[[str, ScreenedPrompt], object] | None = None,
    ) -> None:
        """Keep the pre-screen and what `guard` says of the rest."""
        self._screen, self._argument, self._on_stop = screen, argument, on_stop

    @overload
    def __call__(self, prompt: str) -> ScreenedPrompt: ...

    @overload
    def __call__(self, prompt: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]: ...

    def __call__(self, prompt: str | Callable[_Arguments, _Answer]) -> ScreenedPrompt | Callable[_Arguments, _Answer]:
        """Return the decision on a prompt; or, given a function, return it behind the pre-screen."""
        return self._screen([prompt])[0] if isinstance(prompt, str) else self._guarded(prompt)

    def _guarded(self, function: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
        signature = inspect.signature(function)
        argument = self._argument or next(iter(signature.parameters), None)
        if argument is None or argument not in signature.parameters:
            raise TypeError(f"the function has no argument {argument!r} to take the prompt from: name it at `argument`")

        def stopped_by(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> tuple[str, ScreenedPrompt] | None:
            prompt = signature.bind(*args, **kwargs).arguments.get(argument)
            if not isinstance(prompt, str):
                raise TypeError(f"{argument} is {type(prompt).__name__}, must be the prompt's text")
            screened = self(prompt)
            return (prompt, screened) if screened.decision == "stop" else None

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_coroutine(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> object:
                stopped = stopped_by(*args, **kwargs)
                if stopped is None:
                    return await function(*args, **kwargs)
                instead = self._instead(*stopped)
                return await instead if inspect.isawaitable(instead) else instead

            return cast("Callable[_Arguments, _Answer]", guarded_coroutine)

        @functools.wraps(function)
        def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
            stopped = stopped_by(*args, **kwargs)
            return function(*args, **kwargs) if stopped is None else cast("_Answer", self._instead(*stopped))

        return guarded

    def _instead(self, prompt: str, screened: ScreenedPrompt) -> object:
        if self._on_stop is None:
            raise StoppedError(screened)
        return self._on_stop(prompt, screened)


def guard(
    screen: str | Path | Screen,
    *,
    argument: str | None = None,
    on_stop: Callable[[str, ScreenedPrompt], object] | None = None,
) -> Guard:
    """Return a pre-screen as a function and a decorator.

    `guard(folder)(prompt)` returns the decision. `@guard(folder)` before a function, or a coroutine function, that
    takes a prompt calls it only with prompts that pass.

    Args:
        screen: Folder that `metamodel export` wrote, or a pre-screen.
        argument: The decorated function's argument with the prompt; the first one without.
        on_stop: Called with a stopped prompt and the decision; what it returns is the answer. Without it a stopped
            prompt raises StoppedError.

    Raises:
        DataError: The folder holds no pre-screen.
    """
    return Guard(screen if isinstance(screen, Screen) else load_screen(screen), argument=argument, on_stop=on_stop)
