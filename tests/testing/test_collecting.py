"""From a name to checks, to the cases of a test, and to a report on the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssl_registry import PluginError, PluginRecord, registry
from ssl_registry.cli.plugins_check import as_text
from ssl_registry.cli.runner import runner
from ssl_registry.testing import Check, CheckFailure, collect_checks, parametrize_checks, run_checks
from ssl_registry.testing.check import SubjectFailure

CASES = """
from ssl_registry.testing import parametrize_checks

@parametrize_checks("quickstart", expected_failures={expected})
def test_contract(check):
    check()
"""


def made_up(name: str, problem: BaseException | None) -> Check:
    def test() -> None:
        if problem is not None:
            raise problem

    return Check("made-up:mine", "task", "mine", name, "It holds.", "Mend it.", test)


def test_a_name_may_be_a_plugin_a_distribution_or_both() -> None:
    ids = [check.id for check in collect_checks("simclr")]
    assert "method/simclr/gradients" in ids
    assert "preset/simclr-paper/validates" in ids
    assert ids[0] == "plugin/simclr/loads"
    assert len(set(ids)) == len(ids)
    assert [check.id for check in collect_checks("ssl-registry:simclr")] == ids
    assert set(ids) < {check.id for check in collect_checks("ssl-registry")}


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(PluginError, match=r"'simclir' \(did you mean 'simclr'\?\).*moco.*timm"):
        collect_checks("simclir")


@pytest.mark.parametrize("status", ["broken", "disabled"])
def test_a_plugin_that_is_not_working_has_one_check(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = PluginRecord("odd", "odd", "odd-dist", "1", status, "no reason")  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "plugins", lambda: (record,))
    (result,) = run_checks(collect_checks("odd-dist"))
    assert not result.passed
    assert f"it is {status}: no reason" in result.problem


def test_whatever_is_raised_becomes_a_failure_that_says_what_to_do() -> None:
    problems = (None, CheckFailure("it is blue."), KeyError("x"), SystemExit(3))
    checks = [made_up(str(number), problem) for number, problem in enumerate(problems)]
    assert [result.problem for result in run_checks(checks)] == [
        "",
        "task 'mine': it is blue. Mend it.",
        "task 'mine': it raised KeyError: 'x'. Mend it.",
        "task 'mine': it raised SystemExit: 3. Mend it.",
    ]
    with pytest.raises(KeyboardInterrupt):
        list(run_checks([made_up("stop", KeyboardInterrupt())]))


def test_an_expected_failure_must_be_of_a_known_check() -> None:
    with pytest.raises(pytest.UsageError, match=r"'lightimport'.*did you mean 'light_import'"):
        parametrize_checks("quickstart", expected_failures={"lightimport": "heavy"})


def run_pytest(folder: Path, expected: dict[str, str]) -> str:
    (folder / "test_contract.py").write_text(CASES.format(expected=expected))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", str(folder)]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True)
    return done.stdout


def test_expected_failures_are_strict(tmp_path: Path) -> None:
    names = {"names": "another has it", "plugin/quickstart/targets": "moved"}
    output = run_pytest(tmp_path, names)
    # Both pass, which nobody expected.
    assert "FAILED test_contract.py::test_contract[plugin/quickstart/names]" in output
    assert "FAILED test_contract.py::test_contract[plugin/quickstart/targets]" in output
    assert "PASSED test_contract.py::test_contract[plugin/quickstart/loads]" in output
    assert "[XPASS(strict)] another has it" in output


def test_an_expected_failure_is_a_failed_check_and_nothing_else() -> None:
    mark = parametrize_checks("quickstart", expected_failures={"names": "another has it"})
    cases = {case.id: case.marks for case in mark.args[1]}
    (marked,) = [name for name, marks in cases.items() if marks]
    assert marked == "plugin/quickstart/names"
    (xfail,) = cases[marked]
    assert xfail.kwargs == {"reason": "another has it", "strict": True, "raises": CheckFailure}


def test_the_kit_needs_neither_torch_nor_pytest_to_be_imported() -> None:
    code = (
        "import sys; from ssl_registry.testing import CheckFailure, collect_checks, run_checks\n"
        "results = list(run_checks(collect_checks('quickstart')))\n"
        "assert all(result.passed for result in results), results\n"
        "print(sorted({'torch', 'pytest', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_plugin_that_keeps_its_contract_is_told_by_component() -> None:
    result = CliRunner().invoke(runner, ["plugins", "check", "quickstart"])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["KIND", "NAME", "PLUGIN", "CHECKS", "SECONDS", "FAILED"]
    assert lines[1][:4] == ["plugin", "quickstart", "ssl-registry:quickstart", "4"]
    assert lines[2][:4] == ["experiment", "quickstart", "ssl-registry:quickstart", "2"]
    assert result.stdout.endswith("\n6 of 6 checks pass\n")


def test_a_failure_is_told_with_what_to_do_and_ends_in_status_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = PluginRecord("odd", "odd", "odd-dist", "1", "broken", "ImportError: no x", "install x")
    monkeypatch.setattr(registry, "plugins", lambda: (record,))
    result = CliRunner().invoke(runner, ["plugins", "check", "odd"])
    assert result.exit_code == 1
    assert "plugin 'odd': it is broken: ImportError: no x; install x. `python -c" in result.stdout
    assert result.stdout.endswith("0 of 1 checks pass\n")
    result = CliRunner().invoke(runner, ["plugins", "check", "odd", "--json"])
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert row.keys() == {
        "id", "plugin", "kind", "component", "check", "holds", "passed", "problem", "seconds",
    }  # fmt: skip
    assert (row["id"], row["passed"]) == ("plugin/odd/loads", False)


def test_what_all_checks_of_a_component_stumble_over_is_told_once() -> None:
    lacking, other = SubjectFailure("it has no sample; write one"), CheckFailure("it is blue")
    problems = {"ids": lacking, "images": lacking, "masks": other}
    results = run_checks([made_up(name, problem) for name, problem in problems.items()])
    lines = as_text(list(results)).splitlines()
    assert lines[3:] == [
        "task/mine/ids, images",
        "  task 'mine': it has no sample; write one",
        "",
        "task/mine/masks: It holds.",
        "  task 'mine': it is blue. Mend it.",
        "",
        "0 of 3 checks pass",
    ]


def test_an_unknown_name_is_the_users_mistake() -> None:
    result = CliRunner().invoke(runner, ["plugins", "check", "simclir"])
    assert result.exit_code == 2
    assert "did you mean 'simclr'" in result.stderr
    assert result.stdout == ""
