"""The systemd unit of this installation."""

from __future__ import annotations

import sys
from pathlib import Path
from string import Template

_UNIT = Template("""\
# callbridge beside an Asterisk, as a user of its own.
#
#   useradd --system --home-dir /var/lib/callbridge --shell /usr/sbin/nologin callbridge
#   callbridge serve --print-unit > /etc/systemd/system/callbridge.service
#   callbridge serve --example-config > /etc/callbridge/callbridge.toml
#   chown root:callbridge /etc/callbridge/callbridge.toml; chmod 640 /etc/callbridge/callbridge.toml
#   systemctl daemon-reload && systemctl enable --now callbridge
#
# The admin's first key is then in /var/lib/callbridge/admin.key.

[Unit]
Description=callbridge: call control for Asterisk
After=network-online.target asterisk.service
Wants=network-online.target
# However often it fails: calls wait for it.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User=callbridge
Group=callbridge
ExecStart=$command serve --config /etc/callbridge/callbridge.toml
ExecReload=/bin/kill -HUP $$MAINPID
# Calls stand as they are while another version starts; commands under way are waited for.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=60
Restart=on-failure
RestartSec=1
# 2: the configuration is wrong, and stays so. 3: another program has the application, and starting
# again would take its calls away.
RestartPreventExitStatus=2 3
WatchdogSec=30
LimitNOFILE=65536
Environment=CALLBRIDGE__LOG__FORMAT=json

StateDirectory=callbridge
StateDirectoryMode=0700
RuntimeDirectory=callbridge
RuntimeDirectoryMode=0700
Environment=CALLBRIDGE_RUN_DIR=/run/callbridge
UMask=0077

# Audio in time: 20 ms frames, before whatever else the machine does.
Nice=-5
OOMScoreAdjust=-500

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=$protect_home
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
CapabilityBoundingSet=
AmbientCapabilities=

[Install]
WantedBy=multi-user.target
""")
USUAL = Path("/usr/bin/callbridge")
"""Where a package of a distribution puts the command."""


def unit(command: Path | None = None) -> str:
    """Return the unit. command: what is started, by default that of this installation."""
    found = command or _installed()
    # What stands in somebody's home could not be read.
    home = "read-only" if found.is_relative_to("/home") or found.is_relative_to("/root") else "yes"
    return _UNIT.substitute(command=found, protect_home=home)


def _installed() -> Path:
    beside = Path(sys.executable).absolute().with_name("callbridge")
    return beside if beside.is_file() else Path(sys.argv[0]).absolute()
