"""Convolutions of every kind against real Keras."""

import numpy as np
import pytest
import torch

pytest.importorskip("keras")

import keras
from spatial_twins import check_config, check_models, check_numbers, check_signature, check_unknown_space, close

import lamella
from lamella import layers

SEQUENCE, PICTURE, VOLUME = (3, 11, 4), (2, 9, 8, 4), (2, 6, 5, 7, 2)
FIRST = {"data_format": "channels_first"}

CASES = [
    ("Conv1D", {"filters": 5, "kernel_size": 3}, SEQUENCE),
    ("Conv1D", {"filters": 5, "kernel_size": 4, "padding": "same", "activation": "relu"}, SEQUENCE),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, SEQUENCE),
    ("Conv1D", {"filters": 6, "kernel_size": 3, "padding": "causal", "strides": 2, **FIRST}, (3, 4, 11)),
    ("Conv1D", {"filters": 6, "kernel_size": (2,), "groups": 2, "use_bias": False, **FIRST}, (3, 4, 11)),
    ("Conv1D", {"filters": 6, "kernel_size": 3, "padding": "same", "strides": 3, "activation": "relu"}, (3, 10, 1)),
    ("Conv2D", {"filters": 5, "kernel_size": (3, 2), "padding": "SAME", "activation": "relu"}, PICTURE),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", **FIRST}, (2, 3, 8, 9)),
    ("Conv3D", {"filters": 5, "kernel_size": 3}, VOLUME),
    ("Conv3D", {"filters": 4, "kernel_size": (1, 2, 3), "padding": "same", "activation": "relu"}, VOLUME),
    ("Conv3D", {"filters": 4, "kernel_size": 3, "strides": (1, 2, 2), "padding": "same", "groups": 2}, VOLUME),
    ("Conv3D", {"filters": 4, "kernel_size": 2, "dilation_rate": 2, **FIRST}, (2, 2, 5, 6, 5)),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 3}, SEQUENCE),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}, SEQUENCE),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 1, "strides": 3, "padding": "same"}, SEQUENCE),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 4, "strides": 3, "output_padding": 1, **FIRST}, (3, 4, 6)),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, SEQUENCE),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": 2, "strides": 3, "activation": "relu"}, PICTURE),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
        PICTURE,
    ),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": (4, 3), "strides": (2, 1), "padding": "same"}, PICTURE),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
        PICTURE,
    ),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": 5, "strides": 3, "padding": "same", "output_padding": (0, 2), "use_bias": False},
        PICTURE,
    ),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": 3, "dilation_rate": (2, 1), **FIRST}, (2, 4, 7, 8)),
    ("Conv3DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 3, 4, 3, 2)),
    ("Conv3DTranspose", {"filters": 3, "kernel_size": 2, "strides": (1, 2, 2), **FIRST}, (2, 2, 3, 4, 3)),
    ("Conv3DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 0}, (2, 3, 4, 3, 2)),
    ("DepthwiseConv1D", {"kernel_size": 3}, SEQUENCE),
    ("DepthwiseConv1D", {"kernel_size": 4, "padding": "same", "depth_multiplier": 3, "strides": 2}, SEQUENCE),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu", **FIRST}, (3, 4, 11)),
    ("DepthwiseConv2D", {"kernel_size": 3}, PICTURE),
    ("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 3}, PICTURE),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 3, "padding": "same", "activation": "relu"}, PICTURE),
    ("DepthwiseConv2D", {"kernel_size": (2, 3), "strides": 2, "padding": "same", "use_bias": False}, PICTURE),
    ("DepthwiseConv2D", {"kernel_size": 3, "dilation_rate": 2, "depth_multiplier": 2, **FIRST}, (2, 3, 9, 8)),
    ("SeparableConv1D", {"filters": 6, "kernel_size": 3}, SEQUENCE),
    ("SeparableConv1D", {"filters": 6, "kernel_size": 4, "padding": "same", "depth_multiplier": 2}, SEQUENCE),
    ("SeparableConv1D", {"filters": 6, "kernel_size": 3, "dilation_rate": 2, **FIRST}, (3, 4, 11)),
    ("SeparableConv2D", {"filters": 6, "kernel_size": 3, "activation": "relu"}, PICTURE),
    ("SeparableConv2D", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}, PICTURE),
    ("SeparableConv2D", {"filters": 6, "kernel_size": 2, "depth_multiplier": 2, **FIRST}, (2, 3, 9, 8)),
]
ALIASES = [
    ("Convolution1D", "Conv1D"),
    ("Convolution2D", "Conv2D"),
    ("Convolution3D", "Conv3D"),
    ("Convolution1DTranspose", "Conv1DTranspose"),
    ("Convolution2DTranspose", "Conv2DTranspose"),
    ("Convolution3DTranspose", "Conv3DTranspose"),
    ("SeparableConvolution1D", "SeparableConv1D"),
    ("SeparableConvolution2D", "SeparableConv2D"),
]


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_outputs_gradients_and_weights(name, arguments, shape, rng):
    check_numbers(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_config_goes_both_ways(name, arguments, shape, rng):
    check_config(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_in_models(name, arguments, shape, rng):
    check_models(name, arguments, shape, rng)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_unknown_space(name, arguments, shape):
    check_unknown_space(name, arguments, shape)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_keras_s(name):
    check_signature(name)


@pytest.mark.parametrize(("alias", "name"), ALIASES)
def test_aliases(alias, name):
    assert getattr(layers, alias) is getattr(layers, name)
    assert layers.deserialize({"class_name": alias, "config": {"filters": 1, "kernel_size": 1}}).filters == 1


def test_every_transposed_size_is_keras_s():
    """The arithmetic of sizes for all small windows, steps and paddings, symbolic and real."""
    for window in range(1, 6):
        for step in range(1, 5):
            for padding in ("valid", "same"):
                for extra in (None, *range(step)):
                    arguments = {"strides": step, "padding": padding, "output_padding": extra}
                    ours = layers.Conv1DTranspose(1, window, **arguments, kernel_initializer="ones")
                    theirs = keras.layers.Conv1DTranspose(1, window, **arguments, kernel_initializer="ones")
                    x = torch.arange(1.0, 6.0).reshape(1, 5, 1)
                    close(ours(x).detach(), theirs(x).detach())


def test_regularizers_constraints_and_initializers(rng):
    x = rng.normal(size=(4, 8, 8, 2)).astype("float32")
    y = rng.normal(size=(4, 1)).astype("float32")
    arguments = {
        "DepthwiseConv2D": {
            "kernel_size": 3,
            "depthwise_initializer": "ones",
            "depthwise_regularizer": "l2",
            "depthwise_constraint": "unit_norm",
            "bias_regularizer": "l1",
        },
        "SeparableConv2D": {
            "filters": 3,
            "kernel_size": 3,
            "depthwise_initializer": "ones",
            "pointwise_initializer": "ones",
            "pointwise_regularizer": "l2",
            "pointwise_constraint": "non_neg",
            "depthwise_regularizer": "l1",
        },
        "Conv2DTranspose": {
            "filters": 3,
            "kernel_size": 2,
            "kernel_initializer": "ones",
            "kernel_regularizer": "l2",
            "kernel_constraint": "unit_norm",
            "bias_constraint": "non_neg",
            "activity_regularizer": "l2",
        },
    }
    for name, each in arguments.items():
        models = []
        for house in (lamella, keras):
            layer = getattr(house.layers, name)(**each)
            model = house.Sequential(
                [
                    house.Input((8, 8, 2)),
                    layer,
                    house.layers.GlobalAveragePooling2D(),
                    house.layers.Dense(1, kernel_initializer="ones"),
                ]
            )
            model.compile(house.optimizers.SGD(0.01), "mse")
            model.fit(x, y, batch_size=2, epochs=2, verbose=0, shuffle=False)
            models.append(model)
        for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
            close(one, other, 1e-4)
        assert models[0].evaluate(x, y, verbose=0) == pytest.approx(models[1].evaluate(x, y, verbose=0), rel=1e-3)


def test_kernels_lie_as_torch_wants_them(rng):
    """Weights and inputs reach torch's kernels as channels_last, or contiguous, without a copy."""
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if "conv" in getattr(function, "__name__", ""):
                seen.append((args[0], args[1]))
            return function(*args, **(kwargs or {}))

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for name, arguments, shape in CASES:
        if arguments.get("data_format") == "channels_first" or arguments.get("padding", "valid") != "valid":
            continue
        layer = getattr(layers, name)(**arguments)
        x = torch.tensor(rng.normal(size=shape).astype("float32"))
        layer(x)
        seen.clear()
        with Watch():
            y = layer(x)
        assert seen
        memory = {weight.data_ptr() for weight in layer.weights}
        for step, (inputs, kernel) in enumerate(seen):
            assert step or inputs.data_ptr() == x.data_ptr()
            assert inputs.is_contiguous(memory_format=formats[inputs.ndim])
            assert kernel.is_contiguous(memory_format=formats[kernel.ndim])
            assert kernel.data_ptr() in memory
        assert y.is_contiguous()


def test_causal_sees_nothing_of_the_future(rng):
    layer = layers.Conv1D(3, 4, padding="causal", dilation_rate=3)
    x = torch.tensor(rng.normal(size=(1, 20, 2)).astype("float32"))
    before = layer(x).detach().clone()
    x[:, 12:] += 1
    after = layer(x).detach()
    torch.testing.assert_close(after[:, :12], before[:, :12])
    assert (after[:, 12:] != before[:, 12:]).all()


def test_whole_numbers_are_taken(rng):
    x = rng.integers(0, 255, (2, 8, 8, 3)).astype("uint8")
    for name, arguments in (
        ("Conv2D", {"filters": 2, "kernel_size": 3}),
        ("SeparableConv2D", {"filters": 2, "kernel_size": 3}),
        ("DepthwiseConv2D", {"kernel_size": 3}),
        ("Conv2DTranspose", {"filters": 2, "kernel_size": 3}),
    ):
        layer = getattr(layers, name)(**arguments)
        close(layer(x).detach(), layer(x.astype("float32")).detach())


def test_relu_and_pooling_of_sequences_and_volumes_are_fused(rng):
    """The quick way of a model gives the values and gradients of its layers one after the other."""
    for rank, shape in ((1, (4, 13, 3)), (3, (2, 6, 7, 6, 2))):
        convolution = getattr(layers, f"Conv{rank}D")(5, 3, activation="relu")
        pooling = getattr(layers, f"MaxPooling{rank}D")(2)
        model = lamella.Sequential([lamella.Input(shape[1:]), convolution, pooling])
        x = torch.tensor(rng.normal(size=shape).astype("float32"))
        together, apart = model(x), pooling(convolution(x))
        torch.testing.assert_close(together, apart)
        for one, other in zip(
            torch.autograd.grad(together.square().sum(), model.trainable_weights),
            torch.autograd.grad(apart.square().sum(), model.trainable_weights),
            strict=True,
        ):
            torch.testing.assert_close(one, other)


def test_layers_of_other_formats_are_not_fused(rng):
    layer = layers.Conv2D(6, 3, activation="relu")
    pooling = layers.MaxPooling2D(2, data_format="channels_first")
    model = lamella.Sequential([lamella.Input((9, 8, 3)), layer, pooling])
    x = torch.tensor(rng.normal(size=(2, 9, 8, 3)).astype("float32"))
    torch.testing.assert_close(model(x), pooling(layer(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv1D(4, 3, padding="full"), "`padding` must be 'valid', 'same' or 'causal'; got 'full'"),
        (lambda: layers.Conv2D(4, 3, padding="causal"), "`padding` must be 'valid' or 'same'; got 'causal'"),
        (lambda: layers.Conv3D(4, (3, 3)), r"`kernel_size` must be a positive whole number or a tuple with 3 of them"),
        (lambda: layers.Conv1D(4, (3, 3)), r"`kernel_size` must be a positive whole number or a tuple with one"),
        (lambda: layers.Conv1D(4, 3, strides=2, dilation_rate=2), "cannot both be more than 1"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=2), "cannot both be more than 1"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2), r"must be less than `strides` \(2, 2\)"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=-1), "must be a whole number of 0 or more"),
        (lambda: layers.Conv1DTranspose(4, 3, padding="causal"), "`padding` must be 'valid' or 'same'"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "`depth_multiplier` must be a positive whole number"),
        (lambda: layers.SeparableConv2D(0, 3), "`filters` must be a positive whole number"),
        (lambda: layers.SeparableConv1D(3, 3, pointwize_initializer="ones"), "no argument 'pointwize_initializer'"),
        (lambda: layers.Conv1D(4, 3, name="wave")(torch.ones(2, 28)), r"'wave' \(Conv1D\) expected an input of rank 3"),
        (lambda: layers.Conv3D(4, 3)(torch.ones(2, 9, 9, 9)), "expected an input of rank 5"),
        (lambda: layers.Conv2D(4, 3)(torch.ones(2, 2, 9, 9, 1)), "expected an input of rank 4"),
        (lambda: layers.DepthwiseConv1D(3)(torch.ones(2, 2, 9, 1)), "expected an input of rank 3"),
        (lambda: layers.Conv1D(4, 3, dilation_rate=4)(torch.ones(2, 8, 1)), r"reaches over \(9,\) does not fit"),
        (lambda: layers.SeparableConv2D(4, 9)(torch.ones(2, 5, 5, 1)), r"a window of \(9, 9\) does not fit"),
        (lambda: layers.DepthwiseConv1D(9)(torch.ones(2, 5, 1)), "does not fit"),
        (lambda: layers.Conv1D(4, 3, groups=2)(torch.ones(2, 5, 3)), r"a multiple of `groups` \(2\)"),
        (lambda: layers.DepthwiseConv2D(3)(lamella.Input((8, 8, None))), "must be known"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["Conv1D", "Conv1DTranspose", "SeparableConv1D"])
def test_a_built_layer_refuses_other_channels(name):
    layer = getattr(layers, name)(4, 3, name="wave")
    layer(torch.ones(2, 9, 3))
    with pytest.raises(ValueError, match=r"Layer 'wave' .* expected size 3 in axis -1 of its input, got shape"):
        layer(torch.ones(2, 9, 2))


def test_a_state_dict_goes_through_a_file(tmp_path):
    model = lamella.Sequential(
        [lamella.Input((8, 8, 3)), layers.SeparableConv2D(4, 3), layers.Conv2DTranspose(2, 3, strides=2)]
    )
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = lamella.Sequential.from_config(model.get_config())
    x = np.ones((1, 8, 8, 3), "float32")
    assert not np.allclose(other(x).detach(), model(x).detach())
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    close(other(x).detach(), model(x).detach(), 1e-7)


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (40, 1), (40, 3)])
def test_a_window_of_one_place_is_a_product(size, strides):
    """Few places are multiplied, many convolved: both give what torch's convolution gives, gradients too."""
    layer = layers.Conv2D(5, 1, strides=strides, padding="same", activation="tanh")
    x = torch.randn(2, size, size, 3, requires_grad=True)
    y = layer(x)
    kernel = layer.kernel.detach().permute(3, 2, 0, 1).requires_grad_()
    same = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), kernel, layer.bias, strides).tanh().permute(0, 2, 3, 1)
    torch.testing.assert_close(y, same, rtol=1e-5, atol=1e-6)
    mine = torch.autograd.grad(y.square().sum(), [x, layer.kernel])
    theirs = torch.autograd.grad(same.square().sum(), [x, kernel])
    torch.testing.assert_close(mine[0], theirs[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine[1], theirs[1].permute(2, 3, 1, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["Conv1D", "Conv2D", "Conv1DTranspose", "Conv2DTranspose"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("filters", [1, 2])
def test_one_picture_on_one_thread_has_gradients(name, channels, filters):
    """torch computes those without oneDNN, and takes fewer layouts of the kernel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        layer = getattr(layers, name)(filters, 3)
        x = torch.randn(1, *(6, 5)[: layer.rank], channels, requires_grad=True)
        layer(x).square().sum().backward()
        alone = layer.kernel.grad.clone()
        layer.kernel.grad = None
        layer(torch.cat([x, x])).square().sum().backward()
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(layer.kernel.grad, 2 * alone)
