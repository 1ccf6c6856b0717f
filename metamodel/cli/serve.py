"""The command that serves a pre-screen over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(  # noqa: PLR0913 - an argument a limit, and each has a default
    folder: Annotated[Path, typer.Argument(help="A pre-screen that `metamodel export` wrote.", metavar="DIR")],
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one and logs it.")] = 8765,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    max_batch: Annotated[int, typer.Option(help="Most prompts in one request.")] = 256,
    max_prompt_characters: Annotated[int, typer.Option(help="Most characters in one prompt.")] = 100_000,
    max_body_bytes: Annotated[int, typer.Option(help="Most bytes in one request's body.")] = 4 * 2**20,
    queue: Annotated[int, typer.Option(help="Most requests of a worker that wait at once; the next gets 429.")] = 256,
    max_connections: Annotated[int, typer.Option(help="Most open connections of a worker.")] = 512,
    timeout: Annotated[float, typer.Option(help="Longest wait for a prediction, in seconds; then 503.")] = 10.0,
    receive_timeout: Annotated[
        float, typer.Option(help="Longest that a client may take to send a request, in seconds; then 408.")
    ] = 10.0,
    shutdown_timeout: Annotated[
        float, typer.Option(help="Longest that a stopping worker finishes what it accepted, in seconds.")
    ] = 30.0,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Write the text of prompts into the log.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line in the log for each request.")] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Load the folder again whenever its screen.json changes.")
    ] = False,
) -> None:
    """Serve a pre-screen over HTTP: POST /v1/screen, GET /health, /ready, /metrics, /docs and /openapi.json.

    With METAMODEL_SERVE_KEY in the environment, /v1/screen and /metrics want Authorization: Bearer KEY. The log goes to
    stderr, one JSON object a line, without the text of prompts; its line "ready" says that requests are answered.
    SIGHUP loads the folder again (a broken one changes nothing), SIGTERM stops after finishing what was accepted.
    """
    from metamodel.serve.running import serve as serve_until_stopped
    from metamodel.serve.settings import ServeSettings

    settings = ServeSettings(
        folder=folder,
        host=host,
        port=port,
        workers=workers,
        max_batch=max_batch,
        max_prompt_characters=max_prompt_characters,
        max_body_bytes=max_body_bytes,
        queue=queue,
        max_connections=max_connections,
        timeout_s=timeout,
        receive_s=receive_timeout,
        shutdown_s=shutdown_timeout,
        log_prompts=log_prompts,
        log_requests=not quiet,
        reload=reload,
    )
    serve_until_stopped(settings)
