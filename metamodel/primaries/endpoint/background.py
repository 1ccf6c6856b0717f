"""Asynchronous work behind a synchronous generator: a thread with an event loop for as long as a `with` block."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

_Result = TypeVar("_Result")


class Finished(NamedTuple, Generic[_Result]):
    """What has ended.

    Attributes:
        results: Of coroutines that returned.
        error: Of the first that did not.
    """

    results: list[_Result]
    error: BaseException | None


class Background(Generic[_Result]):
    """Runs coroutines while `resource` is open; leaving cancels what still runs, and leaves no thread behind."""

    def __init__(self, resource: AbstractAsyncContextManager[object]) -> None:
        """Keep the resource; the thread starts with the block."""
        self._resource = resource
        self._tasks: set[asyncio.Task[_Result]] = set()
        self._ended: queue.SimpleQueue[asyncio.Task[_Result] | Future[_Result]] = queue.SimpleQueue()
        self._started: Future[None] = Future()
        # A daemon, for an abandoned generator must not keep the interpreter from exiting.
        self._thread = threading.Thread(target=self._run, name="metamodel-endpoint", daemon=True)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.n_running = 0

    def __enter__(self) -> Self:
        """Start the thread and open the resource."""
        self._thread.start()
        try:
            self._started.result()
        except BaseException:  # also an interrupt: the thread must not outlive it
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what runs, close the resource, end the thread."""
        self._end()

    def start(self, coroutine: Coroutine[object, object, _Result]) -> None:
        """Run a coroutine."""
        if self._loop is None:
            raise RuntimeError("the thread has not started")
        self.n_running += 1
        self._loop.call_soon_threadsafe(self._create, coroutine)

    def wait(self) -> Finished[_Result]:
        """Wait until something has ended, and return all that has."""
        ended = [self._ended.get()]
        with suppress(queue.Empty):
            while True:
                ended.append(self._ended.get_nowait())
        self.n_running -= len(ended)
        errors = [error for future in ended if (error := future.exception()) is not None]
        results = [future.result() for future in ended if future.exception() is None]
        return Finished(results, errors[0] if errors else None)

    def _end(self) -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _create(self, coroutine: Coroutine[object, object, _Result]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[_Result]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains of those that come after the first
        self._ended.put(task)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
            if not self._started.done():
                self._started.set_exception(error)
            else:
                failed: Future[_Result] = Future()
                failed.set_exception(error)
                self._ended.put(failed)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._resource:
            self._started.set_result(None)
            await self._stop.wait()
            # Only what was started here: the tasks of a library are its own to cancel, in its order.
            running = list(self._tasks)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
