"""Base of the plain data that people write in settings files."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class FrozenModel(BaseModel):
    """Immutable data from outside: camelCase there, snake_case here; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        str_strip_whitespace=True,
    )


# Strict, because YAML's `yes`, `on` and quoted numbers must not silently become integers.
PositiveInt = Annotated[int, Field(strict=True, ge=1)]
NonNegativeInt = Annotated[int, Field(strict=True, ge=0)]
