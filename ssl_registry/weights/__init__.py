"""The exchange folder: `model.safetensors`, `config.json`, `ssl_registry.json`, `README.md`."""
