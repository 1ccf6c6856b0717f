"""The application of one worker: what it answers to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope

from metamodel.serve import bodies
from metamodel.serve.errors import Refusal, bug
from metamodel.serve.keys import Door
from metamodel.serve.limits import header
from metamodel.serve.metrics import CONTENT_TYPE, Metrics
from metamodel.serve.observed import Handler, ObservedApp, refusal_response
from metamodel.serve.openapi import described
from metamodel.serve.reloading import Loaded
from metamodel.serve.screening import Screening
from metamodel.serve.service import Service, running_service
from metamodel.serve.settings import ServeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_DESCRIPTION = "Decides about prompts before the primary model is called."


def build_app(settings: ServeSettings, *, first: Loaded | None = None) -> ObservedApp:
    """Return the ASGI application.

    Args:
        settings: How to serve.
        first: The pre-screen, where it is loaded already; otherwise it is loaded when the worker starts.

    Raises:
        MetamodelError: The key in the environment can be no key.
    """
    metrics, door = Metrics(), Door.from_environment()
    started: list[Service] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running_service(settings, metrics, first=first) as service:
            started.append(service)
            yield

    app = FastAPI(
        title="metamodel pre-screen",
        description=_DESCRIPTION,
        version="1",
        lifespan=lifespan,
        # The pages that FastAPI has for it load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(HTTPException, _refuse_unknown)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(Exception, _admit_bug)

    async def answer_screen(scope: Scope, receive: Receive) -> Response:
        door.check(header(scope, b"authorization"))
        return Response(await Screening(started[0]).answer(scope, receive), media_type="application/json")

    _add_screen(app, answer_screen)
    _add_state(app, started, door)
    _add_docs(app, started, door, settings)
    return ObservedApp(app, settings, metrics, direct={("POST", "/v1/screen"): answer_screen})


async def _refuse_unknown(request: Request, error: Exception) -> Response:
    """Give FastAPI's own refusals (no such path, no such method) the form of all others."""
    if not isinstance(error, HTTPException):
        raise error
    return await _refuse(
        request, Refusal(error.status_code, "no_such_path_or_method", error.detail, headers=error.headers)
    )


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return refusal_response(request.scope, error)


async def _admit_bug(request: Request, _: Exception) -> Response:
    """Answer; the error goes on to who writes the log."""
    return refusal_response(request.scope, bug())


_COMMON: Mapping[int | str, dict[str, object]] = {
    401: {"model": bodies.ErrorAnswer, "description": "The key is missing or another one."},
}
_REFUSALS: Mapping[int | str, dict[str, object]] = {
    400: {"model": bodies.ErrorAnswer, "description": "The body is no JSON."},
    408: {"model": bodies.ErrorAnswer, "description": "The request took too long to arrive."},
    413: {"model": bodies.ErrorAnswer, "description": "The body is too large."},
    415: {"model": bodies.ErrorAnswer, "description": "The body is not said to be JSON."},
    422: {"model": bodies.ErrorAnswer, "description": "The body is not as documented, or asks for too much."},
    429: {"model": bodies.ErrorAnswer, "description": "Too many requests wait: come back after Retry-After."},
    503: {"model": bodies.ErrorAnswer, "description": "No prediction in time, or the server stops."},
}


def _add_screen(app: FastAPI, answer: Handler) -> None:
    @app.post(
        "/v1/screen",
        response_model=bodies.ScreenAnswer,
        response_model_exclude_none=True,
        responses={**_COMMON, **_REFUSALS},
        operation_id="screen",
    )
    async def screen(request: Request) -> Response:
        """Decide about one or many prompts: whether to let each one through to the primary model."""
        return await answer(request.scope, request.receive)


def _add_state(app: FastAPI, started: list[Service], door: Door) -> None:
    @app.get("/health", response_model=bodies.HealthAnswer, operation_id="health")
    async def health() -> bodies.HealthAnswer:
        """Say that the process answers."""
        return bodies.HealthAnswer(status="ok")

    @app.get("/ready", response_model=bodies.ReadyAnswer, operation_id="ready")
    async def ready() -> bodies.ReadyAnswer:
        """Say which pre-screen is in service, and why the folder's present content is not, if it is not."""
        served = started[0].served
        return bodies.ReadyAnswer(
            ready=True,
            screen=served.current.version,
            loaded_at=served.current.loaded_at,
            behaviors=list(served.current.behaviors),
            rules=len(served.current.screen.rules),
            reload_error=served.reload_error,
        )

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_COMMON},
        operation_id="metrics",
    )
    async def metrics(request: Request) -> Response:
        """Count requests, decisions and warnings, in Prometheus' words."""
        door.check(header(request.scope, b"authorization"))
        return Response(started[0].metrics_text(), headers={"content-type": CONTENT_TYPE})


def _add_docs(app: FastAPI, started: list[Service], door: Door, settings: ServeSettings) -> None:
    def schema() -> dict[str, object]:
        behaviors = started[0].served.current.behaviors if started else ()
        return described(app, settings, behaviors, needs_key=door.is_locked)

    app.openapi = schema  # type: ignore[method-assign] # FastAPI's documented way to extend the schema

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, object]:
        return schema()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        from metamodel.serve.docs_page import docs_page

        return HTMLResponse(docs_page(schema()))
