"""What a worker holds while it serves, from start to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from metamodel.serve.limits import BodyBudget
from metamodel.serve.logs import log, send_server_records_here
from metamodel.serve.metrics import Metrics
from metamodel.serve.reloading import Loaded, Served, load
from metamodel.serve.settings import ServeSettings
from metamodel.serve.watching import Watching
from metamodel.serve.work import Work

# Bodies of so many requests of the largest size fit into memory at once; those of usual size are limited by the queue.
_LARGEST_BODIES = 16
# The event loop gets its turn so fast while the prediction thread is at work.
_SWITCH_INTERVAL_S = 0.0005
_AMONG_OTHERS_EVERY_S = 1.0


class Service:
    """What requests need."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, first: Loaded) -> None:
        """Put the pre-screen in service, in the running event loop."""
        self.settings, self.metrics = settings, metrics
        self.served = Served(settings.folder, first, on_reload=self._reloaded)
        self.work = Work(queue=settings.queue, timeout_s=settings.timeout_s, s_per_character=first.s_per_character)
        self.budget = BodyBudget(_LARGEST_BODIES * settings.max_body_bytes)
        self.watching = Watching()

    def _reloaded(self, succeeded: bool) -> None:  # noqa: FBT001 - what a callback is told
        self.metrics.reloaded(succeeded)
        if succeeded:
            self.work.expect(self.served.current.s_per_character)

    def gauge(self) -> None:
        """Bring the gauges up to date."""
        self.metrics.gauge(n_waiting=self.work.n_waiting, drift=self.watching.report())

    def metrics_text(self) -> bytes:
        """Return the page of metrics."""
        self.gauge()
        return self.metrics.text()


@asynccontextmanager
async def running_service(settings: ServeSettings, metrics: Metrics, *, first: Loaded | None) -> AsyncIterator[Service]:
    """Run what a service does beside answering: reload on SIGHUP, watch the folder, end with the parent process."""
    send_server_records_here()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    service = Service(settings, metrics, first or load(settings.folder))
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(service.served.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    has_signals = hasattr(signal, "SIGHUP")
    if has_signals:
        # Not in the main thread, as in tests: then nobody can signal it either.
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGHUP, reload)
    if settings.reload:
        tasks.add(loop.create_task(service.served.watch(settings.reload_every_s)))
    if settings.workers > 1:
        tasks.add(loop.create_task(_live_among_others(service)))
    try:
        yield service
    finally:
        for task in tasks:
            task.cancel()
        service.work.close()
        sys.setswitchinterval(interval)


async def _live_among_others(service: Service) -> None:
    """Keep the gauges up to date for whichever worker is asked; stop where the process that watches over all is gone.

    Were it killed, nobody would ever stop the workers.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        service.gauge()
        await asyncio.sleep(_AMONG_OTHERS_EVERY_S)
    log("warning", "orphaned")
    signal.raise_signal(signal.SIGTERM)
