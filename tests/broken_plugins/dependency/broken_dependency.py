"""Needs a package that is not installed."""

import package_that_is_not_installed  # noqa: F401

SSL_REGISTRY_API = 1
