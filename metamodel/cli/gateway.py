"""The command that puts a pre-screen in front of an OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import Annotated

import typer


def gateway(
    config: Annotated[str, typer.Argument(help="A YAML file, as configs/gateway.yaml.", metavar="CONFIG")],
    host: Annotated[str | None, typer.Option(help="Address to listen on, over what the config says.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, over what the config says.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Read the config and the pre-screen, then stop.")] = False,
) -> None:
    """Serve /v1/chat/completions and /v1/completions of an endpoint behind a pre-screen: pass, fall back or refuse."""
    import logging
    import sys

    from metamodel.bundled_configs import find_config
    from metamodel.gateway.app import Gateway
    from metamodel.gateway.config import load_gateway_config
    from metamodel.screen.folder import load_screen

    plan = load_gateway_config(find_config(config))
    screen = load_screen(plan.screen)
    unknown = sorted(set(plan.policy.behaviors) - {rule.behavior for rule in screen.rules})
    if unknown:
        from metamodel.errors import ConfigError, nearest_name_hint

        known = [rule.behavior for rule in screen.rules]
        problems = [
            f"policy.behaviors.{name}: the pre-screen has no such rule, {nearest_name_hint(name, known)}"
            for name in unknown
        ]
        raise ConfigError(problems, source=config)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    app = Gateway(plan, screen)
    where = f"http://{host or plan.listen.host}:{plan.listen.port if port is None else port}/v1"
    typer.echo(
        f"{len(screen.rules)} rules in front of {plan.upstream.base_url}; clients use base_url={where}", err=True
    )
    if check:
        import asyncio

        asyncio.run(app.close())
        return
    if plan.shadow is not None:
        typer.echo(f"prompts and replies are written to {plan.shadow.folder}", err=True)
        # Labeling shares the interpreter with the calls: these get their turn ten times as often.
        sys.setswitchinterval(0.0005)
    import uvicorn

    uvicorn.run(
        app,
        host=host or plan.listen.host,
        port=plan.listen.port if port is None else port,
        access_log=False,
        log_level="warning",
        server_header=False,
        lifespan="on",
    )
