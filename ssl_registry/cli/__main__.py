"""`python -m ssl_registry.cli` is the runner as well."""

from ssl_registry.cli.runner import main

main()
