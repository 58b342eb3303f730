"""Configs: pydantic models, TOML files, overrides, and one clear error for all mistakes."""
