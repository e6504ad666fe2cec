"""How the database is named."""

from __future__ import annotations

import pytest

from bridge.model.errors import ConfigurationError
from bridge.store.engine import parse_url

SERVER = "postgresql://callbridge:secret@db.example/callbridge"


@pytest.mark.parametrize("parameter", ["ssl", "sslmode"])
def test_tls_is_asked_for_as_everywhere(parameter: str) -> None:
    url = parse_url(f"{SERVER}?{parameter}=verify-full")
    assert (url.drivername, dict(url.query)) == ("postgresql+asyncpg", {"ssl": "verify-full"})


def test_a_socket_of_this_machine_is_a_host() -> None:
    url = parse_url("postgresql:///callbridge?host=/var/run/postgresql")
    assert (url.database, dict(url.query)) == ("callbridge", {"host": "/var/run/postgresql"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SERVER}?sslmode=yes", "sslmode is one of disable, allow"),
        (f"{SERVER}?application_name=x", "not known: application_name"),
        ("mysql://db/callbridge", "no database 'mysql'"),
        ("postgresql://db.example", "names no database"),
        ("sqlite:///:memory:", "names no database"),
        ("callbridge.db", "is none"),
    ],
)
def test_what_cannot_be_one_is_told_without_its_password(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as told:
        parse_url(text)
    assert "secret" not in str(told.value)
