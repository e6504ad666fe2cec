#!/usr/bin/env bash
# Makes .venv and installs what the project needs; does nothing when that is done already.
# Called by the other scripts. Needs Python 3.11 or later and no root.
#
#   CALLBRIDGE_PYTHON   the interpreter to use, instead of the first good one found
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
stamp=$venv/callbridge-setup

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

wanted_stamp() {
    cat pyproject.toml constraints.txt | sha256sum | cut -d ' ' -f 1
    # Scripts of a venv know where it lies: a repository that was moved needs a new one.
    printf '%s\n' "$venv"
}

is_done() {
    [ -x "$venv/bin/callbridge" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(wanted_stamp)" ]
}

# The command may exist and not run: a shim of a version manager, a half-removed package.
is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

has_phones() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' >/dev/null 2>&1
}

# Python 3.11 and 3.12 first: for those there are wheels of the softphones (pjsua2).
find_python() {
    if [ -n "${CALLBRIDGE_PYTHON:-}" ]; then
        is_recent "$CALLBRIDGE_PYTHON" ||
            fail "CALLBRIDGE_PYTHON ($CALLBRIDGE_PYTHON) is not a Python 3.11 or later"
        printf '%s\n' "$CALLBRIDGE_PYTHON"
        return
    fi
    local check name
    for check in has_phones is_recent; do
        for name in python3 python3.12 python3.11 python3.13 python3.14; do
            if "$check" "$name"; then
                printf '%s\n' "$name"
                return
            fi
        done
    done
    fail "no Python 3.11 or later was found (looked for python3, python3.11 to python3.14).
       Install one, or name it: CALLBRIDGE_PYTHON=/path/to/python3 $0"
}

# Debian ships pip's wheel in a package of its own; as an ordinary user it can be unpacked, not
# installed.
pip_from_debian() {
    local folder=$1
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        fail "this Python has no ensurepip, and there is no apt to take pip from:
       install your system's package of Python's venv module and try again"
    (
        cd "$folder"
        mkdir -p lists/partial cache/archives/partial
        # The host's lists may never have been fetched, as in a bare container.
        own=(-q -o "Dir::State=$folder" -o "Dir::State::lists=$folder/lists"
            -o "Dir::State::status=/var/lib/dpkg/status" -o "Dir::Cache=$folder/cache"
            -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
        apt-get -q download python3-pip-whl ||
            { apt-get "${own[@]}" update && apt-get "${own[@]}" download python3-pip-whl; }
        dpkg-deb -x python3-pip-whl_*.deb tree
    ) >"$folder/log" 2>&1 || {
        tail -n 5 "$folder/log" >&2
        fail "Debian's package python3-pip-whl could not be fetched: install python3-venv"
    }
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    printf 'setup: making .venv with %s (%s)\n' "$python" "$("$python" -V 2>&1)" >&2
    rm -rf -- "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
        return
    fi
    "$python" -m venv --without-pip "$venv"
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now, not of then
    trap "rm -rf -- '$folder'" EXIT
    pip_from_debian "$folder"
    local wheels
    wheels=$(printf '%s:' "$folder"/tree/usr/share/python-wheels/*.whl)
    PYTHONPATH=${wheels%:} "$venv/bin/python" -m pip install -qq --disable-pip-version-check pip
    rm -rf -- "$folder"
    trap - EXIT
}

is_done && exit 0

# One at a time. The folder itself is the lock, so that no file is left behind.
if command -v flock >/dev/null; then
    exec 9<"$root"
    flock 9
    is_done && exit 0
fi

command -v sha256sum >/dev/null || fail "sha256sum (coreutils) is needed"
rm -f -- "$stamp"
is_usable() {
    is_recent "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF -- "$venv/bin/python" "$venv/bin/pip"
}

is_usable || make_venv
printf 'setup: installing into .venv (once, and after changes of pyproject.toml)\n' >&2
"$venv/bin/python" -m pip install -qq --disable-pip-version-check \
    -c constraints.txt -e '.[dev]' >&2 ||
    fail "pip could not install what is needed (see above)"
# Written last: an interrupted setup is done again.
wanted_stamp >"$stamp.new"
mv -- "$stamp.new" "$stamp"
