"""The choice of the matrix library keeps accuracy and leaves the user's settings alone."""

import pytest
import torch

import lamella
from lamella.engine import kernels
from lamella.errors import ArgumentError


@pytest.fixture
def setting():
    if kernels._settings() is None:
        pytest.skip("this torch has no setting for float32 products on oneDNN")
    before = torch.backends.mkldnn.matmul.fp32_precision
    yield torch.backends.mkldnn.matmul
    torch.backends.mkldnn.matmul.fp32_precision = before


def test_products_stay_accurate_and_the_setting_is_given_back(setting, monkeypatch):
    monkeypatch.setattr(kernels, "is_amd", lambda: True)
    monkeypatch.setattr(kernels, "onednn_is_faster", lambda: True)
    a, b = torch.randn(100, 300), torch.randn(300, 50)
    before = setting.fp32_precision
    with kernels.best_matmul(torch.device("cpu")):
        assert setting.fp32_precision == ("bf16" if kernels.onednn_is_accurate() else before)
        product = a @ b
    assert setting.fp32_precision == before
    exact = a.double() @ b.double()
    assert (product - exact).norm() / exact.norm() < kernels.ACCURACY


def test_amx_rounds_to_bf16_so_it_is_not_chosen(monkeypatch):
    monkeypatch.setattr(kernels, "cpu_flags", lambda: frozenset({"avx512f", "amx_bf16"}))
    kernels.onednn_is_accurate.cache_clear()
    assert kernels.onednn_is_accurate() is False
    kernels.onednn_is_accurate.cache_clear()


def test_a_setting_of_the_user_is_kept(setting, monkeypatch):
    monkeypatch.setattr(kernels, "is_amd", lambda: True)
    setting.fp32_precision = "ieee"
    with kernels.best_matmul(torch.device("cpu")):
        assert setting.fp32_precision == "ieee"


def test_fast_precision_uses_rounding_units_where_there_are_some(setting, monkeypatch):
    monkeypatch.setattr(kernels, "is_amd", lambda: False)
    for flags, chosen in (({"amx_bf16"}, "bf16"), ({"avx512_bf16"}, "bf16"), ({"avx2"}, "none")):
        monkeypatch.setattr(kernels, "cpu_flags", lambda flags=flags: frozenset(flags))
        with kernels.best_matmul(torch.device("cpu"), "fast"):
            assert setting.fp32_precision == chosen
        with kernels.best_matmul(torch.device("cpu")):
            assert setting.fp32_precision == "none"
    assert setting.fp32_precision == "none"


WIDE = {
    "a wide layer": (lamella.layers.Dense(4), torch.ones(600, 20000), "bf16"),
    "a narrow layer": (lamella.layers.Dense(4), torch.ones(600, 200), "none"),
    "a narrow layer at many places": (lamella.layers.Dense(4), torch.ones(600, 100, 200), "bf16"),
    "convolutions alone": (lamella.layers.Conv1D(4, 3), torch.ones(600, 5, 2), "bf16"),
    "short steps, however many": (lamella.layers.GRU(8), torch.ones(600, 50, 200), "none"),
    "long steps": (lamella.layers.SimpleRNN(200), torch.ones(600, 2, 3), "bf16"),
}


@pytest.mark.parametrize("case", WIDE)
def test_seeded_runs_choose_by_size(case, setting, monkeypatch):
    """A clock would choose otherwise from run to run."""
    layer, x, chosen = WIDE[case]
    monkeypatch.setattr(kernels, "is_amd", lambda: True)
    monkeypatch.setattr(kernels, "onednn_is_accurate", lambda: True)
    monkeypatch.setattr(kernels, "onednn_is_faster", None)
    monkeypatch.setattr(kernels.random, "seeded", True)
    seen = []
    look = lamella.callbacks.LambdaCallback(on_train_batch_begin=lambda *_: seen.append(setting.fp32_precision))
    model = lamella.Sequential([lamella.Input(x.shape[1:]), layer])
    model.compile("sgd", "mse")
    y = torch.zeros(model.compute_output_shape(x.shape))
    model.fit(x, y, batch_size=600, callbacks=[look], verbose=0)
    model.fit(iter([(x, y)]), callbacks=[look], verbose=0)  # of a stream, what comes next is not known
    assert seen == [chosen, "bf16"]


def test_fast_precision_is_asked_for_in_compile(setting, monkeypatch):
    monkeypatch.setattr(kernels, "is_amd", lambda: False)
    monkeypatch.setattr(kernels, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    seen = []

    class Look(lamella.layers.Layer):
        def call(self, inputs):
            seen.append(setting.fp32_precision)
            return inputs

    model = lamella.Sequential([lamella.Input((3,)), Look(), lamella.layers.Dense(1)])
    for precision in ("fast", "accurate"):
        model.compile("sgd", "mse", precision=precision)
        for run in (lambda: model.fit(torch.ones(4, 3), torch.ones(4), verbose=0), lambda: model.predict([[1.0] * 3])):
            seen.clear()
            run()
            assert ("bf16" in seen) is (precision == "fast")
    with pytest.raises(ArgumentError, match="'accurate' or 'fast'"):
        model.compile("sgd", "mse", precision="quick")


def test_convolution_kernels_lie_as_channels_last_without_a_copy():
    from lamella.layers import Conv2D

    layer = Conv2D(8, 3)
    layer(torch.ones(1, 9, 9, 4))
    turned = layer.kernel.permute(3, 2, 0, 1)
    assert turned.shape == (8, 4, 3, 3)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert turned.data_ptr() == layer.kernel.data_ptr()
    x = torch.ones(2, 9, 9, 4)
    assert x.permute(0, 3, 1, 2).is_contiguous(memory_format=torch.channels_last)
    assert layer(x).is_contiguous()
