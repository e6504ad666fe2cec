"""What all sections have in common, and the kinds of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as https://login.example/realm")
    return url


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @classmethod
    def faults(cls, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Tell (key, what is wrong) of what no type says; values: as they were written.

        The key is empty when it is the section's fault as a whole.
        """
        del values
        yield from ()


def example(value: object, description: str) -> FieldInfo:
    """Describe a key without default: the example shows it commented out, with this value."""
    info: FieldInfo = Field(description=description, examples=[value])
    return info


def section_of(annotation: object) -> type[Section] | None:
    """Return the section that a field is, may be, or is a list of; None for any other."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for one in get_args(annotation) if (found := section_of(one))), None)
