"""LoRA: the same outputs, gradients, weights, configs and files as real Keras's, with a training of few numbers."""

import json

import numpy as np
import pytest
import torch

import lamella
from lamella import layers
from lamella.errors import ArgumentError, NotBuiltError

keras = pytest.importorskip("keras")

CASES = [
    ("Dense", {"units": 5, "activation": "relu", "kernel_regularizer": "l2"}, (4, 6)),
    ("Dense", {"units": 5, "use_bias": False}, (4, 3, 6)),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 5), "bias_axes": "de"}, (2, 4, 6)),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": (None, 5), "bias_axes": "e"}, (2, 4, 3, 2)),
    ("EinsumDense", {"equation": "ab,cb->ac", "output_shape": 3}, (4, 6)),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, (2, 8, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}, (2, 8, 8, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 1, "use_bias": False}, (2, 8, 8, 3)),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 3, "strides": 2}, (2, 8, 8, 3)),
    ("Conv3D", {"filters": 4, "kernel_size": 2}, (1, 4, 4, 4, 3)),
    ("Embedding", {"input_dim": 7, "output_dim": 4}, (4, 3)),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 4}, (4, 3)),
    ("ReversibleEmbedding", {"input_dim": 7, "output_dim": 4, "tie_weights": False}, (4, 3)),
]


def inputs_for(name, shape, rng):
    return rng.integers(0, 7, shape) if "Embedding" in name else rng.normal(size=shape).astype("float32")


def pair(name, arguments, shape, rng, **lora):
    """Our layer and Keras's with LoRA and the same random weights; and inputs."""
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    x = inputs_for(name, shape, rng)
    for layer in (ours, theirs):
        layer.build(shape)
        layer.enable_lora(2, **lora)
    values = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, x


def gradients(layer, weights, x, upstream, **call):
    y = layer(torch.tensor(x), **call)
    return [y.detach(), *torch.autograd.grad((y * torch.tensor(upstream(tuple(y.shape)))).sum(), weights)]


def close(ours, theirs, tolerance=1e-4):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_outputs_and_gradients(name, arguments, shape, rng):
    ours, theirs, x = pair(name, arguments, shape, rng, lora_alpha=3)
    seed = int(rng.integers(1000))
    trained = [weight.value for weight in theirs.trainable_weights]
    assert [tuple(w.shape) for w in ours.trainable_weights] == [tuple(w.shape) for w in trained]
    calls = [(x, {})]
    if name == "ReversibleEmbedding":
        calls.append((rng.normal(size=(*shape, 4)).astype("float32"), {"reverse": True}))
    for inputs, call in calls:
        if name == "ReversibleEmbedding" and not arguments.get("tie_weights", True):
            used = slice(0, 1) if call else slice(1, None)  # each way has weights of its own
        else:
            used = slice(None)

        def upstream(shape):
            return np.random.default_rng(seed).normal(size=shape).astype("float32")

        close(
            gradients(ours, ours.trainable_weights[used], inputs, upstream, **call),
            gradients(theirs, trained[used], inputs, upstream, **call),
        )


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_weights_counts_penalties_and_the_adapted_weight(name, arguments, shape, rng):
    ours, theirs, _ = pair(name, arguments, shape, rng, lora_alpha=4)
    adapted = "embeddings" if "Embedding" in name else "kernel"
    close([getattr(ours, adapted).detach()], [getattr(theirs, adapted).detach()], 1e-6)
    assert ours.count_params() == theirs.count_params()
    close(ours.get_weights(), theirs.get_weights(), 0)
    close([float(loss.detach()) for loss in ours.losses], [float(loss.detach()) for loss in theirs.losses], 1e-6)
    names = [weight.path.rpartition("/")[2] for weight in theirs.weights]
    assert sorted(key for key, _ in ours.named_parameters()) == sorted(names)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_configs_go_both_ways(name, arguments, shape, rng):
    ours, theirs, _ = pair(name, arguments, shape, rng, lora_alpha=4)
    for key in ("lora_rank", "lora_alpha"):
        assert ours.get_config()[key] == theirs.get_config()[key]
    again = getattr(layers, name).from_config(json.loads(json.dumps(theirs.get_config())))
    assert (again.lora_rank, again.lora_alpha) == (2, 4)
    assert getattr(keras.layers, name).from_config(ours.get_config()).lora_rank == 2
    assert "lora_rank" not in getattr(layers, name)(**arguments).get_config()


@pytest.mark.parametrize(("name", "arguments", "shape"), [c for c in CASES if "Dense" not in c[0] or "eq" in c[0]])
def test_made_with_a_rank(name, arguments, shape, rng):
    layer = getattr(layers, name)(**arguments, lora_rank=2, lora_alpha=3)
    x = torch.tensor(inputs_for(name, shape, rng))
    layer(x)
    plain = getattr(layers, name)(**arguments)
    plain.build(shape)
    plain.set_weights([w.detach() for key, w in layer.named_parameters() if "lora" not in key])
    assert layer.lora_enabled
    torch.testing.assert_close(layer(x), plain(x))


def model_of(library, rank=None):
    images = library.Input((8, 8, 3))
    x = library.layers.Conv2D(4, 3, padding="same", activation="relu", lora_rank=rank)(images)
    x = library.layers.MaxPooling2D()(x)
    x = library.layers.Conv2D(8, 3, padding="same", lora_rank=rank)(x)
    x = library.layers.Reshape((16, 8))(x)
    x = library.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = library.layers.Flatten()(x)
    x = library.layers.Dense(6, activation="relu", lora_rank=rank)(x)
    return library.Model(images, library.layers.Dense(3, activation="softmax")(x))


def with_lora(library, rng):
    """A model with LoRA everywhere that it can be, where the change is not zero."""
    model = model_of(library)
    attention = model.get_layer("attention")
    inner = [attention.query_dense, attention.key_dense, attention.value_dense, attention.output_dense]
    for layer in [*model.layers, *inner]:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(2)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.3 for w in model.weights])
    return model


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("rank", [None, 2])
def test_files_both_ways(ending, rank, rng, tmp_path):
    x = rng.normal(size=(5, 8, 8, 3)).astype("float32")
    for one, other in ((lamella, keras), (keras, lamella)):
        model, path = with_lora(one, rng), str(tmp_path / f"{one.__name__}{ending}")
        wanted = model.predict(x, verbose=0)
        if ending == ".keras":
            model.save(path)
            again = other.saving.load_model(path)
        else:
            model.save_weights(path)
            again = model_of(other, rank)
            again.load_weights(path)
        np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=2e-5)


def test_training_as_keras_does(rng):
    x, y = rng.normal(size=(64, 8, 8, 3)).astype("float32"), rng.integers(0, 3, 64)
    ours, theirs = with_lora(lamella, rng), with_lora(keras, rng)
    ours.set_weights(theirs.get_weights())
    frozen = [w.clone() for w in ours.non_trainable_weights]
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy")  # Adam makes steps of rounding errors too
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    close(ours.get_weights(), theirs.get_weights(), 1e-3)
    assert all(torch.equal(one, other) for one, other in zip(ours.non_trainable_weights, frozen, strict=True))


def test_added_to_a_compiled_model_that_was_trained(rng):
    x, y = rng.normal(size=(64, 6)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    model = lamella.Sequential([lamella.Input((6,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=3, verbose=0)
    before = model.evaluate(x, y, verbose=0)
    kernel = model.layers[0].kernel.detach().clone()
    model.layers[0].enable_lora(2)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(before, rel=1e-5)
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before
    assert torch.equal(model.layers[0]._kept_weight(), kernel)
    assert not torch.equal(model.layers[0].kernel, kernel)


def test_a_loaded_layer_can_be_trained_on(rng, tmp_path):
    """Keras puts A and B both at zero, from where no gradient leads; here A keeps what it starts from."""
    model = lamella.Sequential([lamella.Input((6,)), layers.Dense(4, lora_rank=2)])
    model.layers[0].lora_kernel_b.assign(np.ones((2, 4)))
    model.save(tmp_path / "model.keras")
    again = lamella.saving.load_model(tmp_path / "model.keras")
    x = rng.normal(size=(8, 6)).astype("float32")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    again.compile("sgd", "mse")
    again.fit(x, np.ones((8, 4)), epochs=2, verbose=0)
    assert again.layers[0].lora_kernel_b.numpy().any()


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "Embedding"])
def test_mixed_policy(name, rng):
    arguments = {"Dense": {"units": 4}, "Conv2D": {"filters": 4, "kernel_size": 3}, "Embedding": {"input_dim": 7}}[name]
    if name == "Embedding":
        arguments = arguments | {"output_dim": 4}
    shape = {"Dense": (3, 6), "Conv2D": (2, 5, 5, 3), "Embedding": (3, 2)}[name]
    layer = getattr(layers, name)(**arguments, dtype="mixed_bfloat16", lora_rank=2)
    plain = getattr(layers, name)(**arguments, lora_rank=2)
    x = torch.tensor(inputs_for(name, shape, rng))
    assert layer(x).dtype is torch.bfloat16
    plain(x)
    plain.set_weights(layer.get_weights())
    torch.testing.assert_close(layer(x).float(), plain(x), atol=5e-2, rtol=5e-2)
    found = torch.autograd.grad(layer(x).float().sum(), layer.trainable_weights)
    assert all(gradient.dtype is torch.float32 for gradient in found)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float64"])
def test_files_of_other_types_lose_no_digit(policy, rng):
    """Keras writes the sum in the type that the layer computes in."""
    layer = layers.Dense(4, dtype=policy, lora_rank=2)
    x = torch.tensor(rng.normal(size=(3, 6)).astype("float32"))
    layer(x)
    layer.lora_kernel_b.assign(rng.normal(size=(2, 4)))
    wanted, kept = layer(x), {}
    layer.save_own_variables(kept)
    change = (layer.lora_kernel_a @ layer.lora_kernel_b).detach()
    exact = (layer._kept_weight().double() + change.double()).numpy()
    np.testing.assert_allclose(kept["0"], exact, rtol=1e-2 if policy == "bfloat16" else 1e-6, atol=1e-6)
    layer.load_own_variables(kept)
    assert layer(x).dtype is wanted.dtype
    torch.testing.assert_close(layer(x), wanted, atol=5e-2, rtol=5e-2)


def test_what_cannot_be():
    layer = layers.Dense(3)
    with pytest.raises(NotBuiltError, match="no weights yet"):
        layer.enable_lora(2)
    layer.build((None, 4))
    with pytest.raises(ArgumentError, match="positive whole number"):
        layer.enable_lora(0)
    layer.enable_lora(2)
    with pytest.raises(ArgumentError, match="LoRA already"):
        layer.enable_lora(2)
    constrained = layers.Embedding(3, 4, embeddings_constraint="non_neg")
    constrained.build(None)
    with pytest.raises(ArgumentError, match="embeddings_constraint"):
        constrained.enable_lora(2)
    assert "lora_rank" not in constrained.get_config()  # as it was


def test_the_product_of_tiles_sees_the_sum(rng):
    """3 x 3 convolutions of many channels take a way of their own."""
    layer = layers.Conv2D(64, 3, padding="same", lora_rank=4)
    x = torch.tensor(rng.normal(size=(4, 32, 32, 64)).astype("float32"))
    layer(x)
    layer.lora_kernel_b.assign(rng.normal(size=(4, 64)) * 0.1)
    plain = layers.Conv2D(64, 3, padding="same")
    plain.build(x.shape)
    plain.set_weights([layer.kernel.detach(), layer.bias.detach()])
    torch.testing.assert_close(layer(x), plain(x), atol=1e-4, rtol=1e-4)
    wanted = torch.autograd.grad(plain(x).square().mean(), plain.kernel)[0]
    b = layer.lora_kernel_b
    (found,) = torch.autograd.grad(layer(x).square().mean(), layer.lora_kernel_a)
    torch.testing.assert_close(found, wanted @ b.detach().T, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("mode", ["int8", "int4"])
@pytest.mark.parametrize("name", ["Dense", "EinsumDense", "Embedding"])
def test_a_layer_with_lora_is_quantized(name, mode, rng, tmp_path):
    arguments, shape = next((arguments, shape) for kind, arguments, shape in CASES if kind == name)
    arguments = {**arguments, "activation": None} if name == "Dense" else arguments
    ours, theirs, x = pair(name, arguments, shape, rng)
    before = ours(x).detach().numpy()
    for layer in (ours, theirs):
        layer.quantize(mode)
    y = ours(x).detach().numpy()
    close([y], [theirs(x).detach().numpy()], 1e-3)
    assert 0 < np.abs(y - before).max() < (0.2 if mode == "int8" else 2.5)
    assert len(ours.trainable_weights) == len(theirs.trainable_weights)
    a, b = (getattr(ours, f"lora_{ours._adapted}_{letter}") for letter in "ab")
    first, second = torch.autograd.grad(ours(x).square().sum(), [a, b])
    assert first.abs().max() > 0 and second.abs().max() > 0
    model = lamella.Sequential([ours])
    model.save(tmp_path / "quantized.keras")
    loaded = lamella.saving.load_model(tmp_path / "quantized.keras")
    assert np.abs(loaded(x).detach().numpy() - y).max() < (0.2 if mode == "int8" else 2.5)  # the sum is rounded anew


def test_the_paths_of_its_weights():
    class Net(lamella.Model):
        def __init__(self):
            super().__init__(name="net")
            self.dense = layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x)

    net = Net()
    net(torch.ones(2, 4))
    net.dense.enable_lora(2)
    assert [net.dense.lora_kernel_a.path, net.dense.lora_kernel_b.path] == [
        "net/dense/lora_kernel_a",
        "net/dense/lora_kernel_b",
    ]
