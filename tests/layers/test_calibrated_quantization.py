"""GPTQ and AWQ: rounding as real Keras does it, the error that is less than that of rounding to the nearest, files."""

import copy
import json

import pytest
import torch

from lamella import dtype_policies, layers, quantizers
from lamella.errors import ArgumentError, ShapeError
from lamella.quantizers.affine import affine_parameters, round_to_nearest
from lamella.quantizers.awq import AWQ
from lamella.quantizers.gptq import GPTQ, carried_errors, round_in_order

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize`", "ignore:.*The use of `x.T`", "ignore:Skipping nested container"
)
CPU = torch.device("cpu")


def config_of(room, mode="gptq", dataset=None, tokenizer=None, **options):
    return {"gptq": room.GPTQConfig, "awq": room.AWQConfig}[mode](dataset, tokenizer, **options)


def correlated(rows, size, seed=0):
    """Inputs that go together, some of them large."""
    torch.manual_seed(seed)
    return torch.randn(rows, size) @ (torch.eye(size) + torch.randn(size, size) / size**0.5) * torch.rand(size) * 3


def theirs_of(values):
    return keras.ops.convert_to_tensor(values.numpy())


# -- the rounding of one matrix, beside Keras's -----------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("group_size", [-1, 32, 48])
@pytest.mark.parametrize("per_channel", [True, False])
def test_scales_and_zero_points(bits, symmetric, group_size, per_channel):
    from keras.src.quantizers.quantizers import compute_quantization_parameters

    if not per_channel:  # groups go with channels in Keras
        group_size = -1
    torch.manual_seed(0)
    x = torch.randn(96, 20)
    scale, zero = affine_parameters(x, bits, group_size, symmetric, per_channel)
    options = {"bits": bits, "symmetric": symmetric, "group_size": group_size, "per_channel": per_channel}
    wanted_scale, wanted_zero, _ = compute_quantization_parameters(theirs_of(x.T), **options)
    assert torch.equal(scale.T, wanted_scale)
    assert torch.equal(zero.T.to(torch.uint8), wanted_zero)


def test_zero_is_a_level_whatever_the_signs():
    """Keras's zero point leaves the type it is kept in where all weights of a group have one sign."""
    rounded = round_to_nearest(torch.tensor([[1.0], [1.5], [2.0]]), bits=4)
    assert (rounded.floats() - torch.tensor([[1.0], [1.5], [2.0]])).abs().max() < 0.07
    zeros = torch.zeros(3, 1)
    assert torch.equal(round_to_nearest(zeros, bits=4).floats(), zeros)


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"weight_bits": 3}, {"per_channel": False}])
@pytest.mark.parametrize(("size", "group_size"), [(96, 32), (100, 64), (256, 128), (256, 32), (96, -1)])
def test_the_loop_over_inputs_is_that_of_keras(size, group_size, options):
    """With the matrix that Keras carries errors by, the levels are Keras's."""
    from keras.src.quantizers.gptq import gptq_quantize_matrix
    from keras.src.quantizers.quantizers import GPTQQuantizer

    options = options | {"group_size": group_size}
    inputs, weights = correlated(400, size), torch.randn(size, 24)
    hessian = seen(GPTQ, config_of(quantizers, **options), inputs).hessian()
    inverse = torch.linalg.inv(hessian)
    ours = round_in_order(weights, inverse, config_of(quantizers, **options))
    wanted, scale, zero, group = gptq_quantize_matrix(
        weights.T,
        inverse,
        group_size=group_size,
        compute_scale_zero=GPTQQuantizer(config_of(keras.quantizers, **options)).find_params,
    )
    different = (ours.levels.T.int() - wanted.int()).abs()
    assert different.max() <= 1 and (different > 0).float().mean() < 1e-3  # sums in another order
    torch.testing.assert_close(ours.scale.T, scale, rtol=1e-4, atol=1e-6)
    assert (ours.zero.T.int() - zero.int()).abs().float().mean() < 1e-3
    assert torch.equal(ours.group, group.long())


def test_the_hessian_is_that_of_keras():
    from keras.src.quantizers.gptq import GPTQ as TheirGPTQ

    inputs = correlated(60, 12)
    inputs[:, 3] = 0
    layer = keras.layers.Dense(5)
    layer.build((None, 12))
    theirs = TheirGPTQ(layer, config_of(keras.quantizers, group_size=4))
    ours = GPTQ(config_of(quantizers, group_size=4), 12, CPU)
    for batch in inputs.split(25):
        theirs.update_hessian_with_batch(theirs_of(batch))
        ours.see(batch)
    damped = ours.hessian()
    undamped = damped - torch.diag(damped.diagonal() - theirs.hessian.diagonal())
    torch.testing.assert_close(undamped, theirs.hessian, rtol=1e-4, atol=1e-5)
    mean = torch.where(theirs.hessian.diagonal() == 0, 1.0, theirs.hessian.diagonal()).mean()
    assert damped[3, 3].item() == pytest.approx(1 + 0.01 * mean.item(), rel=1e-4)


@pytest.mark.parametrize(("size", "group_size"), [(96, 32), (100, 64), (256, 128), (96, -1)])
def test_awq_is_that_of_keras(size, group_size):
    from keras.src.quantizers.awq import awq_quantize_matrix

    inputs, weights = correlated(100, size), torch.randn(size, 24)
    ours = seen(AWQ, config_of(quantizers, "awq", group_size=group_size), inputs).round(weights)
    levels, scale, zero, factors, group = awq_quantize_matrix(weights.T, inputs.abs().amax(0), group_size=group_size)
    different = (ours.levels.T.int() - levels.int()).abs()
    assert different.max() <= 1 and (different > 0).float().mean() < 1e-3
    torch.testing.assert_close(ours.scale.T, scale, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours.row_scale, factors, rtol=1e-5, atol=1e-7)
    assert torch.equal(ours.zero.T, zero) and torch.equal(ours.group, group.long())


# -- what the rounding is for -----------------------------------------------------------------------------------------


def seen(kind, config, inputs):
    found = kind(config, inputs.shape[1], CPU)
    for batch in inputs.split(37):
        found.see(batch)
    return found


def error(inputs, weights, rounded):
    return (inputs @ (rounded.floats() - weights)).square().mean().item()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [{}, {"weight_bits": 3}, {"symmetric": True}, {"activation_order": True}])
@pytest.mark.parametrize("group_size", [-1, 32, 200])
def test_gptq_is_nearer_on_its_inputs_than_rounding_is(seed, options, group_size):
    inputs, weights = correlated(500, 160, seed), torch.randn(160, 30)
    config = config_of(quantizers, group_size=group_size, **options)
    nearest = round_to_nearest(weights, config.weight_bits, group_size, config.symmetric)
    assert error(inputs, weights, seen(GPTQ, config, inputs).round(weights)) < 0.7 * error(inputs, weights, nearest)


@pytest.mark.parametrize("seed", range(5))
def test_awq_is_nearer_where_some_inputs_are_large(seed):
    inputs, weights = torch.randn(300, 64) * torch.rand(64) ** 4 * 20, torch.randn(64, 30)
    config = config_of(quantizers, "awq", group_size=32)
    nearest = round_to_nearest(weights, 4, 32)
    assert error(inputs, weights, seen(AWQ, config, inputs).round(weights)) < 0.9 * error(inputs, weights, nearest)


def test_errors_are_carried_by_the_factor_of_the_inverse():
    hessian = seen(GPTQ, config_of(quantizers), correlated(200, 40)).hessian()
    carried = carried_errors(hessian)
    assert torch.equal(carried, carried.tril())
    torch.testing.assert_close(carried @ carried.T @ hessian, torch.eye(40), rtol=1e-3, atol=1e-3)


def test_by_itself_an_input_is_rounded_as_the_optimum_is():
    """Two equal inputs: the second takes all of what the first lost, so that their sum is as near as one level is."""
    torch.manual_seed(0)
    inputs = torch.randn(50, 4)
    inputs[:, 1] = inputs[:, 0]
    weights = torch.tensor([[0.31, 0.1], [0.2, 0.12], [-1.0, 1.0], [1.0, -1.0]])
    rounded = seen(GPTQ, config_of(quantizers, hessian_damping=1e-4), inputs).round(weights)
    lost = (rounded.floats() - weights)[:2].sum(0).abs()
    assert (lost <= rounded.scale[0] / 2 + 1e-3).all()


def test_damping_is_needed_where_inputs_depend_on_each_other():
    inputs = torch.ones(10, 3)
    with pytest.raises(ArgumentError, match="hessian_damping"):
        seen(GPTQ, config_of(quantizers, hessian_damping=0.0), inputs).round(torch.ones(3, 2))


# -- layers and their files -------------------------------------------------------------------------------------------

ATTENTION_IN = {"equation": "abc,cde->abde", "output_shape": (None, 2, 9), "bias_axes": "de"}
ATTENTION_OUT = {"equation": "abcd,cde->abe", "output_shape": (None, 32), "bias_axes": "e"}
LAYERS = [
    ("Dense", {"units": 7, "activation": "relu"}, (6, 32)),
    ("Dense", {"units": 8, "use_bias": False}, (4, 5, 32)),
    ("EinsumDense", ATTENTION_IN, (2, 4, 32)),
    ("EinsumDense", ATTENTION_OUT, (2, 4, 2, 16)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 5}, (6, 32)),
]
OPTIONS = [
    ("gptq", {"group_size": 16}),
    ("gptq", {"group_size": -1, "weight_bits": 3}),
    ("gptq", {"group_size": 24, "symmetric": True, "weight_bits": 8}),
    ("gptq", {"group_size": 8, "activation_order": True}),
    ("awq", {"group_size": 16}),
    ("awq", {"group_size": -1}),
]


def calibrated(case, mode, options, rng):
    """A layer of ours that was quantized for inputs, the inputs, and its weight before."""
    name, arguments, shape = case
    layer = getattr(layers, name)(**arguments)
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.weights])
    x = torch.tensor(rng.normal(size=shape).astype("float32"))
    before = layer.kernel.detach().clone()
    config = config_of(quantizers, mode, **options)
    rounding = {"gptq": GPTQ, "awq": AWQ}[mode](config, layer._calibrated_shape()[1][0], CPU)
    rounding.see(x.reshape(-1, layer._calibrated_shape()[1][0]))
    layer._quantize_by(config, rounding.round)
    return layer, x, before


@pytest.mark.parametrize(("mode", "options"), OPTIONS)
@pytest.mark.parametrize("case", LAYERS)
def test_keras_reads_our_layers_and_computes_the_same(case, mode, options, rng):
    layer, x, before = calibrated(case, mode, options, rng)
    assert (layer.kernel - before).abs().max() < 2.5 * before.abs().max() / 2 ** options.get("weight_bits", 4) * 3
    kept = {}
    layer.save_own_variables(kept)
    wanted = layer(x).detach()
    for room in (keras.layers, layers):
        again = getattr(room, case[0]).from_config(json.loads(json.dumps(layer.get_config())))
        again.build(case[2])
        assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in layer.weights]
        again.load_own_variables(kept)
        torch.testing.assert_close(again(x).detach(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("mode", "options"), OPTIONS)
def test_configs_are_those_of_keras(mode, options, rng):
    ours, theirs = config_of(quantizers, mode, **options), config_of(keras.quantizers, mode, **options)
    assert ours.get_config() == theirs.get_config() and ours.dtype_policy_string() == theirs.dtype_policy_string()
    again = quantizers.deserialize(json.loads(json.dumps(keras.quantizers.serialize(theirs))))
    assert again.get_config() == ours.get_config()
    name = f"{ours.dtype_policy_string()}_from_mixed_bfloat16"
    policy, wanted = dtype_policies.get(name), keras.dtype_policies.get(name)
    assert policy.get_config() == wanted.get_config() and policy.name == wanted.name
    assert dtype_policies.deserialize(keras.dtype_policies.serialize(wanted)) == policy


def test_gradients_go_through_to_the_inputs(rng):
    layer, x, _ = calibrated(LAYERS[1], "awq", {"group_size": 16}, rng)
    x.requires_grad_()
    upstream = torch.randn(4, 5, 8)
    (layer(x) * upstream).sum().backward()
    torch.testing.assert_close(x.grad, upstream @ layer.kernel.T)
    assert not layer.trainable_weights


def test_groups_that_change_their_order_are_seen(rng):
    """The quick way is that of neighbours; weights of another order that are loaded later take the other."""
    quick, x, _ = calibrated(LAYERS[0], "gptq", {"group_size": 8}, rng)
    quick(x)
    turned, x, _ = calibrated(LAYERS[0], "gptq", {"group_size": 8, "activation_order": True}, rng)
    assert not torch.equal(turned._buffers["g_idx"], quick._buffers["g_idx"])
    quick.set_weights(turned.get_weights())
    torch.testing.assert_close(quick(x), turned(x))
    assert torch.equal(copy.deepcopy(turned)(x), turned(x))


def test_files_of_keras_have_no_zero_points(rng):
    """Keras 3.15 leaves them out, and cannot read the files itself; what is known without them is read here."""
    for symmetric in (True, False):
        layer, x, _ = calibrated(LAYERS[0], "gptq", {"group_size": 8, "symmetric": symmetric}, rng)
        kept = {}
        layer.save_own_variables(kept)
        as_keras = {str(i): kept[key] for i, key in enumerate(key for key in kept if key != "3")}
        again = layers.Dense.from_config(layer.get_config())
        again.build((None, 32))
        if symmetric:
            again.load_own_variables(as_keras)
            torch.testing.assert_close(again(x), layer(x))
        else:
            with pytest.raises(ShapeError, match="no zero points"):
                again.load_own_variables(as_keras)


def test_other_types(rng):
    layer = layers.Dense(6, dtype="mixed_bfloat16")
    layer.build((None, 16))
    layer._quantize_by(config_of(quantizers, group_size=8))
    x = torch.tensor(rng.normal(size=(3, 16)).astype("float32"))
    assert layer(x).dtype is torch.bfloat16 and layer._buffers["kernel_scale"].dtype is torch.float32
    assert layer.dtype_policy.name == "gptq/4/8_from_mixed_bfloat16"


def test_exports_and_copies(rng, tmp_path):
    for mode, options in OPTIONS[:1] + OPTIONS[3:5]:
        layer, x, _ = calibrated(LAYERS[0], mode, options, rng)
        found = torch.export.export(layer.eval(), (x,)).module()(x)
        torch.testing.assert_close(found, layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "options", "says"),
    [
        ("gptq", {"weight_bits": 5}, "`weight_bits` must be one of"),
        ("awq", {"weight_bits": 3}, "`weight_bits` must be 4"),
        ("gptq", {"num_samples": 0}, "num_samples"),
        ("awq", {"sequence_length": 0}, "sequence_length"),
        ("gptq", {"group_size": 0}, "group_size"),
        ("gptq", {"hessian_damping": 2}, "hessian_damping"),
        ("awq", {"num_grid_points": 0}, "num_grid_points"),
    ],
)
def test_numbers_out_of_range(mode, options, says):
    with pytest.raises(ArgumentError, match=says):
        config_of(quantizers, mode, **options)
    with pytest.raises(ValueError):
        config_of(keras.quantizers, mode, **options)


@pytest.mark.parametrize("mode", ["gptq/4", "gptq/5/128", "gptq/4/0", "awq/3/128", "awq/4/-2", "gptq/a/1"])
def test_policies_of_another_form(mode):
    with pytest.raises(ArgumentError, match="looks like"):
        dtype_policies.get(f"{mode}_from_float32")
    with pytest.raises(ValueError):
        keras.dtype_policies.get(f"{mode}_from_float32")
