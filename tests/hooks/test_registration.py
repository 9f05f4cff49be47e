"""Plugins are registered with their package, and what is wrong with one costs only itself."""

import numpy as np
import pytest

from batchcolor.errors import PluginError, UnknownModelError
from batchcolor.hooks import registration
from batchcolor.hooks.manager import Plugins, load_plugins
from batchcolor.hooks.types import Outcome
from batchcolor.images.formats import PNG
from batchcolor.images.picture import Picture

SPECS = """
    import batchcolor
    from batchcolor import ColorizerSpec

    def spec(name, size=16):
        return ColorizerSpec(name, "made for a test", size, lambda options: None)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return {specs}
"""


FILTER = """
    import batchcolor

    @batchcolor.hookimpl({options})
    def batchcolor_chroma(chroma):
        return {result}
"""
"""`chroma * 0 + the last value * 10 + digit` shows the order of calls."""


def failure_of(plugins: Plugins, package: str):
    (failure,) = [one for one in plugins.broken if one.origin.package == package]
    return failure


def filtered(plugins: Plugins) -> float:
    luma = np.zeros((4, 4), np.float32)
    picture = Picture(__file__, np.zeros((9, 7), np.uint8), None, PNG)
    chroma = plugins.filter_chroma(np.zeros((2, 4, 4), np.float32), luma, picture)
    assert chroma.dtype == np.float32
    return float(chroma[1, 2, 2])


def test_the_right_package_of_two_with_one_entry_point_name_is_blamed(plugin, site):
    for package, specs in (("first", "[spec('one')]"), ("second", "[1 / 0]")):
        plugin(package, SPECS.format(specs=specs))
        (site / f"{package}-1.0.dist-info" / "entry_points.txt").write_text(
            f"[batchcolor]\ncommon = {package}\n"
        )
    plugins = load_plugins()
    assert plugins.colorizers()["one"].origin.package == "first"
    assert [failure.origin.package for failure in plugins.broken] == ["second"]


def test_an_error_whose_text_names_a_model_is_not_that_models_error(plugin):
    plugin("aa", "raise RuntimeError('no betta here')")
    with pytest.raises(UnknownModelError, match=r"did you mean beta.*broken plugin aa"):
        load_plugins().find("betta")


def test_one_wrong_spec_in_a_list_costs_only_itself(plugin):
    specs = "[spec('one'), spec('two', 0), spec(''), 7, spec('three', '16'), spec('four')]"
    plugin("aa", SPECS.format(specs=specs))
    plugins = load_plugins()
    assert {"one", "four"} <= set(plugins.colorizers())
    assert len([one for one in plugins.broken if one.origin.package == "aa"]) == 4
    with pytest.raises(PluginError, match="working_size 0"):
        plugins.find("two")


def test_a_built_in_model_keeps_its_name_and_the_claim_is_reported(plugin):
    plugin("thief", SPECS.format(specs="[spec('beta'), spec('own')]"), version="9.9")
    plugins = load_plugins()
    assert plugins.find("beta").origin.package == "batchcolor"
    assert plugins.find("own").origin.package == "thief"
    assert "beta" in failure_of(plugins, "thief").error
    assert not plugins.clashes


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("@batchcolor.hookimpl\ndef batchcolor_colorizer(): ...", "mean batchcolor_colorizers?"),
        ("@batchcolor.hookimpl\ndef batchcolor_chromas(chroma): ...", "mean batchcolor_chroma?"),
        (
            "@batchcolor.hookimpl(specname='batchcolor_reader')\ndef f(): ...",
            "batchcolor_reader is not a hook; did you mean batchcolor_readers?",
        ),
        ("def batchcolor_done(outcome): ...", "batchcolor_done is not decorated"),
        ("def batchcolor_command(app): ...", "did you mean batchcolor_commands?"),
        ("@batchcolor.hookimpl\ndef batchcolor_xyz(): ...", "the hooks are batchcolor_colorizers"),
    ],
)
def test_a_misspelt_or_undecorated_hook_is_reported_with_the_near_name(plugin, code, message):
    text = "import batchcolor\n" + code + "\n@batchcolor.hookimpl\ndef batchcolor_readers(): ...\n"
    module = plugin("aa", text)
    plugins = load_plugins()
    failure = failure_of(plugins, "aa")
    assert message in failure.error
    assert failure.location.startswith(f"{module}:")
    assert plugins.list_hooks(failure.origin) == ["batchcolor_readers"]


def test_an_optional_hook_and_imported_functions_are_not_reported_as_misspelt(plugin):
    plugin("lib", "def batchcolor_helper(): ...")
    plugin(
        "aa",
        """
        import batchcolor
        from lib import batchcolor_helper

        @batchcolor.hookimpl(optionalhook=True)
        def batchcolor_of_another_version(): ...
        """,
    )
    assert not [one for one in load_plugins().broken if one.origin.package == "aa"]


@pytest.mark.parametrize(("stated", "works"), [("", False), ("BATCHCOLOR_CONTRACT = 2", True)])
def test_a_plugin_that_states_no_contract_version_has_version_1(plugin, monkeypatch, stated, works):
    monkeypatch.setattr(registration, "CONTRACT_VERSION", 2)
    plugin("aa", stated)
    plugins = load_plugins()
    assert ("aa" in [origin.package for origin in plugins.origins]) is works
    assert works or "contract version 1" in failure_of(plugins, "aa").error


def test_a_failure_has_the_line_of_the_plugin_that_raised(plugin):
    helper = plugin("helper", "def fail():\n    raise ValueError('deep inside')\n")
    broken = plugin("aa", "x = (1,\ny = 2")
    plugin("bb", SPECS.format(specs="[__import__('helper').fail()]"))
    plugins = load_plugins()
    plugins.colorizers()
    assert failure_of(plugins, "bb").location == f"{helper}:2"
    assert failure_of(plugins, "aa").location.startswith(f"{broken}:")


def test_done_reaches_every_plugin_and_a_failure_is_recorded_once(plugin, tmp_path):
    for name in ("aa", "bb", "cc"):
        plugin(
            name,
            f"""
            import batchcolor

            @batchcolor.hookimpl
            def batchcolor_done(outcome):
                with open({str(tmp_path / "log")!r}, "a") as file:
                    print({name!r}, outcome.reason, file=file)
                assert {name!r} != "bb", outcome.reason
            """,
        )
    plugins = load_plugins()
    for number in range(3):
        plugins.done(Outcome(tmp_path, None, "failed", "decode", str(number)))
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{name} {n}" for name in ("aa", "bb", "cc") for n in range(3))
    assert len(plugins.broken) == 1
    assert failure_of(plugins, "bb").hook == "batchcolor_done"


def test_plugins_are_loaded_once_a_process_and_not_for_the_version(plugin, command, tmp_path):
    counter = tmp_path / "imports"
    plugin("aa", f"open({str(counter)!r}, 'a').write('x')")
    assert command("--version").stdout.startswith("batchcolor ")
    assert not counter.exists()
    assert load_plugins() is load_plugins(True)
    assert load_plugins(False) is not load_plugins()
    assert counter.read_text() == "x"
    assert command("models", "--json").returncode == 0
    assert counter.read_text() == "x"  # a module is imported once
