"""What a gateway's config says, once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from metamodel.gateway.policy import Policy
from metamodel.protocols import Featurizer


@dataclass(frozen=True, kw_only=True)
class ListenPlan:
    """Where the gateway listens, and to whom.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        client_key_env: Environment variable with the key that clients must send; None lets in whoever can connect.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    client_key_env: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no port."""
        if not 0 <= self.port <= 65535:  # noqa: PLR2004 - as many ports as there are
            raise ValueError(f"port is {self.port}, must be from 0 to 65535")


@dataclass(frozen=True, kw_only=True)
class LimitPlan:
    """What one client can ask of the gateway.

    Attributes:
        max_in_flight: Calls at a time; one more is answered with 429 and Retry-After.
        max_body_bytes: Longest request.
        body_timeout_s: Time that a client has to send its request.
        max_screened_chars: Longest text that is screened; a longer one is `unscreened`, which the policy decides on.
    """

    max_in_flight: int = 256
    max_body_bytes: int = 16 * 2**20
    body_timeout_s: float = 30.0
    max_screened_chars: int = 100_000

    def __post_init__(self) -> None:
        """Refuse limits that let nothing through."""
        _refuse_below(self, 1, "max_in_flight", "max_body_bytes", "max_screened_chars")
        _refuse_not_positive(self, "body_timeout_s")


@dataclass(frozen=True, kw_only=True)
class UpstreamPlan:
    """An OpenAI-compatible endpoint.

    Attributes:
        base_url: Its address, which mostly ends in /v1.
        api_key_env: Environment variable with its key; None sends none.
        pass_key: Whether the client's own Authorization goes to it.
        timeout_s: Longest time for a whole call, streams included.
        silence_s: Longest time between two pieces of a stream once it has begun.
        connect_timeout_s: Longest time until a connection is made.
        max_attempts: Requests for the same call, the first included. A generation costs money and differs from the one
            before it, so that the default asks once.
        backoff_s: Longest first wait before another attempt; it doubles.
        max_reply_bytes: Longest reply that is no stream.
    """

    base_url: str
    api_key_env: str | None = None
    pass_key: bool = False
    timeout_s: float = 600.0
    silence_s: float = 120.0
    connect_timeout_s: float = 5.0
    max_attempts: int = 1
    backoff_s: float = 0.5
    max_reply_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        """Refuse addresses and times that mean nothing."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"base_url is {_without_secrets(self.base_url)!r}, must be such as https://HOST/v1")
        if parts.username or parts.password:
            raise ValueError("base_url holds a user or password: name an environment variable with api_key_env instead")
        if self.pass_key and self.api_key_env is not None:
            raise ValueError("pass_key is true and api_key_env is given: only one key can be sent")
        _refuse_not_positive(self, "timeout_s", "silence_s", "connect_timeout_s", "backoff_s")
        _refuse_below(self, 1, "max_attempts", "max_reply_bytes")


@dataclass(frozen=True, kw_only=True)
class FallbackPlan:
    """Where a call goes instead.

    Attributes:
        model: Name that replaces the request's; None keeps it.
        upstream: Endpoint; None is the main one.
    """

    model: str | None = None
    upstream: UpstreamPlan | None = None

    def __post_init__(self) -> None:
        """Refuse a fallback to the same model at the same place."""
        if self.model is None and self.upstream is None:
            raise ValueError("neither model nor upstream is given: the call would go where it goes anyway")


@dataclass(frozen=True, kw_only=True)
class ReadPlan:
    """Which text of a chat is screened: the one that the metamodel was trained on.

    Attributes:
        text: `last_user` takes the text of the last message of the user, `all_messages` that of all messages, and
            `template` what the template makes of them.
        separator: Between messages, and between the text parts of one message where it has several.
        template: For `template`: jinja2 over `messages`, each with `role` and `content`, a text.
    """

    text: Literal["last_user", "all_messages", "template"] = "last_user"
    separator: str = "\n\n"
    template: str | None = None

    def __post_init__(self) -> None:
        """Refuse a template that is not used, or none where one is."""
        if (self.text == "template") != (self.template is not None):
            raise ValueError(f"text is {self.text} and template is {self.template!r}: give both, or neither")


@dataclass(frozen=True, kw_only=True)
class ShadowPlan:
    """What is written down of calls, prompts and replies included.

    Attributes:
        folder: Folder of the log.
        enforce: Whether the policy acts all the same; without, every call goes to the upstream as it came.
        share: Share of calls that are written down, drawn at random.
        domain: Name of the input distribution that the calls come from, where no call names its own with the header
            x-metamodel-domain.
        max_file_bytes: Size at which a file is closed and another begun.
        max_files: Files kept; the oldest are deleted.
        fsync: When a line is made to outlive a power cut: `never`, with each `file`, or with each `line`. A killed
            process loses no line that was written in any case.
        max_waiting: Calls that wait to be written down; one more is dropped and counted.
        max_reply_bytes: Longest reply that is kept to be written down.
    """

    folder: str
    enforce: bool = False
    share: float = 1.0
    domain: str = "live"
    max_file_bytes: int = 64 * 2**20
    max_files: int = 16
    fsync: Literal["never", "file", "line"] = "file"
    max_waiting: int = 1000
    max_reply_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        """Refuse limits that keep nothing."""
        if not self.folder:
            raise ValueError("folder is empty, must name a folder")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}, must be above 0 and at most 1")
        if not self.domain:
            raise ValueError("domain is empty, must be a name")
        _refuse_below(self, 1, "max_files", "max_waiting", "max_reply_bytes")
        _refuse_below(self, 4096, "max_file_bytes")


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """A gateway.

    Attributes:
        screen: Folder of the pre-screen.
        listen: Where it listens.
        limits: What one client can ask of it.
        upstream: Where calls go.
        fallbacks: Where they can go instead, by name.
        read: Which text is screened.
        policy: What a decision leads to.
        shadow: What is written down; None writes nothing.
        featurizers: What labels the replies that are written down, by behavior.
    """

    screen: str
    listen: ListenPlan
    limits: LimitPlan
    upstream: UpstreamPlan
    fallbacks: Mapping[str, FallbackPlan]
    read: ReadPlan
    policy: Policy
    shadow: ShadowPlan | None = None
    featurizers: Mapping[str, Featurizer] = field(default_factory=dict)


def _without_secrets(url: str) -> str:
    return url.rsplit("@", 1)[-1]


def _refuse_below(plan: object, least: int, *names: str) -> None:
    for name in names:
        if getattr(plan, name) < least:
            raise ValueError(f"{name} is {getattr(plan, name)}, must be at least {least}")


def _refuse_not_positive(plan: object, *names: str) -> None:
    for name in names:
        if not getattr(plan, name) > 0:
            raise ValueError(f"{name} is {getattr(plan, name)}, must be above 0")
