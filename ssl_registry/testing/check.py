"""One check of a component, and what is said when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ssl_registry.errors import UserError

Subject = TypeVar("Subject")

_NAMED = 5


class CheckFailure(UserError):  # noqa: N818  (a failure is what it is called, also by pytest)
    """A component breaks its contract; the message says how, and what to do."""


class SubjectFailure(CheckFailure):
    """A component cannot be tried at all.

    Every check of it fails alike; the message says what to do, whatever is checked.
    """


def require(condition: bool, problem: str) -> None:
    """Fail a check with `problem` unless `condition` holds."""
    if not condition:
        raise CheckFailure(problem)


def described(error: BaseException) -> str:
    """The kind and the text of an error, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def listed(names: Iterable[str]) -> str:
    """The first few of `names`, and how many there are further."""
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


@dataclass(frozen=True)
class Check:
    """One thing that a plugin or one of its components is held to; call it to check it.

    Attributes:
        plugin: The plugin, as `distribution:name`.
        kind: The component's kind, or `plugin` for a check of the plugin as a whole.
        component: The component's name, or the plugin's.
        name: What is checked, in a word; the same for all components of a kind.
        holds: What holds if the check passes, in a sentence.
        advice: What to do if it fails.
        test: Does the checking.
    """

    plugin: str
    kind: str
    component: str
    name: str
    holds: str
    advice: str
    test: Callable[[], None]

    @property
    def id(self) -> str:
        """Such as `method/simclr/gradients`."""
        return f"{self.kind}/{self.component}/{self.name}"

    def __call__(self) -> None:
        """Check.

        Raises:
            CheckFailure: The component breaks the contract; says how, and what to do.
        """
        try:
            self.test()
        except SubjectFailure as failure:
            raise CheckFailure(f"{self.kind} {self.component!r}: {failure}") from failure
        except CheckFailure as failure:
            raise CheckFailure(self._told(str(failure))) from failure
        except (Exception, SystemExit) as error:  # whatever a foreign component raises
            raise CheckFailure(self._told(f"it raised {described(error)}")) from error

    def _told(self, problem: str) -> str:
        return f"{self.kind} {self.component!r}: {problem.rstrip('.')}. {self.advice}"


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """A check that all components of a kind share.

    Attributes:
        name: In a word.
        holds: What holds, in a sentence.
        advice: What to do if it does not.
        test: Raises `CheckFailure` with the problem if it does not; anything else that it raises
            is a failure, too.
    """

    name: str
    holds: str
    advice: str
    test: Callable[[Subject], None]

    def of(self, subject: Subject, plugin: str, kind: str, component: str) -> Check:
        """The check of one subject."""
        return Check(
            plugin,
            kind,
            component,
            self.name,
            self.holds,
            self.advice,
            lambda: self.test(subject),
        )
