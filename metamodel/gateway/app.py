"""The gateway as an ASGI application: routes, and what holds for every request."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, unquote

from metamodel.gateway.calls import CallHandler
from metamodel.gateway.clients import Client
from metamodel.gateway.errors import ApiError, UpstreamFaultError
from metamodel.gateway.header_rules import RawHeaders
from metamodel.gateway.measures import Measures
from metamodel.gateway.plans import GatewayConfig
from metamodel.gateway.requests import (
    COMPLETION_PATHS,
    MODEL_PATH,
    ClientCall,
    ClientGoneError,
    Message,
    Receive,
    Send,
    check_key,
    parse_body,
    read_body,
)
from metamodel.gateway.shadow import Shadow
from metamodel.gateway.upstream import Upstream
from metamodel.primaries.endpoint.keys import ApiKey
from metamodel.screen.screen import Screen

_logger = logging.getLogger(__name__)
_METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Gateway:
    """An OpenAI-compatible API in front of an endpoint, with a pre-screen between the two."""

    def __init__(self, config: GatewayConfig, screen: Screen) -> None:
        """Read the keys and open the shadow log.

        Raises:
            MetamodelError: An environment variable is not set, or the log's folder cannot be written.
        """
        self._config = config
        self._client_key = None if config.listen.client_key_env is None else ApiKey(config.listen.client_key_env)
        self._upstream = Upstream(config.upstream)
        self._fallbacks = {
            name: self._upstream if plan.upstream is None else Upstream(plan.upstream)
            for name, plan in config.fallbacks.items()
        }
        self._measures = Measures()
        self._shadow = (
            None
            if config.shadow is None
            else Shadow(config.shadow, config.featurizers, screen.spaces, on_fate=self._measures.shadow.labels)
        )
        self._calls = CallHandler(config, screen, self._upstream, self._fallbacks, self._measures, shadow=self._shadow)
        self._n_in_flight = 0
        self._is_stopping = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, Client(receive, send), receive)
        else:
            raise NotImplementedError(scope["type"])

    async def close(self) -> None:
        """Close connections and write down what waits."""
        for upstream in {self._upstream, *self._fallbacks.values()}:
            await upstream.close()
        if self._shadow is not None:
            await asyncio.to_thread(self._shadow.close)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._is_stopping = True
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Message, client: Client, receive: Receive) -> None:
        path, method, headers = str(scope["path"]), str(scope["method"]), list(scope["headers"])
        try:
            await self._route(path, method, headers, client, receive)
        except ClientGoneError:
            self._measures.gone.inc()
        except ApiError as error:
            await client.fail(error, {})
        except UpstreamFaultError as fault:
            self._measures.faults.labels(kind=str(fault.api_error.status)).inc()
            await client.fail(fault.api_error, {})
        except Exception as error:  # noqa: BLE001 - a bug must reach the client as an error object too
            # The type alone: the message of an error may hold what the prompt says.
            _logger.error("a request failed with %s", type(error).__name__)  # noqa: TRY400 - nor may the traceback
            await client.fail(
                ApiError(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed", code="gateway_error", kind="server_error"
                ),
                {},
            )

    async def _route(self, path: str, method: str, headers: RawHeaders, client: Client, receive: Receive) -> None:
        if path in ("/health", "/ready", "/metrics"):
            _check_method(method, "GET")
            await self._tell_state(path, client)
            return
        check_key(headers, self._client_key)
        if path in COMPLETION_PATHS:
            _check_method(method, "POST")
            await self._complete(COMPLETION_PATHS[path], headers, client, receive)
        elif path == MODEL_PATH or path.startswith(f"{MODEL_PATH}/"):
            _check_method(method, "GET")
            await client.unless_gone(self._models(path.removeprefix("/v1"), headers, client))
        else:
            raise ApiError(
                HTTPStatus.NOT_FOUND,
                f"unknown path: known are {', '.join(COMPLETION_PATHS)} and {MODEL_PATH}",
                code="unknown_url",
            )

    async def _tell_state(self, path: str, client: Client) -> None:
        if path == "/metrics":
            await client.answer(HTTPStatus.OK, self._measures.exposition(), [], kind=_METRICS_TYPE)
            return
        is_ready = not self._is_stopping
        status = HTTPStatus.OK if is_ready or path == "/health" else HTTPStatus.SERVICE_UNAVAILABLE
        state: Mapping[str, object] = {"status": "ok" if is_ready else "stopping", "in_flight": self._n_in_flight}
        await client.answer(status, json.dumps(state).encode(), [])

    async def _complete(self, api: str, headers: RawHeaders, client: Client, receive: Receive) -> None:
        limits = self._config.limits
        if self._n_in_flight >= limits.max_in_flight:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the gateway has {limits.max_in_flight} calls under way",
                code="gateway_busy",
                kind="rate_limit_error",
                headers={"retry-after": "1"},
            )
        self._n_in_flight += 1
        self._measures.in_flight.set(self._n_in_flight)
        try:
            content = await read_body(receive, headers, limits)
            call = ClientCall(api=api, content=content, body=parse_body(content), headers=headers)
            await client.unless_gone(self._calls.handle(call, client))
        finally:
            self._n_in_flight -= 1
            self._measures.in_flight.set(self._n_in_flight)

    async def _models(self, path: str, headers: RawHeaders, client: Client) -> None:
        if any(part in (".", "..") for part in unquote(path).split("/")):
            raise ApiError(HTTPStatus.NOT_FOUND, "unknown path", code="unknown_url")
        async with (
            self._upstream.call("GET", quote(path), content=None, headers=headers, is_stream=False) as reply,
            asyncio.timeout(self._config.upstream.timeout_s),
        ):
            content = await reply.read()
            await client.answer(reply.status, content, reply.headers, kind=reply.content_type.encode() or b"text/plain")


def _check_method(method: str, allowed: str) -> None:
    if method != allowed:
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{method[:20]} is not possible here, {allowed} is",
            code="method_not_allowed",
            headers={"allow": allowed},
        )
