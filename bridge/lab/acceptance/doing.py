"""Which function carries out which step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bridge.lab.acceptance.model import Step
from bridge.lab.acceptance.stage import Stage, StepFailedError
from bridge.lab.acceptance.steps import Action

PATIENCE_SECONDS: Final = 10.0
"""How long a step may take that says nothing of it."""

_A = TypeVar("_A", bound=Action)
_T = TypeVar("_T")


@dataclass
class Doing:
    """A step that is being done, and what there is to tell of it."""

    stage: Stage
    step: Step
    measured: dict[str, Any] = field(default_factory=dict)
    """By name; becomes part of the report."""

    @property
    def within(self) -> float:
        """How long it may take, in seconds."""
        return PATIENCE_SECONDS if self.step.within is None else float(self.step.within)

    async def soon(self, command: Awaitable[_T], *, at_least: float = 0.0) -> _T:
        """Wait for a command as long as the step may take. Raises StepFailedError.

        at_least: how long it may take in any case, in seconds.
        """
        seconds = max(self.within, at_least)
        try:
            async with asyncio.timeout(seconds):
                return await command
        except TimeoutError as error:
            raise StepFailedError(f"it was not in effect within {seconds:g} s") from error

    async def until(self, condition: Callable[[], bool], unless: Callable[[], str]) -> None:
        """Wait for a condition as long. Raises StepFailedError: ``unless``, as it is then."""
        await self.stage.until(
            condition, lambda: f"{unless()} within {self.within:g} s", self.within
        )


Function = Callable[[Doing, _A], Awaitable[None]]
_FUNCTIONS: Final[dict[type[Action], Function[Any]]] = {}
_EXPECTATIONS: Final[set[type[Action]]] = set()


def does(kind: type[_A]) -> Callable[[Function[_A]], Function[_A]]:
    """Make a function the one that does a kind of step."""

    def register(function: Function[_A]) -> Function[_A]:
        _FUNCTIONS[kind] = function
        return function

    return register


def expects(kind: type[_A]) -> Callable[[Function[_A]], Function[_A]]:
    """Make a function the one that looks whether what is expected is so: it changes nothing."""
    _EXPECTATIONS.add(kind)
    return does(kind)


def is_expectation(action: Action) -> bool:
    """Tell whether a step only looks."""
    return type(action) in _EXPECTATIONS


def function_of(action: Action) -> Function[Any]:
    """Return what does a step."""
    return _FUNCTIONS[type(action)]


def known() -> frozenset[type[Action]]:
    """Return all kinds of steps that can be done."""
    return frozenset(_FUNCTIONS)
