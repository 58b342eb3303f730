"""Patterns over paths below a root: globs for images, and templates that relate masks to images.

Paths are written with `/`; a folder ends with `/`, and the root itself is the empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

FOLDERS: Final = ("folder", "parent", "inner")
STEM: Final = "stem"

_TOKEN = re.compile(
    r"(?P<tree>\*\*/)|(?P<rest>\*\*)|(?P<star>\*)|(?P<any>\?)"
    r"|\[(?P<not>[!^]?)(?P<set>\]?[^\]/]*)\]"
    r"|\{(?P<field>\w+)\}(?P<slash>/?)|\{(?P<choice>[^{}]*,[^{}]*)\}|(?P<char>.)",
    re.DOTALL,
)


def image_pattern(text: str) -> re.Pattern[str]:
    """What matches an image's path; `{stem}` in it becomes the group `stem`.

    Raises:
        ValueError: The pattern is malformed; says how.
    """
    _check_relative(text)
    return _compiled(_regex(text, {STEM: "[^/]+"}, set()), text)


@dataclass(frozen=True)
class NamePattern:
    """What matches a mask's file name, and what of the name is the image's stem.

    Attributes:
        whole: Matches the name.
        before: What comes before the stem.
        after: What comes after the stem; None if the stem is not in the name.
    """

    whole: re.Pattern[str]
    before: re.Pattern[str]
    after: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Read it from a glob with at most one `{stem}`."""
        before, stem, after = text.partition("{stem}")
        if "{stem}" in after:
            raise ValueError(f"{text!r} has {{stem}} twice in the file name; once is enough")
        return cls(
            whole=_compiled(_regex(text, {STEM: "[^/]+"}, set()), text),
            before=_compiled(_regex(before, {}, set()), text),
            after=_compiled(_regex(after, {}, set()), text) if stem else None,
        )

    def stems(self, name: str) -> list[str]:
        """All stems for which the pattern gives `name`, the longest first."""
        if self.after is None:
            return []
        starts = [at for at in range(len(name)) if self.before.fullmatch(name, 0, at)]
        ends = [at for at in range(1, len(name) + 1) if self.after.fullmatch(name, at)]
        found = {name[start:end] for start in starts for end in ends if start < end}
        return sorted(found, key=lambda stem: (-len(stem), stem))


Key = tuple[str, ...]


@dataclass(frozen=True)
class MaskPattern:
    """What relates a mask to its image: both give the same values for the same fields.

    Attributes:
        text: How it is written, for messages.
        fields: Which fields must agree: `stem`, `folder`, `parent`, `inner`.
        folder_values: The fields that a mask's folder gives; None if no mask lies there.
        name: What its file name is like.
    """

    text: str
    fields: tuple[str, ...]
    folder_values: Callable[[str], Mapping[str, str] | None]
    name: NamePattern

    @classmethod
    def parse(cls, text: str) -> MaskPattern:
        """Read it from a template such as `{stem}_mask*.png` or `masks/{inner}/{stem}.png`.

        Raises:
            ValueError: The template is malformed; says how.
        """
        _check_relative(text)
        folder, slash, name = text.rpartition("/")
        seen: set[str] = set()
        groups = {**dict.fromkeys(FOLDERS, "(?:[^/]+/)*"), STEM: "[^/]+"}
        # A template without folders is for masks beside their images.
        pattern = _compiled(_regex(folder + slash if slash else "{folder}/", groups, seen), text)

        def folder_values(mask_folder: str) -> Mapping[str, str] | None:
            match = pattern.fullmatch(mask_folder)
            return None if match is None else match.groupdict()

        names = NamePattern.parse(name)
        fields = tuple(sorted(seen | ({STEM} if names.after is not None else set())))
        if not fields:
            raise ValueError(
                f"{text!r} does not say to which image a mask belongs: write {{stem}} where the "
                "image's name without its suffix stands"
            )
        return cls(text, fields, folder_values, names)

    def keys(self, values: Mapping[str, str], name: str) -> list[Key]:
        """The images that a file may be the mask of, best first; empty if it is no mask.

        Args:
            values: What `folder_values` gave for its folder.
            name: Its file name.
        """
        if self.name.whole.fullmatch(name) is None:
            return []
        if self.name.after is None:
            return [self.key(values)]
        return [
            self.key({**values, STEM: stem})
            for stem in self.name.stems(name)
            if values.get(STEM, stem) == stem
        ]

    def key(self, values: Mapping[str, str]) -> Key:
        """The values of its fields, for an image or a mask."""
        return tuple(values[field] for field in self.fields)


def image_fields(folder: str, stem: str) -> dict[str, str]:
    """The values that an image gives to the fields of a mask pattern."""
    above = folder.rstrip("/").rpartition("/")
    return {
        "folder": folder,
        "parent": above[0] + above[1],
        "inner": folder.partition("/")[2],
        STEM: stem,
    }


def _check_relative(text: str) -> None:
    parts = text.split("/")
    if not text or "" in parts or "." in parts or ".." in parts:
        raise ValueError(
            f"{text!r} must be a path below the root such as masks/{{stem}}.png, "
            "without '.', '..' or an empty part"
        )


def _regex(text: str, fields: Mapping[str, str], seen: set[str]) -> str:
    """A glob as a regular expression; fields become named groups and are added to `seen`."""
    return "".join(_translated(token, fields, seen, text) for token in _TOKEN.finditer(text))


def _translated(token: re.Match[str], fields: Mapping[str, str], seen: set[str], text: str) -> str:
    if token["field"]:
        return _field(token, fields, seen, text)
    if token["choice"] is not None:
        choices = [_regex(choice, {}, set()) for choice in token["choice"].split(",")]
        return f"(?:{'|'.join(choices)})"
    if token["set"] is not None:
        escaped = re.sub(r"([\\\[\]])", r"\\\1", token["set"])
        return f"(?!/)[{'^' if token['not'] else ''}{escaped}]"
    globs = {"tree": "(?:[^/]+/)*", "rest": ".*", "star": "[^/]*", "any": "[^/]"}
    return globs.get(token.lastgroup or "") or re.escape(token["char"])


def _field(token: re.Match[str], fields: Mapping[str, str], seen: set[str], text: str) -> str:
    name, slash = token["field"], token["slash"]
    if name not in fields:
        known = ", ".join(f"{{{field}}}" for field in fields) or "none"
        raise ValueError(f"{{{name}}} cannot stand there in {text!r}; what can: {known}")
    if name in FOLDERS and not slash:
        raise ValueError(f"{{{name}}} in {text!r} stands for folders and needs a / after it")
    # A folder's value ends with the slash, so that it may be empty.
    slash = "" if name in FOLDERS else slash
    if name in seen:
        return f"(?P={name}){slash}"
    seen.add(name)
    return f"(?P<{name}>{fields[name]}){slash}"


def _compiled(regex: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(regex, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise ValueError(f"{text!r} is no pattern: {error}") from error
