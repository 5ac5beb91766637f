"""Quantized layers: the same outputs, gradients, weights and files as real Keras's."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

import lamella
from lamella import layers, quantizers
from lamella.errors import ArgumentError, FileError, NotBuiltError

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`", "ignore:.*The use of `x.T`")

EINSUM = {"equation": "abc,cde->abde", "output_shape": (None, 2, 5), "bias_axes": "de"}
LAYERS = [
    ("Dense", {"units": 5, "activation": "relu"}, (4, 6)),
    ("Dense", {"units": 5, "use_bias": False}, (4, 3, 6)),
    ("EinsumDense", EINSUM, (2, 4, 6)),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 5), "bias_axes": "e"}, (2, 4, 3, 2)),
    ("EinsumDense", {"equation": "ab,cb->ac", "output_shape": 3}, (4, 6)),
    ("EinsumDense", {"equation": "abc,bd->adc", "output_shape": (3, 6)}, (2, 4, 6)),
    ("Embedding", {"input_dim": 7, "output_dim": 5}, (4, 3)),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 5}, (4, 3)),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 5, "tie_weights": False, "logit_soft_cap": 3.0}, (4, 3)),
]
CONFIGS = {
    "int8": lambda room: room.Int8QuantizationConfig(),
    "int8 of weights alone": lambda room: room.Int8QuantizationConfig(activation_quantizer=None),
    "int4": lambda room: room.Int4QuantizationConfig(),
    "int4 in small blocks": lambda room: room.Int4QuantizationConfig(block_size=4),
    "int4 by output": lambda room: room.Int4QuantizationConfig(block_size=None),
    "int4 and inputs": lambda room: room.Int4QuantizationConfig(
        block_size=-1, activation_quantizer=room.AbsMaxQuantizer()
    ),
    "float8": lambda room: room.Float8QuantizationConfig(),
}
CASES = [(layer, config) for layer in LAYERS for config in CONFIGS if config != "float8" or "Embedding" not in layer[0]]
TURNED = ("ab,cb->ac", "abc,bd->adc")
"""Equations whose kernel or output is turned: there Keras fails with LoRA, and in other ways."""


def inputs_for(name, shape, rng):
    return rng.integers(0, 7, shape) if "Embedding" in name else rng.normal(size=shape).astype("float32")


def pair(case, config, rng, rank=None):
    """Our layer and Keras's, quantized after they had the same random weights; and inputs."""
    name, arguments, shape = case
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    for layer in (ours, theirs):
        layer.build(shape)
    values = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    for layer, room in ((ours, quantizers), (theirs, keras.quantizers)):
        layer.set_weights(values)
        layer.quantize(config=CONFIGS[config](room))
        if rank:
            layer.enable_lora(rank, lora_alpha=3)
    if rank:
        for letter in "ab":
            name_of_it = next(w.path for w in theirs.weights if w.path.endswith(f"_{letter}")).rpartition("/")[2]
            one, other = getattr(ours, name_of_it), getattr(theirs, name_of_it)
            value = rng.normal(size=other.shape).astype("float32")
            one.assign(value)
            other.assign(value)
    return ours, theirs, inputs_for(name, shape, rng)


def close(ours, theirs, tolerance=1e-4):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=tolerance, atol=tolerance)


def answers(layer, x, upstream, weights, **call):
    """Outputs and gradients of weights, and of the inputs where they are floats."""
    x = torch.tensor(x, requires_grad=x.dtype == np.float32)
    y = layer(x, **call)
    wanted = [*weights, x] if x.requires_grad else weights
    gradients = torch.autograd.grad((y * torch.tensor(upstream(y.shape))).sum(), wanted) if wanted else ()
    return [y.detach(), *gradients]


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(("case", "config"), CASES)
def test_outputs_gradients_and_weights(case, config, rank, rng):
    if rank and config == "float8":
        pytest.skip("float8 has no LoRA")
    if (rank or config == "int8 of weights alone") and case[1].get("equation") in TURNED:
        pytest.skip("Keras fails; the formula is checked below")
    ours, theirs, x = pair(case, config, rng, rank)
    seed = int(rng.integers(1000))

    def upstream(shape):
        return np.random.default_rng(seed).normal(size=tuple(shape)).astype("float32")

    kinds = [(tuple(w.shape), w.dtype) for w in theirs.get_weights()]
    found = [(tuple(w.shape), w.dtype) for w in ours.get_weights()]
    zeros_as_floats = not case[1].get("tie_weights", True) and config in ("int4", "int4 in small blocks")
    assert zeros_as_floats or found == kinds  # Keras's zero points of the way back
    close(ours.get_weights(), theirs.get_weights(), 1e-6)
    assert ours.dtype_policy.name == theirs.dtype_policy.name
    trained = [w.value for w in theirs.trainable_weights if w.value.ndim and w.shape != (1024,)]
    close(answers(ours, x, upstream, ours.trainable_weights), answers(theirs, x, upstream, trained))


@pytest.mark.parametrize("config", [name for name in CONFIGS if name != "float8"])
@pytest.mark.parametrize("case", [case for case in LAYERS if case[1].get("equation") in TURNED])
def test_turned_kernels(case, config, rng):
    """The quantized layer computes with its `kernel`, and LoRA adds its part."""
    layer = layers.EinsumDense(**case[1])
    layer.build(case[2])
    before = layer.kernel.detach().clone()
    layer.quantize(config=CONFIGS[config](quantizers))
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(rng.normal(size=layer.lora_kernel_b.shape))
    change = layer.lora_kernel_a @ layer.lora_kernel_b
    torch.testing.assert_close((layer.kernel - change).detach(), before, atol=0.15, rtol=0)
    x = torch.tensor(inputs_for(*case[::2], rng), requires_grad=True)
    y, wanted = layer(x), torch.einsum(layer.equation, x, layer.kernel)
    torch.testing.assert_close(y, wanted, atol=0.05, rtol=0.02)
    weights = [x, layer.lora_kernel_a, layer.lora_kernel_b]
    close(torch.autograd.grad(y.sum(), weights), torch.autograd.grad(wanted.sum(), weights), 1e-4)


@pytest.mark.parametrize("config", [name for name in CONFIGS if name != "float8"])
@pytest.mark.parametrize("case", LAYERS[-2:])
def test_the_way_back(case, config, rng):
    ours, theirs, _ = pair(case, config, rng)
    x = rng.normal(size=(4, 3, 5)).astype("float32")
    close([ours(torch.tensor(x), reverse=True)], [theirs(torch.tensor(x), reverse=True).detach()])


@pytest.mark.parametrize(("case", "config"), CASES)
def test_configs_and_own_files_go_both_ways(case, config, rng):
    ours, theirs, x = pair(case, config, rng)
    name, _, shape = case
    assert json.loads(json.dumps(ours.get_config()["quantization_config"])) == json.loads(
        json.dumps(theirs.get_config()["quantization_config"])
    )
    wanted = theirs(torch.tensor(x)).detach()
    for one, other in ((ours, keras), (theirs, lamella), (ours, lamella)):
        kept = {}
        one.save_own_variables(kept)
        again = getattr(other.layers, name).from_config(json.loads(json.dumps(one.get_config())))
        again.build(shape)
        again.load_own_variables({key: np.asarray(value) for key, value in kept.items()})
        close([again(torch.tensor(x)).detach()], [wanted])


@pytest.mark.parametrize("config", ["int8", "int4", "int4 by output"])
@pytest.mark.parametrize("case", LAYERS[:4] + LAYERS[6:7])
def test_lora_is_merged_into_files(case, config, rng):
    ours, theirs, _ = pair(case, config, rng, rank=2)
    stored = []
    for layer in (ours, theirs):
        kept = {}
        layer.save_own_variables(kept)
        stored.append(
            [
                np.asarray(kept[str(i)].detach() if hasattr(kept[str(i)], "detach") else kept[str(i)])
                for i in range(len(kept))
            ]
        )
    assert [w.dtype for w in stored[0]] == [w.dtype for w in stored[1]]
    close(stored[0], stored[1])


def model_of(library, attention=True):
    tokens = library.Input((6,), dtype="int32")
    x = library.layers.Embedding(20, 16)(tokens)
    x = library.layers.MultiHeadAttention(2, 8, name="attention")(x, x) if attention else x
    x = library.layers.LayerNormalization()(x)
    x = library.layers.Dense(16, activation="relu")(x)
    x = library.layers.Flatten()(x)
    return library.Model(tokens, library.layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("config", ["int8", "int4", "int4 by output"])
def test_files_of_models_both_ways(config, ending, rng, tmp_path):
    x = rng.integers(0, 20, (5, 6)).astype("int32")
    for one, other in ((lamella, keras), (keras, lamella), (lamella, lamella)):
        attention = one is lamella or ending != ".keras"  # whose config in Keras does not tell of it
        model, path = model_of(one, attention), str(tmp_path / f"{one.__name__}{other.__name__}{ending}")
        model.quantize(config=CONFIGS[config](one.quantizers))
        wanted = model.predict(x, verbose=0)
        if ending == ".keras":
            model.save(path)
            again = other.saving.load_model(path)
        else:
            model.save_weights(path)
            again = model_of(other, attention)
            again.quantize(config=CONFIGS[config](other.quantizers))
            again.load_weights(path)
        np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=2e-5)


def test_a_quantized_file_for_a_model_that_is_not(tmp_path):
    model = model_of(lamella)
    model.quantize("int8")
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(FileError, match="Quantize the model as it was"):
        model_of(lamella).load_weights(tmp_path / "model.weights.h5")


def digits_model():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential(
        [lamella.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1400], y[:1400], epochs=20, verbose=0)
    return model, x[1400:], y[1400:]


@pytest.mark.parametrize(("mode", "most"), [("int8", 0.005), ("int4", 0.03), ("float8", 0.02)])
def test_a_trained_model_stays_as_good(mode, most):
    model, x, y = digits_model()
    before = model.evaluate(x, y, verbose=0)[1]
    size = sum(weight.nbytes for weight in model.weights)
    model.quantize(mode)
    assert model.evaluate(x, y, verbose=0)[1] >= before - most
    if mode != "float8":
        assert sum(weight.nbytes for weight in model.weights) < size * {"int8": 0.32, "int4": 0.21}[mode]


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_copies_files_of_tensors_and_graphs(mode, rng, tmp_path):
    model = lamella.Sequential([lamella.Input((8,)), layers.Dense(4, activation="relu"), layers.Dense(3)])
    model.quantize(mode)
    x = torch.tensor(rng.normal(size=(3, 8)).astype("float32"))
    wanted = model(x)
    torch.testing.assert_close(copy.deepcopy(model)(x), wanted)
    torch.testing.assert_close(pickle.loads(pickle.dumps(model.layers[0]))(x), model.layers[0](x))
    clone = lamella.models.clone_model(model)
    model.save_weights(tmp_path / "model.safetensors")
    clone.load_weights(tmp_path / "model.safetensors")
    torch.testing.assert_close(clone(x), wanted)
    model.save(tmp_path / "model.h5")
    torch.testing.assert_close(lamella.saving.load_model(tmp_path / "model.h5")(x), wanted)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), wanted)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_onnx_has_the_numbers_too(rng, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for mode in ("int8", "int4"):
        model = lamella.Sequential([lamella.Input((8,)), layers.Dense(3)])
        model.quantize(mode)
        path = str(tmp_path / f"{mode}.onnx")
        model.export(path, format="onnx")
        session = onnxruntime.InferenceSession(path)
        x = rng.normal(size=(3, 8)).astype("float32")
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)


def test_a_language_model_reads_its_tables(rng):
    """Families read tables of embeddings by themselves."""
    gpt = lamella.language.GPT(20, context_length=8, num_layers=1, num_heads=2, width=16)
    tokens = torch.tensor(rng.integers(0, 20, (2, 8)))
    before = gpt(tokens)
    gpt.quantize("int8")
    torch.testing.assert_close(gpt(tokens), before, atol=0.1, rtol=0.1)


def test_lora_trains_a_quantized_model():
    model, x, y = digits_model()
    model.quantize("int8")
    kept = [layer._kept_weight().clone() for layer in model.layers]
    for layer in model.layers:
        layer.enable_lora(4)
    before = model.evaluate(x, y, verbose=0)[0]
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < before
    assert all(torch.equal(layer._kept_weight(), one) for layer, one in zip(model.layers, kept, strict=True))


def test_training_in_float8_as_keras_does(rng):
    x, y = rng.normal(size=(64, 6)).astype("float32"), rng.normal(size=(64, 2)).astype("float32")
    models = []
    for library in (lamella, keras):
        made = [library.layers.Dense(8, activation="relu"), library.layers.Dense(2)]
        models.append(library.Sequential([library.Input((6,)), *made]))
    values = [rng.normal(size=w.shape) for w in models[1].weights]
    for model in models:
        model.set_weights(values)
        model.quantize("float8")
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    for ours, theirs in zip(models[0].layers, models[1].layers, strict=True):
        close(ours.get_weights(), theirs.get_weights(), 1e-3)


def test_a_policy_in_the_place_of_a_type(rng):
    x = torch.tensor(rng.normal(size=(3, 8)).astype("float32"))
    layer = layers.Dense(4, dtype="int8_from_mixed_bfloat16")
    assert layer(x).dtype is torch.bfloat16
    assert layer.weights[1].dtype is torch.int8
    blocks = layers.Dense(4, dtype="int4/4_from_float32")
    assert blocks(x).shape == (3, 4)
    assert tuple(blocks.kernel_scale.shape) == (2, 4)
    later = layers.Dense(4)
    before = later(x)
    later.dtype_policy = "int8_from_float32"
    torch.testing.assert_close(later(x), before, atol=0.05, rtol=0.05)
    assert later.quantization_mode == "int8"
    lamella.config.set_dtype_policy("int8_from_float32")
    try:
        assert layers.Dense(2).quantization_mode == "int8"
        assert layers.LayerNormalization()(x).shape == (3, 8)
    finally:
        lamella.config.set_dtype_policy(None)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_other_types(policy, mode, rng):
    layer = layers.Dense(5, dtype=policy)
    x = torch.tensor(rng.normal(size=(4, 6)).astype("float32"))
    before = layer(x)
    layer.quantize(mode)
    if mode != "float8":
        layer.enable_lora(2)
    after = layer(x)
    assert after.dtype is before.dtype
    torch.testing.assert_close(after, before, atol=0.4, rtol=0)
    gradients = torch.autograd.grad(after.float().square().sum(), layer.trainable_weights)
    assert [g.dtype for g in gradients] == [w.dtype for w in layer.trainable_weights]


def test_the_weight_is_floats_to_whoever_asks(rng):
    layer = layers.Dense(4)
    layer.build((None, 6))
    before = layer.kernel.detach().clone()
    layer.quantize("int8")
    torch.testing.assert_close(layer.kernel, before, atol=0.01, rtol=0.02)
    assert layer._buffers["kernel"].dtype is torch.int8


def test_filters_and_what_cannot_be():
    model = lamella.Sequential([lamella.Input((4,)), layers.Dense(3, name="body"), layers.Dense(2, name="head")])
    model.quantize("int8", filters="bo.y")
    assert [layer.quantization_mode for layer in model.layers] == ["int8", None]
    with pytest.raises(ArgumentError, match="quantized already"):
        model.layers[0].quantize("int8")
    with pytest.raises(NotBuiltError, match="no weights yet"):
        layers.Dense(2).quantize("int8")
    with pytest.raises(ArgumentError, match="'int7'"):
        model.layers[1].quantize("int7")
    with pytest.raises(ArgumentError, match="config is one of"):
        model.layers[1].quantize("int8", config=quantizers.Int4QuantizationConfig())
    with pytest.raises(ArgumentError, match="float16"):
        layers.Dense(2, dtype="int8_from_mixed_float16")
    table = layers.Embedding(3, 2)
    table.build(None)
    with pytest.raises(NotImplementedError, match="float8"):
        table.quantize("float8")


class Own(layers.Dense):
    pass


def test_a_class_of_ones_own_is_left_as_it_is():
    model = lamella.Sequential([lamella.Input((4,)), Own(3), layers.Dense(2)])
    with pytest.warns(UserWarning, match="class of its own"):
        model.quantize("int8")
    assert [layer.quantization_mode for layer in model.layers] == [None, "int8"]
    model.layers[0].quantize("int8", type_check=False)
    assert model.layers[0].quantization_mode == "int8"


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_a_kernel_whose_norm_was_one_stays_so(mode, rng, tmp_path):
    model = lamella.Sequential([lamella.Input((4,)), layers.SpectralNormalization(layers.Dense(3))])
    model.compile("sgd", "mse")
    x = rng.normal(size=(8, 4)).astype("float32")
    model.fit(x, x[:, :3], verbose=0)
    wanted = model.predict(x, verbose=0)
    model.quantize(mode)
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, atol=0.2)
    model.fit(x, x[:, :3], verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = lamella.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
