"""Building blocks of the sweep file's models: strict values, exact numbers, axes of the grid.

Types are strict, because a lax reading hides mistakes: "5", true and 3.0 are no whole numbers, and
a number in quotes is text. Lists serve as tuples.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from xltray.credentials import INSTEAD, first_secret
from xltray.grid import Grid

Split = Literal["train", "dev", "test"]
Role = Literal["train", "dev"]
Scope = Literal["all", "encoder", "head"]
NAME_PATTERN = r"^[a-z][a-z0-9_.-]*$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Language = Annotated[str, Field(pattern=LANGUAGE_PATTERN)]
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]

Item = TypeVar("Item")
# YAML and Python callers give lists; strictness holds for what is in them.
Items = Annotated[tuple[Item, ...], Field(strict=False)]

AXIS_LIMIT = 1001
_FRACTION = re.compile(r"-?\d+/[1-9]\d*")


def mistake(found: str, expected: str) -> PydanticCustomError:
    """Return an error in the two halves that every message of the sweep file has."""
    return PydanticCustomError(
        "mistake", "found {found}; expected {expected}", {"found": found, "expected": expected}
    )


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise mistake(f"{', '.join(repeated)} given more than once", "each value once")
    return values


Distinct = AfterValidator(_distinct)


def _exact(value: Any) -> Fraction:
    """Read a number as it is written: 0.1 is one tenth, not the nearest binary float.

    "1/15" is how a fraction that no float equals is written out, and so is read as well.
    """
    if isinstance(value, str) and _FRACTION.fullmatch(value):
        return Fraction(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        raise PydanticCustomError("float_type", "a number was expected")
    try:
        return Fraction(value if isinstance(value, Fraction | int) else Decimal(str(value)))
    except (ArithmeticError, ValueError) as error:
        raise PydanticCustomError("finite_number", "a finite number was expected") from error


def _written(value: Fraction) -> float | str:
    """Write a number as a float where reading that gives the same number, else as "1/15"."""
    number = float(value)
    return number if _exact(number) == value else str(value)


Exact = Annotated[
    Fraction,
    BeforeValidator(_exact, json_schema_input_type=float),
    PlainSerializer(_written, return_type=float | str),
]


class Spec(BaseModel):
    """Base of all models of the sweep file: frozen and strict; unknown keys and secrets are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        # Pydantic's own message would show what a refused URL holds.
        hide_input_in_errors=True,
    )

    @field_validator("*")
    @classmethod
    def _without_secrets(cls, value: Any) -> Any:
        # Of every field, whatever it is for: the sweep file is printed, and recorded with the results.
        if found := first_secret(value):
            raise mistake(found, INSTEAD)
        return value


class AxisSpec(Spec):
    """Numbers from start to stop in equal steps, and any others."""

    start: Exact = Fraction(-1, 2)
    stop: Exact = Fraction(3, 2)
    step: Exact = Fraction(1, 10)
    also: Items[Exact] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step <= 0:
            raise mistake(f"step {float(self.step):g}", "a step above 0")
        if self.stop < self.start:
            raise mistake(
                f"stop {float(self.stop):g} below start {float(self.start):g}", "stop at start or above"
            )
        if self._steps() > AXIS_LIMIT:
            raise mistake(f"an axis of {self._steps()} numbers", f"at most {AXIS_LIMIT}")
        return self

    def _steps(self) -> int:
        return (self.stop - self.start) // self.step + 1

    def values(self) -> tuple[Fraction, ...]:
        """Return the axis's numbers."""
        return (*(self.start + self.step * i for i in range(self._steps())), *self.also)


_NUMBERS: TypeAdapter[list[Fraction]] = TypeAdapter(Annotated[list[Exact], Field(min_length=1)])


def _axis(value: Any) -> Any:
    """Let a plain list stand for an axis: its first number is the range, the others are ``also``."""
    if isinstance(value, list | tuple):
        first, *others = _NUMBERS.validate_python(list(value))
        return {"start": first, "stop": first, "step": 1, "also": others}
    return value


Axis = Annotated[AxisSpec, BeforeValidator(_axis, json_schema_input_type=AxisSpec | list[float])]

PAPER_EXTRA_ALPHAS = tuple(
    Fraction(n, 1000) for n in (25, 50, 75, 125, 150, 175, 825, 850, 875, 925, 950, 975)
)


class GridSpec(Spec):
    """The points of every surface: a plane and two lines; the default is the paper's."""

    plane: Axis | None = Field(AxisSpec(), description="a_src and a_tgt of Eq. 3")
    lines: Axis | None = Field(AxisSpec(also=PAPER_EXTRA_ALPHAS), description="alpha of Eq. 1 and Eq. 2")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.plane is None and self.lines is None:
            raise mistake("neither plane nor lines", "a grid with points: plane, lines or both")
        return self

    def grid(self) -> Grid:
        """Return the distinct points."""
        return Grid(self.plane.values() if self.plane else (), self.lines.values() if self.lines else ())
