"""Checks of a plugin as a whole and of its files, on packages that lie in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_registry import Component, PluginRecord, plugins
from ssl_registry.testing import run_checks
from ssl_registry.testing.collect import checks_of

CONFIG = "ssl_registry_local.config:LocalConfig"
FACTORY = "ssl_registry_local.executor:LocalExecutor"
Offer = Callable[..., dict[str, str]]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Give what fails, id to problem, of a package of these files that offers these components."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # A name of its own for each test: a package is imported once in a process.
    package = f"made_up_{re.sub('[^a-z0-9]', '', tmp_path.name)}"
    folder = tmp_path / package
    folder.mkdir()

    def run(
        *components: tuple[str, ...], status: str = "ok", reason: str = "", **files: str
    ) -> dict[str, str]:
        for name, text in {"__init__": "", **files}.items():
            suffix = "" if "toml" in name else ".py"
            (folder / f"{name.replace('_toml', '.toml')}{suffix}").write_text(text)
        offered = tuple(
            Component(kind, name, *(target.format(package) for target in targets))
            for kind, name, *targets in components
        )
        identity = ("made_up", package, "made-up", "1.0")
        record = PluginRecord(*identity, status, reason, components=offered)  # type: ignore[arg-type]
        installed = (*plugins(), record)
        for module in ("ssl_registry.registry", "ssl_registry.testing.plugin_checks"):
            monkeypatch.setattr(f"{module}.plugins", lambda: installed)
        results = run_checks(checks_of(record))
        return {result.check.id: result.problem for result in results if not result.passed}

    return run


def test_a_plugin_without_components_passes(offer: Offer) -> None:
    assert offer() == {}


def test_a_broken_plugin_fails_with_its_reason_alone(offer: Offer) -> None:
    found = offer(("task", "t", "{}:A", "{}:C"), status="broken", reason="ImportError: no x")
    assert next(iter(found)) == "plugin/made_up/loads"
    assert "it is broken: ImportError: no x. `python -c" in found["plugin/made_up/loads"]


def test_whoever_imports_a_heavy_library_is_named_with_its_line_and_cost(offer: Offer) -> None:
    found = offer(
        __init__="from . import settings",
        settings='"""Settings."""\n\nimport json\nimport numpy.linalg',
    )
    assert list(found) == ["plugin/made_up/light_import"]
    pattern = (
        r"plugin 'made_up': made_up_\w+\.settings, line 4, imports numpy, which takes \d\.\d s"
    )
    assert re.match(pattern, found["plugin/made_up/light_import"])


def test_a_heavy_import_by_way_of_the_library_is_blamed_on_the_plugin(offer: Offer) -> None:
    found = offer(__init__="\nfrom ssl_registry import picture_size")
    assert re.search(r"made_up_\w+, line 2, imports numpy", found["plugin/made_up/light_import"])


def test_a_heavy_import_of_the_hook_is_told(offer: Offer) -> None:
    found = offer(__init__="def ssl_registry_components():\n    import scipy\n    return []")
    assert re.search(r"made_up_\w+, line 2, imports scipy", found["plugin/made_up/light_import"])


def test_settings_are_not_imported_to_list_a_plugin(offer: Offer) -> None:
    component = ("executor", "mine", FACTORY, "{}.settings:LocalConfig")
    settings = "from ssl_registry_local.config import LocalConfig"
    found = offer(component, settings=settings, __init__="")
    assert "plugin/made_up/light_import" not in found
    found = offer(component, settings=settings, __init__="from . import settings")
    assert "imports pydantic" in found["plugin/made_up/light_import"]


def test_a_module_that_needs_others_first_is_told(offer: Offer) -> None:
    found = offer(__init__="import not_there_at_all")
    assert "No module named 'not_there_at_all'" in found["plugin/made_up/light_import"]


def test_targets_that_cannot_be_loaded_are_all_named(offer: Offer) -> None:
    found = offer(
        ("task", "one", "{}.nowhere:Task", "{}:Config"),
        ("task", "two", "{}:missing", "{}:SETTINGS"),
        ("preset", "three", "{}:three.toml"),
        ("task", "four", "{}:SETTINGS", "{}:SETTINGS"),
        __init__="SETTINGS = 1",
    )
    told = found["plugin/made_up/targets"]
    for part in ("nowhere:Task", ":missing", "three.toml", ":SETTINGS cannot be called"):
        assert part in told
    assert ":Config: AttributeError" in found["task/one/defaults"]


def test_a_name_that_another_plugin_offers_is_told(offer: Offer) -> None:
    found = offer(("executor", "local", FACTORY, CONFIG))
    expected = "executor 'local' is offered by ssl-registry:local as well"
    assert expected in found["plugin/made_up/names"]
    assert list(found) == ["plugin/made_up/names"]


PRESET = '[pretrain]\nimage_size = {}\nmethod = {{name = "simclr", temperature = 0.1}}\n'


@pytest.mark.parametrize(
    ("text", "check", "told"),
    [
        ("[pretrain]\nimage_size = ", "parses", "is not valid TOML"),
        ("", "parses", "the file is empty"),
        (PRESET.format('"large"'), "validates", "image_size: must be a whole number"),
        ("[finetune]\nimage_sise = 32", "validates", "did you mean 'image_size'"),
        ("[pretrain]\nmethod = 'nobody'", "validates", "no method is called 'nobody'"),
        ("image_size = 32", "validates", "must hold the table [pretrain], [finetune] or both"),
    ],
)
def test_a_wrong_preset_is_caught(offer: Offer, text: str, check: str, told: str) -> None:
    found = offer(("preset", "mine", "{}:mine.toml"), mine_toml=text)
    assert told in found[f"preset/mine/{check}"]


def test_files_that_are_right_pass(offer: Offer) -> None:
    experiment = (
        'title = "Mine"\nseeds = [0]\n[pretrain]\nmethod = "simclr"\nbackbone = "resnet18"\n'
        'data = ["phantom"]\n[finetune]\nbackbone = "resnet18"\ndecoder = "unet"\n'
        'data = "phantom"\n'
    )
    components = (("preset", "mine", "{}:mine.toml"), ("experiment", "trial", "{}:trial.toml"))
    right = {"mine_toml": PRESET.format(32), "trial_toml": experiment}
    assert offer(*components, **right) == {}
    wrong = {**right, "trial_toml": experiment.replace("[0]", "[0, 0]")}
    assert "seeds must differ" in offer(*components, **wrong)["experiment/trial/validates"]
