"""One call for a completion: screen it, do what the policy says, and bring the reply back."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from metamodel.gateway.clients import Client, to_raw
from metamodel.gateway.errors import ApiError, UpstreamFaultError, timed_out, upstream_fault
from metamodel.gateway.measures import Measures
from metamodel.gateway.plans import GatewayConfig, UpstreamPlan
from metamodel.gateway.policy import Action, decision_headers
from metamodel.gateway.refusals import refusal, refusal_events
from metamodel.gateway.rendering import ReadPrompts, read_prompts
from metamodel.gateway.requests import ClientCall, header
from metamodel.gateway.shadow import Exchange, Shadow
from metamodel.gateway.streaming import EventRelay
from metamodel.gateway.upstream import Upstream, UpstreamReply, check_stream, checked_completion
from metamodel.primaries.endpoint.pacing import SystemClock
from metamodel.primaries.endpoint.retries import RetryPolicy
from metamodel.screen.screen import Screen
from metamodel.screen.screened import ScreenedPrompt

_logger = logging.getLogger(__name__)
UPSTREAM: Final = "upstream"
DOMAIN_HEADER: Final = b"x-metamodel-domain"
_DOMAIN_CHARS: Final = 100
# Longer texts, and every text where the metamodel is slow, are screened in a thread so that streams go on meanwhile.
_INLINE_CHARS: Final = 4000
_INLINE_S: Final = 0.001
# The fastest of several: a machine that is busy for a moment must not send every text to a thread for good.
_TRIALS: Final = 5
_MAX_RETRY_WAIT_S: Final = 30.0
_PASS: Final = Action(action="pass")


@dataclass(kw_only=True)
class _Course:
    """A call on its way.

    Attributes:
        call: The request.
        read: The texts it is screened by.
        screened: The decisions on them; empty where there is none.
        chosen: What the policy says.
        action: What is done; less than that where the gateway only watches.
        headers: What the response says of the decision.
        started_s: When it began.
        reply: The reply's bytes, kept for the shadow log.
        is_whole: Whether the reply came to its end.
        error: Code of the error that the client got.
    """

    call: ClientCall
    read: ReadPrompts
    screened: Sequence[ScreenedPrompt]
    chosen: Action
    action: Action
    headers: Mapping[str, str]
    started_s: float
    reply: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    error: str | None = None


class CallHandler:
    """Handles calls; knows no HTTP but the client's and the upstreams' ends."""

    def __init__(
        self,
        config: GatewayConfig,
        screen: Screen,
        upstream: Upstream,
        fallbacks: Mapping[str, Upstream],
        measures: Measures,
        *,
        shadow: Shadow | None,
    ) -> None:
        """Keep what calls need, and find out whether the pre-screen answers fast enough to wait for it."""
        self._config, self._screen, self._measures, self._shadow = config, screen, measures, shadow
        self._upstream, self._fallbacks = upstream, fallbacks
        self._is_fast = min(_screening_s(screen) for _ in range(_TRIALS)) < _INLINE_S

    async def handle(self, call: ClientCall, client: Client) -> None:
        """Bring the reply of a call to its client."""
        course = await self._begin(call)
        try:
            await self._act(course, client)
            course.is_whole = course.error is None
        except (ApiError, UpstreamFaultError) as error:
            await self._fail(course, client, error)
        finally:
            self._measures.calls.labels(api=call.api, action=course.action.action, status=str(client.status)).inc()
            self._write_down(course)

    async def _begin(self, call: ClientCall) -> _Course:
        started_s = time.perf_counter()
        read = read_prompts(
            call.body, self._config.read, is_chat=call.is_chat, max_chars=self._config.limits.max_screened_chars
        )
        screened = await self._screened(read.texts)
        chosen = self._config.policy.choose(screened)
        only_watches = self._config.shadow is not None and not self._config.shadow.enforce
        action = _PASS if only_watches else chosen
        headers = {} if action.action == "pass" else decision_headers(screened, action, read.warnings)
        self._measures.screen_s.observe(time.perf_counter() - started_s)
        decision = "none" if not screened else "stop" if any(one.decision == "stop" for one in screened) else "pass"
        self._measures.decisions.labels(decision=decision).inc()
        return _Course(
            call=call, read=read, screened=screened, chosen=chosen, action=action, headers=headers, started_s=started_s
        )

    async def _screened(self, texts: Sequence[str]) -> Sequence[ScreenedPrompt]:
        if not texts:
            return ()
        try:
            if self._is_fast and sum(map(len, texts)) <= _INLINE_CHARS:
                return self._screen(texts)
            return await asyncio.to_thread(self._screen, texts)
        except Exception as error:  # noqa: BLE001 - a metamodel that fails must not end all traffic
            _logger.error("the pre-screen failed with %s", type(error).__name__)  # noqa: TRY400 - it may say the prompt
            return ()

    async def _act(self, course: _Course, client: Client) -> None:
        action, call = course.action, course.call
        if action.action == "refuse":
            await self._refuse(course, client)
            return
        upstream, content = self._upstream, call.content
        if action.to is not None:
            plan = self._config.fallbacks[action.to]
            upstream = self._fallbacks[action.to]
            if plan.model is not None:
                content = json.dumps({**call.body, "model": plan.model}).encode()
        try:
            async with asyncio.timeout(upstream.plan.timeout_s), AsyncExitStack() as stack:
                reply, whole = await self._reply(stack, upstream, content, call)
                if whole is None:
                    await self._relay(course, reply, client)
                else:
                    self._keep(course, whole)
                    await client.answer(reply.status, whole, [*reply.headers, *to_raw(course.headers)])
                    self._measures.first_piece_s.observe(time.perf_counter() - course.started_s)
        except TimeoutError:
            raise timed_out("whole reply", upstream.plan.timeout_s) from None

    async def _reply(
        self, stack: AsyncExitStack, upstream: Upstream, content: bytes, call: ClientCall
    ) -> tuple[UpstreamReply, bytes | None]:
        """Return a stream that has begun and None, or another reply and its content; tries as often as configured."""

        async def attempt() -> tuple[UpstreamReply, bytes | None]:
            reply = await stack.enter_async_context(
                upstream.call("POST", call.path, content=content, headers=call.headers, is_stream=call.is_stream)
            )
            if call.is_stream:
                check_stream(reply.content_type)
                return reply, None
            return reply, checked_completion(await reply.read(), reply.content_type)

        if upstream.plan.max_attempts == 1:
            return await attempt()
        return await _retry_policy(upstream.plan).run(attempt, SystemClock())

    async def _relay(self, course: _Course, reply: UpstreamReply, client: Client) -> None:
        await client.begin_stream(reply.status, [*reply.headers, *to_raw(course.headers)])
        relay, is_first = EventRelay(), True
        try:
            async for piece in reply.pieces():
                events = relay.feed(piece)
                if events:
                    await client.push(events)
                    self._keep(course, events)
                    if is_first:
                        is_first = False
                        self._measures.first_piece_s.observe(time.perf_counter() - course.started_s)
        except UpstreamFaultError:
            # After the last event nothing is lost but the goodbye.
            if not relay.is_ended:
                raise
        last = relay.finish()
        if last:
            await client.push(last)
            self._keep(course, last)
        if not relay.is_ended:
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream ended its stream before the reply", code="upstream_cut_off"
            )
        await client.end_stream()

    async def _refuse(self, course: _Course, client: Client) -> None:
        call, message, n_prompts = course.call, course.action.shown_message, len(course.read.texts)
        headers = to_raw(course.headers)
        if not call.is_stream:
            content = refusal(call.body, message, is_chat=call.is_chat, n_prompts=n_prompts)
            await client.answer(HTTPStatus.OK, json.dumps(content).encode(), headers)
            return
        await client.begin_stream(HTTPStatus.OK, headers)
        for event in refusal_events(call.body, message, is_chat=call.is_chat, n_prompts=n_prompts):
            await client.push(event)
        await client.end_stream()

    async def _fail(self, course: _Course, client: Client, error: ApiError | UpstreamFaultError) -> None:
        shown = error.api_error if isinstance(error, UpstreamFaultError) else error
        course.error = shown.code
        # An upstream's own codes may be any text; a label must not.
        kind = shown.code if shown.code.startswith("upstream_") else f"upstream_http_{shown.status}"
        self._measures.faults.labels(kind=kind).inc()
        await client.fail(shown, course.headers)

    def _keep(self, course: _Course, content: bytes) -> None:
        plan = self._config.shadow
        # One byte more than is allowed says that the reply is too long.
        if plan is not None and len(course.reply) <= plan.max_reply_bytes:
            course.reply += content[: plan.max_reply_bytes + 1 - len(course.reply)]

    def _write_down(self, course: _Course) -> None:
        plan = self._config.shadow
        if self._shadow is None or plan is None or not course.read.texts or not course.screened:
            return
        if plan.share < 1 and random.random() >= plan.share:  # noqa: S311 - a sample, no secret
            return
        action, call = course.action, course.call
        fallback = self._config.fallbacks.get(action.to) if action.to is not None else None
        named = header(call.headers, DOMAIN_HEADER)
        is_domain = 0 < len(named) <= _DOMAIN_CHARS and named.isprintable()
        self._shadow.put(
            Exchange(
                api=call.api,
                model=fallback.model if fallback is not None and fallback.model is not None else call.model,
                answered_by=action.to or ("" if action.action == "refuse" else UPSTREAM),
                domain=named if is_domain else plan.domain,
                prompts=course.read.texts,
                screened=tuple(course.screened),
                chosen=course.chosen.action,
                action=action.action,
                reply=bytes(course.reply),
                is_stream=call.is_stream,
                is_whole=course.is_whole and len(course.reply) <= plan.max_reply_bytes,
                error=course.error,
            )
        )


def _retry_policy(plan: UpstreamPlan) -> RetryPolicy:
    return RetryPolicy(max_attempts=plan.max_attempts, backoff_s=plan.backoff_s, max_wait_s=_MAX_RETRY_WAIT_S)


def _screening_s(screen: Screen) -> float:
    started_s = time.perf_counter()
    screen(["a short prompt, to see how long one takes"])
    return time.perf_counter() - started_s
