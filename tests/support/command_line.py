"""All commands of ``callbridge``, as they can be typed."""

from __future__ import annotations

from typing import Any

import typer.main

from bridge.cli.main import app


def commands() -> dict[str, Any]:
    """Return every command, and group of them, by what is typed behind ``callbridge``."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], one: Any) -> None:
        found[" ".join(words)] = one
        for name, below in getattr(one, "commands", {}).items():
            walk((*words, name), below)

    walk((), typer.main.get_command(app))
    return found


def options_of(command: Any) -> set[str]:
    """Return all options of a command, and the names of its arguments."""
    return {option for one in command.params for option in (*one.opts, *one.secondary_opts)}


def options() -> dict[str, set[str]]:
    """Return the options of every command, by what is typed: ``callbridge calls``."""
    return {f"callbridge {words}".rstrip(): options_of(one) for words, one in commands().items()}
