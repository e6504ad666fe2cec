"""Music of one's own for those on hold: sound files, made into what Asterisk plays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.model.errors import BadArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DEFAULT: Final = "default"
_CLASS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_SETTINGS: Final = "general"
"""The section of musiconhold.conf that is no class."""
_FORMATS: Final = {8000: ".wav", 16000: ".wav16"}
"""Hz, and the ending by which Asterisk knows a WAV file of that rate (formats/format_wav.c)."""


def find(folder: Path) -> dict[str, list[Path]]:
    """Return the music classes of a folder and their files, in order of their names.

    Its own files are the class ``default``, a subfolder is a class of its name; what is hidden is
    left out. Raises BadArgumentError for a folder without music, and for a name that cannot be a
    class.
    """
    if not folder.is_dir():
        raise BadArgumentError(f"{folder} is no folder: give one with sound files")
    found = {DEFAULT: _files(folder)}
    for sub in sorted(path for path in _shown(folder) if path.is_dir()):
        if not _CLASS.fullmatch(sub.name) or sub.name == _SETTINGS:
            raise BadArgumentError(
                f"{sub.name!r} cannot name a music class: up to 40 letters, digits, '_' and '-' "
                f"can, but for {_SETTINGS!r}"
            )
        found[sub.name] = found.get(sub.name, []) + _files(sub)
    classes = {name: files for name, files in found.items() if files}
    if not classes:
        raise BadArgumentError(f"there is no sound file in {folder}, nor in a folder in it")
    return classes


def convert(classes: Mapping[str, list[Path]], into: Path) -> dict[str, Path]:
    """Write every file as WAV of 8 and of 16 kHz; return the folder of each class.

    Asterisk takes the one that suits the listener. Raises BadArgumentError for a file that is no
    sound; what soundfile reads is: WAV, FLAC, Ogg, MP3.
    """
    import soundfile  # noqa: PLC0415 - takes its time to load, and few have music of their own

    from bridge.lab.phones.worker.sound import load  # noqa: PLC0415 - as above

    folders: dict[str, Path] = {}
    for name, files in classes.items():
        folders[name] = into / name
        folders[name].mkdir(mode=0o700, parents=True, exist_ok=True)
        for index, file in enumerate(files):
            for rate, ending in _FORMATS.items():
                try:
                    pcm = load(file, rate)
                except (OSError, soundfile.LibsndfileError) as error:
                    message = f"{file} cannot be read as music: {error}; take it out of the folder"
                    raise BadArgumentError(message) from error
                target = folders[name] / f"{index:03d}{ending}"
                soundfile.write(target, pcm, rate, format="WAV", subtype="PCM_16")
    return folders


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in _shown(folder) if path.is_file())


def _shown(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
