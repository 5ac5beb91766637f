"""Convolutions by tiles: the same numbers as torch's, in values, gradients and gradients of gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lamella
from lamella.engine import kernels, winograd

SIZES = [(4, 4), (5, 7), (6, 3), (1, 1), (2, 5)]


def problem(size, *, samples=3, inward=4, outward=5, dtype=torch.float64):
    def numbers(*shape):
        return torch.randn(*shape, dtype=dtype)

    torch.manual_seed(0)
    maps = numbers(samples, *size, inward).permute(0, 3, 1, 2).requires_grad_()
    kernel = numbers(outward, 3, 3, inward).permute(0, 3, 1, 2).requires_grad_()
    return maps, kernel, numbers(outward).requires_grad_()


def slid(maps, kernel, bias=None):
    return F.conv2d(maps, kernel, bias, padding=1)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_those_of_the_window_slid(size, with_bias):
    wanted = problem(size)[: 3 if with_bias else 2]
    y, reference = winograd.convolution(*wanted), slid(*wanted)
    torch.testing.assert_close(y, reference)
    assert y.is_contiguous(memory_format=torch.channels_last)
    gradient = torch.randn_like(y)
    for found, expected in zip(
        torch.autograd.grad(y, wanted, gradient), torch.autograd.grad(reference, wanted, gradient), strict=True
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_gradients_of_gradients(size):
    inputs = problem(size, samples=2, inward=2, outward=2)
    assert torch.autograd.gradcheck(winograd.convolution, inputs)
    assert torch.autograd.gradgradcheck(winograd.convolution, inputs)
    assert torch.autograd.gradgradcheck(winograd.convolution, inputs[:2])


def test_a_batch_in_parts_gives_the_same(monkeypatch):
    wanted = problem((6, 5), samples=5)
    whole = winograd.convolution(*wanted)
    gradient = torch.randn_like(whole)
    at_once = torch.autograd.grad(whole, wanted, gradient)
    monkeypatch.setattr(winograd, "_PATCHES", 2 * 16 * 9 * 4)  # two samples at a time
    in_parts = winograd.convolution(*wanted)
    torch.testing.assert_close(in_parts, whole)
    for found, expected in zip(torch.autograd.grad(in_parts, wanted, gradient), at_once, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("wanted", [[0], [1], [2], [0, 2]])
def test_only_the_gradients_asked_for(wanted):
    inputs = problem((4, 4))
    for place, tensor in enumerate(inputs):
        tensor.requires_grad_(place in wanted)
    asked = [inputs[place] for place in wanted]
    found = torch.autograd.grad(winograd.convolution(*inputs).square().sum(), asked)
    expected = torch.autograd.grad(slid(*inputs).square().sum(), asked)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("shape", "channels"), [((4, 8, 8), (128, 256)), ((16, 4, 4), (512, 512)), ((2, 16, 15), (256, 256))]
)
def test_as_accurate_as_float32_is(shape, channels):
    samples, *size = shape
    inputs = problem(size, samples=samples, inward=channels[0], outward=channels[1], dtype=torch.float32)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    y, truth = winograd.convolution(*inputs), slid(*exact)
    gradient = torch.randn_like(y)
    found = [y, *torch.autograd.grad(y, inputs, gradient)]
    wanted = [truth, *torch.autograd.grad(truth, exact, gradient.double())]
    for mine, right in zip(found, wanted, strict=True):
        assert (mine.double() - right).norm() / right.norm() < 2e-6


def wide(size=(8, 8), samples=8, inward=256, outward=256):
    return problem(size, samples=samples, inward=inward, outward=outward, dtype=torch.float32)[:2]


def test_pays_where_there_is_enough_to_save():
    assert winograd.pays(*wide())
    assert not winograd.pays(*wide(samples=2)), "few tiles: to transform the kernel is most of the work"
    assert not winograd.pays(*wide(inward=64)), "few channels: to transform the maps is most of the work"
    assert not winograd.pays(*wide((7, 7), samples=32)), "a third of the outputs would lie outside"
    assert winograd.pays(*wide((7, 7), samples=32, inward=512, outward=512))
    assert not winograd.pays(*wide(samples=0))


def test_left_to_torch_where_others_follow_what_is_done():
    maps, kernel = wide()
    with torch.no_grad():
        assert not winograd.pays(maps, kernel)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.pays(maps, kernel)
    assert not winograd.pays(maps, kernel.detach())
    assert not winograd.pays(maps.double(), kernel.double())
    assert not winograd.pays(maps.bfloat16(), kernel.bfloat16())
    assert not winograd.pays(maps.contiguous(), kernel)
    assert not winograd.pays(maps.to("meta"), kernel)


def test_left_to_torch_where_products_are_rounded(monkeypatch):
    monkeypatch.setattr(kernels, "onednn_is_accurate", lambda: False)
    before = kernels.chosen_matmul()
    kernels.choose_matmul("bf16")
    try:
        assert not winograd.pays(*wide())
        kernels.choose_matmul("none")
        assert winograd.pays(*wide())
    finally:
        kernels.choose_matmul(before)


@pytest.fixture
def layer():
    lamella.utils.set_random_seed(0)
    layer = lamella.layers.Conv2D(256, 3, padding="same", activation="relu", bias_initializer="random_normal")
    layer.build((None, 8, 8, 256))
    return layer


def pictures(samples=8):
    return torch.randn(samples, 8, 8, 256, generator=torch.Generator().manual_seed(1))


def as_torch(layer, x):
    return slid(x.permute(0, 3, 1, 2), layer.kernel.permute(3, 2, 0, 1), layer.bias).relu().permute(0, 2, 3, 1)


def test_a_wide_layer_takes_it_when_it_trains(layer, monkeypatch):
    taken = []
    convolution = winograd.convolution
    monkeypatch.setattr(winograd, "convolution", lambda *given: taken.append(1) or convolution(*given))
    x = pictures()
    y, reference = layer(x), as_torch(layer, x)
    torch.testing.assert_close(y, reference, atol=2e-5, rtol=1e-5)
    gradient = torch.randn_like(y)
    weights = [layer.kernel, layer.bias]
    for mine, right in zip(
        torch.autograd.grad(y, weights, gradient), torch.autograd.grad(reference, weights, gradient), strict=True
    ):
        assert (mine - right).norm() / right.norm() < 2e-6
    assert taken == [1]
    with torch.no_grad():
        layer(x)
    assert taken == [1]


@pytest.mark.parametrize(
    "options", [{"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"groups": 2}, {"kernel_size": 5}]
)
def test_other_windows_are_left_to_torch(options, monkeypatch):
    monkeypatch.setattr(winograd, "convolution", None)
    layer = lamella.layers.Conv2D(**{"filters": 256, "kernel_size": 3, "padding": "same", **options})
    assert layer(pictures()).requires_grad


def test_transforms_and_exports_see_torchs_convolution(layer):
    x = pictures()
    weights = {"kernel": layer.kernel, "bias": layer.bias}

    def loss(weights, x):
        return torch.func.functional_call(layer, weights, (x,)).square().mean()

    by_transform = torch.func.grad(loss)(weights, x)
    by_autograd = torch.autograd.grad(loss(weights, x), list(weights.values()))
    for mine, right in zip(by_transform.values(), by_autograd, strict=True):
        torch.testing.assert_close(mine, right, atol=1e-6, rtol=1e-4)
    one_each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x.unsqueeze(1))
    torch.testing.assert_close(one_each["kernel"].mean(0), by_transform["kernel"], atol=1e-6, rtol=1e-4)
    program = torch.export.export(torch.nn.Sequential(layer), (x,))
    assert any("conv2d" in str(node.target) for node in program.graph.nodes)


def test_a_network_learns_the_same_with_it(monkeypatch):
    def losses():
        lamella.utils.set_random_seed(3)
        x = np.random.default_rng(0).normal(size=(64, 4, 4, 128)).astype("float32")
        y = (x[:, :2, :2].mean((1, 2, 3)) > 0).astype("int64")
        convolutions = [lamella.layers.Conv2D(512, 3, padding="same", activation="relu") for _ in range(2)]
        model = lamella.Sequential([*convolutions, lamella.layers.GlobalAveragePooling2D(), lamella.layers.Dense(2)])
        loss = lamella.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(lamella.optimizers.SGD(0.05), loss)
        return model.fit(x, y, batch_size=32, epochs=3, verbose=0).history["loss"]

    with_tiles = losses()
    monkeypatch.setattr(winograd, "pays", lambda maps, kernel: False)
    np.testing.assert_allclose(with_tiles, losses(), rtol=1e-5)
    assert with_tiles[-1] < with_tiles[0]
