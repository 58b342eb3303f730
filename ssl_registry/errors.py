"""Errors for the person who reads them: what was wrong, where, and what to do.

Every mistake a user can make ends in a `UserError`; the runner prints its message without a
traceback and exits with status 2. Anything else that escapes is our own fault (status 1).
"""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave us: a name, a key, a file, a device."""


class ComponentNotFoundError(UserError):
    """No component of that kind and name is offered by a working plugin."""


class ComponentClashError(UserError):
    """Several plugins offer the same kind and name; the message names them all."""


class PluginError(UserError):
    """A plugin broke its contract, for example a target that cannot be imported."""


class ConfigError(UserError):
    """A configuration has mistakes; the message lists all of them with dotted paths."""


class DatasetNotFoundError(UserError):
    """The data are not where the config says; the message says where we looked."""


class DataError(UserError):
    """The data are there but cannot be used: unreadable, inconsistent or too few."""


class UnreadableError(DataError):
    """A file of the data cannot be read, whatever asks for it."""


class DeviceError(UserError):
    """The device that was asked for does not exist here."""


class RunError(UserError):
    """A run folder cannot be used: taken, not writable, or of another configuration."""


class RunBusyError(RunError):
    """A run folder is being worked in by another process."""


class WeightsError(UserError):
    """Weights cannot be read, or do not fit the network they are meant for."""


class TrainingError(UserError):
    """Training cannot go on, for example because the loss stays non-finite."""
