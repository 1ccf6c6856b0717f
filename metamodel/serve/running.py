"""Start, watch over and stop the workers."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from uvicorn import Config, Server

from metamodel.errors import MetamodelError
from metamodel.serve.keys import Door
from metamodel.serve.logs import log
from metamodel.serve.reloading import load
from metamodel.serve.settings import KEY_VARIABLE, SHARED_METRICS_VARIABLE, ServeSettings

if TYPE_CHECKING:
    from metamodel.serve.observed import ObservedApp
    from metamodel.serve.reloading import Loaded

_BACKLOG = 2048
_LOOPBACK = ("127.", "::1", "localhost")


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted.

    Raises:
        MetamodelError: The folder holds no pre-screen that predicts, or its address cannot be listened on.
    """
    door = Door.from_environment()
    first = load(settings.folder)
    listener = _listener(settings.host, settings.port)
    if not door.is_locked and not settings.host.startswith(_LOOPBACK):
        log("warning", "open_to_everyone", message=f"set {KEY_VARIABLE} to let in only who brings the key")
    # Uvicorn ends by sending itself the signal again that stopped it: stopping as told is no failure.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    with listener:
        if settings.workers == 1:
            say_ready = partial(announce, settings, listener, first.version)
            _Announced(_config(settings, first), say_ready).run(sockets=[listener])
        else:
            # Each worker loads its own: this process need not keep one.
            version = first.version
            del first
            _serve_with_workers(settings, listener, partial(announce, settings, listener, version))
    log("info", "stopped")


def announce(settings: ServeSettings, listener: socket.socket, version: str) -> None:
    """Say in the log that requests are answered now, and where: whoever started the server may wait for this line."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log("info", "ready", url=url, port=port, workers=settings.workers, screen=version)


class _Announced(Server):
    """A server that says when it is ready."""

    def __init__(self, config: Config, say_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_ready = say_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._say_ready()


def worker_app(settings: ServeSettings, first: Loaded | None = None) -> ObservedApp:
    """Return the application of a worker; it is imported in the worker alone."""
    from metamodel.serve.app import build_app

    return build_app(settings, first=first)


def _config(settings: ServeSettings, first: Loaded | None) -> Config:
    from metamodel.serve.protocol import GuardedProtocol

    return Config(
        partial(worker_app, settings, first),
        factory=True,
        interface="asgi3",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        workers=settings.workers,
        timeout_keep_alive=math.ceil(settings.keep_alive_s),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_s),
    )


def _serve_with_workers(settings: ServeSettings, listener: socket.socket, say_ready: Callable[[], None]) -> None:
    # Before the workers import the client library, which looks for it then.
    shared = tempfile.mkdtemp(prefix="metamodel-metrics-")
    os.environ[SHARED_METRICS_VARIABLE] = shared
    try:
        from metamodel.serve.workers import Workers

        Workers(_config(settings, None), listener, say_ready).run()
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _listener(host: str, port: int) -> socket.socket:
    """Return a bound socket; it begins to listen when a worker is ready."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise MetamodelError(
            f"cannot listen on {host}, port {port}: {error}; choose another --host or --port"
        ) from error
    listener.set_inheritable(True)
    return listener
