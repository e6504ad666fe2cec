"""Asterisk's configuration: the templates of ``asterisk-conf`` filled in for one instance."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import jinja2

from bridge.lab.asterisk.folders import templates
from bridge.lab.asterisk.info import Account, AriInfo, InstanceInfo, SipInfo
from bridge.lab.asterisk.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.lab.asterisk.installation import Installation
    from bridge.lab.asterisk.ports import Ports

ARI_USERNAME = "callbridge"
CODECS = ("slin16", "slin", "g722", "ulaw", "alaw")
"""What phones may speak, best first: L16 at 16 and 8 kHz, G.722, G.711."""
_FIRST_NUMBER = 1001
_ACCOUNTS = 10
_SUBFOLDERS = ("agi", "db", "etc", "keys", "log", "spool", "varlib")


def new_secrets() -> tuple[str, tuple[Account, ...]]:
    """Return a fresh password for ARI and the ten phone accounts, each with its own."""
    numbers = range(_FIRST_NUMBER, _FIRST_NUMBER + _ACCOUNTS)
    accounts = tuple(Account(str(number), secrets.token_hex(12)) for number in numbers)
    return secrets.token_urlsafe(24), accounts


def make_info(
    version: str, ports: Ports, ari_password: str, accounts: tuple[Account, ...]
) -> InstanceInfo:
    """Put together what is known of an instance before it runs."""
    url = f"http://{LOOPBACK}:{ports.http}/ari"
    return InstanceInfo(
        version=version,
        ari=AriInfo(url=url, username=ARI_USERNAME, password=ari_password),
        sip=SipInfo(host=LOOPBACK, port=ports.sip, transport="udp"),
        accounts=accounts,
    )


def render(
    *,
    installation: Installation,
    info: InstanceInfo,
    ports: Ports,
    application: str,
    state_dir: Path,
    run_dir: Path,
    music: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """Return the configuration files by name.

    music: folders of music classes; ``default``, if it is not among them, is what the installation
    brings.
    """
    brought = {} if installation.music is None else {"default": installation.music}
    classes = {**brought, **(music or {})}
    paths = {
        "state": state_dir,
        "etc": state_dir / "etc",
        "log": state_dir / "log",
        "varlib": state_dir / "varlib",
        "run": run_dir,
        "modules": installation.modules,
        "data": installation.data,
        "sbin": installation.sbin,
    }

    def installed(lines: str) -> str:
        return _only_installed(lines, installation.modules)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - these are not pages for a browser
    )
    environment.filters["installed"] = installed
    context = {
        "paths": paths,
        "ari": info.ari,
        "http_port": ports.http,
        "sip_port": ports.sip,
        "rtp_ports": {"start": ports.rtp_start, "end": ports.rtp_end},
        "accounts": info.accounts,
        "codecs": CODECS,
        "application": application,
        "music": classes,
    }
    names = environment.list_templates(extensions=["conf", "j2"])
    return {
        name.removesuffix(".j2"): environment.get_template(name).render(context) for name in names
    }


def write(files: dict[str, str], state_dir: Path, run_dir: Path) -> None:
    """Write the configuration, for the user's eyes only, and make the folders it names."""
    for folder in (*(state_dir / name for name in _SUBFOLDERS), run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        write_private(state_dir / "etc" / name, text)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(path)


def _only_installed(lines: str, modules: Path) -> str:
    """Drop ``load = name.so`` where this Asterisk has no such module: it would log an error."""
    kept = []
    for line in lines.splitlines():
        verb, _, module = (part.strip() for part in line.partition("="))
        if verb != "load" or (modules / module).is_file():
            kept.append(line)
    return "\n".join(kept)
