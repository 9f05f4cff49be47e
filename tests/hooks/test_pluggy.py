"""Hooks are called as pluggy documents, and a broken implementation costs only itself."""

import numpy as np
import pytest

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins, load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.picture import Picture

FILTER = """
    import batchcolor

    @batchcolor.hookimpl({options})
    def batchcolor_chroma(chroma):
        return {result}
"""
"""`chroma * 0 + the last value * 10 + digit` shows the order of calls."""


DIGIT = "chroma * 10 + {digit} * 1e-4"


SPECS = """
    import batchcolor
    from batchcolor import ColorizerSpec

    def spec(name, size=16):
        return ColorizerSpec(name, "made for a test", size, lambda options: None)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return {specs}
"""


def filtered(plugins: Plugins) -> float:
    luma = np.zeros((4, 4), np.float32)
    picture = Picture(__file__, np.zeros((9, 7), np.uint8), None, PNG)
    chroma = plugins.filter_chroma(np.zeros((2, 4, 4), np.float32), luma, picture)
    assert chroma.dtype == np.float32
    return float(chroma[1, 2, 2])


def digits(plugins: Plugins) -> int:
    return round(filtered(plugins) * 1e4)


def failure_of(plugins: Plugins, package: str):
    (failure,) = [one for one in plugins.broken if one.origin.package == package]
    return failure


def install(plugin, *filters):
    """Installs `aa`, `bb`, ... with these hookimpl options; the n-th appends the digit n."""
    for number, options in enumerate(filters, 1):
        name = "abcd"[number - 1] * 2
        plugin(name, FILTER.format(options=options, result=DIGIT.format(digit=number)))
    plugins = load_plugins()
    order = [origin.package for origin in plugins.origins if origin.package != "batchcolor"]
    return plugins, [order.index("abcd"[n] * 2) for n in range(len(filters))]


def test_the_filter_registered_last_is_called_first(plugin):
    plugins, places = install(plugin, "", "")
    assert digits(plugins) == (21 if places[1] > places[0] else 12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("tryfirst=True", ""), 12),
        (("", "tryfirst=True"), 21),
        (("trylast=True", ""), 21),
        (("", "trylast=True"), 12),
        (("trylast=True", "", "tryfirst=True"), 321),
        (("tryfirst=True", "", "trylast=True"), 123),
    ],
)
def test_tryfirst_and_trylast_order_the_filters(plugin, options, expected):
    assert digits(install(plugin, *options)[0]) == expected


WRAPPERS = {
    "wrapper": """
        import batchcolor

        @batchcolor.hookimpl(wrapper=True)
        def batchcolor_chroma(chroma, picture):
            assert picture.width == 7
            fields = yield
            return [*fields, fields[-1] * 2]
    """,
    "hookwrapper": """
        import batchcolor

        @batchcolor.hookimpl(hookwrapper=True)
        def batchcolor_chroma(chroma, picture):
            assert picture.width == 7
            outcome = yield
            fields = outcome.get_result()
            outcome.force_result([*fields, fields[-1] * 2])
    """,
}


@pytest.mark.parametrize("code", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapper_sees_and_changes_the_filters_result(plugin, code):
    plugin("wrap", code)
    plugins, _ = install(plugin, "trylast=True", "tryfirst=True")
    assert digits(plugins) == 42
    assert not plugins.broken


@pytest.mark.parametrize("code", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("assert picture.width == 7", "raise ValueError('too early')", "too early"),
        ("fields[-1] * 2]", "fields[-1] * 0 + 1 / 0]", "division"),
        ("fields[-1] * 2]", "fields[-1][:1]]", "(1, 4, 4), not (2, s, s)"),
        ("[*fields, fields[-1] * 2]", "fields[-1]", "not the list of results"),
    ],
)
def test_a_broken_wrapper_fails_the_picture_and_is_reported(plugin, code, before, after, message):
    assert before in code
    plugin("wrap", code.replace(before, after), version="3.1")
    plugins, _ = install(plugin, "")
    with pytest.raises(ProcessingError, match=r"wrap 3\.1") as caught:
        filtered(plugins)
    assert message in str(caught.value)
    assert message in failure_of(plugins, "wrap").error


def test_a_wrapper_may_recover_from_a_filter_that_fails(plugin):
    plugin(
        "wrap",
        """
        import batchcolor

        @batchcolor.hookimpl(wrapper=True)
        def batchcolor_chroma(chroma):
            try:
                return (yield)
            except Exception:
                return [chroma]
        """,
    )
    plugin("aa", FILTER.format(options="", result="1 / 0"))
    plugins = load_plugins()
    assert filtered(plugins) == 0
    assert "division by zero" in failure_of(plugins, "aa").error


@pytest.mark.parametrize("code", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapper_is_not_blamed_for_the_filter_inside(plugin, code):
    plugin("wrap", code)
    plugin("aa", FILTER.format(options="", result="1 / 0"))
    plugins = load_plugins()
    with pytest.raises(ProcessingError, match=r"aa 1\.0"):
        filtered(plugins)
    assert [failure.origin.package for failure in plugins.broken] == ["aa"]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("chroma[0]", "(4, 4), not (2, s, s)"),
        ("chroma[None]", "(1, 2, 4, 4), not (2, s, s)"),
        ("chroma[:, :3]", "(2, 3, 4), not (2, s, s)"),
        ("chroma[:, :0, :0]", "(2, 0, 0), not (2, s, s)"),
        ("0.5", "(), not (2, s, s)"),
        ("chroma * float('nan')", "NaN"),
        ("chroma + 2", "outside"),
        ("'blue'", "ValueError"),
    ],
)
def test_a_filter_that_returns_no_chroma_field_is_refused_and_reported(plugin, result, message):
    plugin("aa", FILTER.format(options="", result=result), version="0.7")
    plugins = load_plugins()
    for _ in range(3):
        with pytest.raises(ProcessingError, match=r"aa 0\.7") as caught:
            filtered(plugins)
        assert message in str(caught.value)
    assert message in failure_of(plugins, "aa").error  # recorded once, not for each picture


def test_a_filter_may_return_another_size(plugin):
    plugin("aa", FILTER.format(options="", result="chroma[:, :2, :2]"))
    luma, picture = (
        np.zeros((4, 4), np.float32),
        Picture("x", np.zeros((9, 7), np.uint8), None, PNG),
    )
    field = load_plugins().filter_chroma(np.zeros((2, 4, 4), np.float32), luma, picture)
    assert field.shape == (2, 2, 2)


def test_a_wrapper_of_colorizers_changes_the_list_and_built_in_models_stay(plugin):
    plugin("aa", SPECS.format(specs="[spec('one'), spec('two')]"))
    plugin(
        "wrap",
        """
        import dataclasses
        import batchcolor

        @batchcolor.hookimpl(wrapper=True)
        def batchcolor_colorizers():
            lists = yield
            found = [spec for specs in lists for spec in specs if spec.name == "one"]
            return [[dataclasses.replace(found[0], name="three")]]
        """,
    )
    found = load_plugins().colorizers()
    assert list(found) == ["alpha", "beta", "delta", "three"]
    assert found["three"].origin.package == "wrap"


@pytest.mark.parametrize("options", ["wrapper=True", "hookwrapper=True"])
def test_a_wrapper_without_yield_is_reported_and_the_rest_works(plugin, options):
    plugin("aa", SPECS.format(specs="[spec('one')]"))
    plugin("wrap", SPECS.format(specs="[]").replace("hookimpl", f"hookimpl({options})"))
    plugins = load_plugins()
    assert "one" in plugins.colorizers()
    assert "generator" in failure_of(plugins, "wrap").error


@pytest.mark.parametrize("options", ["wrapper=True", "hookwrapper=True"])
@pytest.mark.parametrize(
    "body", ["raise ValueError('no')", "raise SystemExit(3)", "return", "yield; yield"]
)
def test_a_broken_wrapper_of_another_hook_costs_only_itself(plugin, options, body):
    code = f"""
        import batchcolor

        @batchcolor.hookimpl({options})
        def batchcolor_colorizers():
            {body}
            yield
    """
    plugin("wrap", code)
    plugin("aa", SPECS.format(specs="[spec('one')]"))
    plugins = load_plugins()
    assert list(plugins.colorizers())[:3] == ["alpha", "beta", "delta"]
    assert "one" in plugins.colorizers()
    assert failure_of(plugins, "wrap")
