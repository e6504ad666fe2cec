from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bridge.api.auth.bootstrap import FILE, bootstrap_key, configured_key
from bridge.api.auth.keys import is_secret_of, kept_of, new_key, split
from bridge.model.errors import BadArgumentError, ConfigurationError
from bridge.protocol.permissions import EVERY_TENANT, Role


def test_a_key_is_known_by_its_secret_which_is_not_kept() -> None:
    key, text = new_key("bot", Role.PROGRAM, "acme", queues={"b", "a"}, now=1.0, expires_at=2.0)
    parts = split(text)
    assert parts is not None
    key_id, secret = parts
    assert key_id == key.key_id
    assert len(secret) == 43  # 256 bits in base64
    assert is_secret_of(key, secret)
    assert not is_secret_of(key, secret[:-1] + ("A" if secret[-1] != "A" else "B"))
    assert not is_secret_of(None, secret)
    assert not is_secret_of(None, "")
    assert secret not in repr(key)
    assert "digest" not in key.view().__struct_fields__
    assert (key.queues, key.created_at, key.expires_at) == (("a", "b"), 1.0, 2.0)
    assert kept_of(text, "bot", Role.PROGRAM, "acme", queues="ab", now=1.0, expires_at=2.0) == key


def test_no_two_keys_are_the_same() -> None:
    made = [new_key("x", Role.OBSERVER, "acme", now=0.0) for _ in range(200)]
    assert len({key.key_id for key, _ in made}) == len({text for _, text in made}) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cbk_",
        "cbk_0123456789abcdef_short",
        "CBK_0123456789abcdef_" + "a" * 43,
        "cbk_0123456789abcdef_" + "a" * 43 + "\n",
        "cbk_0123456789abcdeg_" + "a" * 43,
        "cbk_0123456789abcdef_" + "é" * 43,
    ],
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert split(text) is None
    with pytest.raises(BadArgumentError, match="callbridge keys generate"):
        kept_of(text, "x", Role.ADMIN, "acme", now=0.0)


def test_the_first_key_is_written_once_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    key = bootstrap_key(folder, now=5.0)
    path = folder / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    parts = split(path.read_text().strip())
    assert parts is not None
    assert is_secret_of(key, parts[1])
    assert (key.role, key.tenant) == ("admin", EVERY_TENANT)
    assert bootstrap_key(folder, now=5.0) == key
    assert list(folder.iterdir()) == [path]


def test_a_first_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    bootstrap_key(tmp_path, now=0.0)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ConfigurationError, match="others can read"):
        bootstrap_key(tmp_path, now=0.0)


def test_a_file_that_holds_no_key_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("secret")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no key"):
        bootstrap_key(tmp_path, now=0.0)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot be (written|read)"):
        bootstrap_key(tmp_path / "file", now=0.0)


def test_the_configuration_may_give_the_first_key() -> None:
    key, text = new_key("x", Role.ADMIN, EVERY_TENANT, now=0.0)
    assert configured_key(f" {text}\n", now=0.0).digest == key.digest
    with pytest.raises(ConfigurationError, match="this is no key"):
        configured_key("hunter2", now=0.0)
