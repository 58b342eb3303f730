"""Each check of settings catches the config that is wrong in just that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from pydantic import ConfigDict, Field, SerializeAsAny, field_serializer

from ssl_registry import ComponentConfig, Decoder

Failures = Callable[..., dict[str, str]]
RULES = ("defaults", "descriptions", "strict", "json", "build_arguments")


class RightConfig(ComponentConfig):
    """Settings that are as they should be."""

    check_settings: ClassVar[Mapping[str, Any]] = {"model": "small"}

    name: str = "made_up"
    width: tuple[int, ...] = Field(default=(4, 8), description="Channels of each level.")
    model: str = Field(description="What has no sensible default.")


class NoDefault(RightConfig):
    """A setting has no default, and no value to check with."""

    depth: int = Field(description="Layers.")


class OtherName(RightConfig):
    """The name is another component's."""

    name: str = "other"


class NoDescription(RightConfig):
    """A setting does not say what it is."""

    depth: int = 3


class Lenient(RightConfig):
    """Unknown keys are passed over."""

    model_config = ConfigDict(extra="ignore")


class Mutable(RightConfig):
    """Settings can be changed."""

    model_config = ConfigDict(frozen=False)


class LossyJson(RightConfig):
    """A setting is written in a way that cannot be read back."""

    depth: int = Field(default=3, description="Layers.")

    @field_serializer("depth", when_used="json")
    def _as_words(self, depth: int) -> int:
        return depth + 1


class Part(ComponentConfig):
    """A part that others build upon."""

    name: str = "part"


class LargePart(Part):
    """A part with a setting of its own."""

    size: int = Field(default=1, description="Size.")


class NestedPart(RightConfig):
    """Written without the settings of the part's own class."""

    part: SerializeAsAny[Part] = Field(default=LargePart(size=2), description="A part.")


class BuildArgument(RightConfig):
    """A setting has the name of what a decoder is built from."""

    channels: int = Field(default=3, description="Channels.")


def settings_found(failures: Failures, config: type[ComponentConfig]) -> dict[str, str]:
    found = failures("decoder", Decoder, config)
    return {name: problem for name, problem in found.items() if name in RULES}


def test_right_settings_pass(failures: Failures) -> None:
    assert settings_found(failures, RightConfig) == {}


@pytest.mark.parametrize(
    ("config", "check", "told"),
    [
        (NoDefault, "defaults", "depth: no default"),
        (OtherName, "defaults", "the default of `name` is 'other', not 'made_up'"),
        (NoDescription, "descriptions", "depth: no description"),
        (Lenient, "strict", "taken without an error"),
        (Mutable, "strict", "can be changed"),
        (LossyJson, "json", '"depth":4'),
        (NestedPart, "json", "ValidationError"),
        (BuildArgument, "build_arguments", "channels: what the component is built from"),
    ],
)
def test_wrong_settings_are_caught(
    failures: Failures, config: type[ComponentConfig], check: str, told: str
) -> None:
    found = settings_found(failures, config)
    assert check in found
    assert told in found[check]
