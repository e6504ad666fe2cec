from __future__ import annotations

from bridge.lab.asterisk.apt import choose_mirror, failure


def test_the_archive_of_debian_is_chosen_among_others() -> None:
    targets = [
        "http://packages.example/nodesource\tNode Source",
        "http://mirror.example/debian-security\tDebian",
        "http://mirror.example/debian\tDebian",
    ]
    assert choose_mirror(targets) == "http://mirror.example/debian"


def test_before_any_update_the_address_decides() -> None:
    targets = [
        "cdrom:[Debian 13]/\t",
        "http://mirror.example/debian-security\t",
        "mirror+file:/etc/apt/mirrors/debian.list\t",
    ]
    assert choose_mirror(targets) == "mirror+file:/etc/apt/mirrors/debian.list"


def test_a_host_of_another_distribution_has_none() -> None:
    assert choose_mirror(["http://archive.example/ubuntu\tUbuntu"]) is None
    assert choose_mirror(["http://ppa.example/debian\tSomebody else"]) is None
    assert choose_mirror([]) is None


def test_apts_own_errors_are_reported_and_nothing_else() -> None:
    log = "Get:1 http://x sid InRelease\nW: a warning\nE: Unable to locate package asterisk\n"
    assert failure(log) == "apt could not fetch Asterisk: Unable to locate package asterisk"


def test_without_an_error_line_the_last_words_are_reported() -> None:
    assert failure("killed by the system\n").endswith("killed by the system")
