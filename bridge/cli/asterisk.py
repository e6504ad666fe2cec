"""``callbridge asterisk``: an Asterisk of one's own, up and down."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.cli.command import Exit
from bridge.cli.optional import require_lab

if TYPE_CHECKING:
    from bridge.lab.asterisk import Instance

_FOLLOW_S: Final = 0.2

app = typer.Typer(
    name="asterisk",
    help="An Asterisk of your own: no root, no Docker, on loopback only.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Option("--name", help="Which instance; several run side by side.")]


@app.command()
def up(
    *,
    name: Name = "default",
    application: Annotated[
        str, typer.Option(help="The Stasis application that calls are handed to.")
    ] = "callbridge",
    music: Annotated[
        Path | None,
        typer.Option(
            help="A folder of sound files for those on hold; a folder in it is a class of its name."
        ),
    ] = None,
) -> None:
    """Start an Asterisk, or find that it runs; fetched on the first use."""
    require_lab()
    from bridge.lab.asterisk import Instance, external
    from bridge.lab.asterisk.progress import on_terminal

    ari = external.external_ari()
    if ari:
        version = external.probe(ari)
        typer.echo(f"{external.URL_VARIABLE} is set: Asterisk {version} at {ari.url} is used.")
        typer.echo("Nothing was started.")
        return
    if music is not None and Instance.find(name):
        typer.echo(f"instance {name} runs already: its music stays as it is.", err=True)
        typer.echo(f"For another: callbridge asterisk down --name {name}", err=True)
    with on_terminal() as progress:
        instance = Instance.ensure(name, progress=progress, application=application, music=music)
    _describe(instance)


@app.command()
def down(name: Name = "default") -> None:
    """Stop an Asterisk and remove all that it kept; the logs of one that died are kept."""
    require_lab()
    from bridge.lab.asterisk.instance import stop

    typer.echo(f"instance {name} is down" if stop(name) else f"no instance {name} was up")


@app.command()
def status(
    *,
    name: Name = "default",
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs; holds the passwords.")
    ] = False,
) -> None:
    """Print how an Asterisk is reached and who may sign in; exit code 3 if it does not run."""
    instance = _running(name)
    if as_json:
        typer.echo(json.dumps(asdict(instance.info), indent=2))
    else:
        _describe(instance)


@app.command()
def logs(
    *,
    name: Name = "default",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until it ends.")
    ] = False,
) -> None:
    """Print the last lines of an Asterisk's log."""
    instance = _running(name)
    path = instance.log_path
    seen = _size(path)
    typer.echo(instance.log_tail(lines))
    goes_on = follow
    while goes_on:
        # Asked before it is read: the last words of one that dies are what somebody waits for.
        goes_on = instance.is_running()
        if _size(path) < seen:
            # Asterisk was started again and writes a new file.
            seen = 0
        with contextlib.suppress(FileNotFoundError), path.open("rb") as log:
            log.seek(seen)
            text = log.read()
            seen += len(text)
            typer.echo(text.decode(errors="replace"), nl=False)
        if goes_on:
            time.sleep(_FOLLOW_S)


@app.command("list")
def list_instances() -> None:
    """Print the instances that run."""
    require_lab()
    from bridge.lab.asterisk import Instance

    for instance in Instance.all():
        info = instance.info
        typer.echo(f"{instance.name}\t{instance.pid}\t{info.version}\t{info.ari.url}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _running(name: str) -> Instance:
    """Return the running instance, or end with what to do."""
    require_lab()
    from bridge.lab.asterisk import Instance

    instance = Instance.find(name)
    if instance:
        return instance
    again = f"callbridge asterisk up --name {name}"
    crash = Instance.crash_report(name)
    if crash:
        typer.echo(f"{crash}\nStart it again: {again}", err=True)
    else:
        typer.echo(f"no instance {name} runs: {again}", err=True)
    raise typer.Exit(Exit.NOT_FOUND)


def _describe(instance: Instance) -> None:
    info = instance.info
    typer.echo(f"Asterisk {info.version}, instance {instance.name}, pid {instance.pid}")
    typer.echo(f"  ARI    {info.ari.url}  {info.ari.username} {info.ari.password}")
    typer.echo(f"  SIP    {info.sip.host}:{info.sip.port} ({info.sip.transport})")
    for account in info.accounts:
        typer.echo(f"  phone  {account.number} {account.password}")
    typer.echo(f"  state  {instance.state_dir}")
