"""TensorBoard: curves, settings and pictures of a run as event files, for runs that ask for it.

Nothing is written unasked. With the environment variable `SSL_REGISTRY_TENSORBOARD=1` every run
writes event files into `tensorboard` in its own folder, so that `tensorboard --logdir runs` shows
all runs side by side:

    pip install 'ssl-registry[tensorboard]'
    SSL_REGISTRY_TENSORBOARD=1 ssl-registry pretrain pretrain.toml

Or from code, for one run, in any folder:

    from ssl_registry_tensorboard import TensorBoard

    ssl_registry.pretrain(config, observers=[TensorBoard("events/first")])

Where the package tensorboard is missing, such a run says so in one line and goes on without.
"""

from __future__ import annotations

import os
from pathlib import Path

from ssl_registry import UserError, hookimpl
from ssl_registry_tensorboard.observer import TensorBoard as TensorBoard

SSL_REGISTRY_API = 1

VARIABLE = "SSL_REGISTRY_TENSORBOARD"
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@hookimpl
def run_observer(run: Path) -> TensorBoard | None:
    """An observer that writes into the run's folder, if the environment asks for one.

    Raises:
        UserError: It does, but tensorboard is not installed, or the variable says neither yes
            nor no.
    """
    answer = os.environ.get(VARIABLE, "").strip().lower()
    if answer in _NO:
        return None
    if answer not in _YES:
        raise UserError(f"{VARIABLE}={answer} is neither 1 nor 0")
    return TensorBoard(run / "tensorboard")
