"""Several models, or one with several sets of options, are loaded at once."""

import pytest

from batchcolor.errors import UnknownModelError, UsageError
from batchcolor.evaluation.runners import load_runners
from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions

CPU = LoadOptions(device="cpu", batch_size=1, backend="torch")


def test_a_model_is_requested_with_options_of_its_own():
    requested = ["delta:vividness=0", "beta", "delta:vividness=1", "delta:vividness=0"]
    runners = load_runners(requested, load_plugins(False), CPU)
    assert [runner.name for runner in runners] == requested[:3]
    assert [runners[k].backend.colorizer.vividness for k in (0, 2)] == [0, 1]


def test_an_option_in_the_name_overrides_one_for_all_models():
    loading = LoadOptions((("vividness", "0.25"),), device="cpu", batch_size=1, backend="torch")
    runners = load_runners(["delta", "delta:vividness=1", "beta"], load_plugins(False), loading)
    assert [runner.backend.colorizer.vividness for runner in runners[:2]] == [0.25, 1]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("delta:vivid=1", UsageError),
        ("delta:vividness", UsageError),
        ("beta:vividness=1", UsageError),
        ("gamma:vividness=1", UnknownModelError),
    ],
)
def test_an_option_that_a_model_does_not_have_is_refused(name, error):
    with pytest.raises(error):
        load_runners([name], load_plugins(False), CPU)
