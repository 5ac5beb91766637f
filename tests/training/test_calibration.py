"""Models quantized by GPTQ and AWQ: as real Keras does it, nearer than by rounding, files, and what people do wrong."""

import copy

import numpy as np
import pytest
import torch

import lamella
from lamella import layers, quantizers
from lamella.errors import ArgumentError, DataError, FileError, NotBuiltError
from lamella.language import BERT, GPT
from lamella.quantizers.calibration_data import calibration_samples

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* does not have a `quantize`", "ignore:.*The use of `x.T`", "ignore:Skipping nested container"
)


def config_of(room, mode="gptq", dataset=None, tokenizer=None, **options):
    return {"gptq": room.GPTQConfig, "awq": room.AWQConfig}[mode](dataset, tokenizer, **options)


TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on in the sun. " * 20


class Characters:
    """A tokenizer as Keras wants it."""

    def tokenize(self, text):
        return np.array([ord(letter) % 32 for letter in text])


def block_model(library, width=32):
    """An embedding, two blocks with attention, and logits."""
    tokens = library.Input((None,), dtype="int32")
    embedding = library.layers.Embedding(32, width, name="table")
    x, blocks = embedding(tokens), []
    for i in range(2):
        inputs = library.Input((None, width))
        attention = library.layers.MultiHeadAttention(2, width // 2, name=f"attention_{i}")
        h = library.layers.LayerNormalization(name=f"norm_{i}")(inputs)
        h = library.layers.Add(name=f"add_{i}")([inputs, attention(h, h, use_causal_mask=True)])
        h2 = library.layers.Dense(2 * width, activation="relu", name=f"up_{i}")(h)
        h2 = library.layers.Dense(width, name=f"down_{i}")(h2)
        blocks.append(library.Model(inputs, library.layers.Add(name=f"sum_{i}")([h, h2]), name=f"block_{i}"))
        x = blocks[-1](x)
    model = library.Model(tokens, library.layers.Dense(32, name="logits")(x))
    return model, {"pre_block_layers": [embedding], "sequential_blocks": blocks}


def pair_of_models(rng):
    (ours, our_structure), (theirs, their_structure) = block_model(lamella), block_model(keras)
    values = [rng.normal(size=w.shape).astype("float32") / 5 for w in theirs.weights]
    theirs.set_weights(values)
    ours.set_weights(values)
    return ours, our_structure, theirs, their_structure


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_a_model_is_quantized_as_keras_does_it(mode, rng, monkeypatch):
    """The same weights and texts: the same levels and outputs, with Keras's matrix that carries errors.

    Keras 3.15 watches `call`, which layers of a quantized policy do not go through: nothing is gathered, and its GPTQ
    and AWQ both round to the nearest. Here `call` is brought back while it watches.
    """
    unwatched = keras.layers.Layer.quantized_call

    def watched(layer, *args, **kwargs):
        is_watched = getattr(layer.call, "__name__", None) == "hook"
        return layer.call(*args, **kwargs) if is_watched else unwatched(layer, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Layer, "quantized_call", watched)
    monkeypatch.setattr("lamella.quantizers.gptq.carried_errors", torch.linalg.inv)
    # where Keras starts in the text depends on a hash that differs from run to run
    monkeypatch.setattr("keras.src.quantizers.gptq_core.hash", lambda what: 0, raising=False)
    ours, our_structure, theirs, their_structure = pair_of_models(rng)
    x = rng.integers(0, 32, (3, 12)).astype("int32")
    before = ours.predict(x, verbose=0)
    np.testing.assert_allclose(before, theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-4)
    options = {"dataset": [TEXT], "tokenizer": Characters(), "num_samples": 5, "sequence_length": 8, "group_size": 16}
    options |= {"num_grid_points": 5} if mode == "awq" else {}
    structures = (ours, quantizers, our_structure), (theirs, keras.quantizers, their_structure)
    for model, room, structure in structures:
        config = config_of(room, mode, **options, quantization_layer_structure=structure)
        model.quantize(mode, config=config, filters="^(query|up)")
    for name in ("up_0", "up_1"):
        one, other = (
            next(layer for layer in model._flatten_layers() if layer.name == name) for model in (ours, theirs)
        )
        assert np.mean(np.asarray(one.get_weights()[1]) != np.asarray(other.get_weights()[1])) < 0.02
    after = ours.predict(x, verbose=0)
    assert np.abs(after - before).mean() > 0.01
    assert np.abs(after - theirs.predict(x, verbose=0)).mean() < 0.1 * np.abs(after - before).mean()


@pytest.mark.parametrize("mode", ["gptq", "awq"])
@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_files_of_models(mode, ending, rng, tmp_path):
    """Ours are read by Keras and by us."""
    ours, our_structure, theirs, their_structure = pair_of_models(rng)
    options = {"dataset": [TEXT], "tokenizer": Characters(), "num_samples": 1, "sequence_length": 8, "group_size": 16}
    options |= {"num_grid_points": 2} if mode == "awq" else {}
    chosen = "^(query|attention_output|down_0)"
    config = config_of(quantizers, mode, **options, quantization_layer_structure=our_structure)
    ours.quantize(mode, config=config, filters=chosen)
    x, path = rng.integers(0, 32, (3, 12)).astype("int32"), str(tmp_path / f"model{ending}")
    wanted = ours.predict(x, verbose=0)
    if ending == ".keras":
        ours.save(path)
        found = [lamella.saving.load_model(path)]  # Keras's attention does not tell its projections' policies
    else:
        ours.save_weights(path)
        again, structure, *_ = pair_of_models(rng)
        for model, room, form in ((again, quantizers, structure), (theirs, keras.quantizers, their_structure)):
            config = config_of(room, mode, **options, quantization_layer_structure=form)
            model.quantize(mode, config=config, filters=chosen)
            model.load_weights(path)
        found = [again, theirs]
    for model in found:
        np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-3, atol=1e-3)


def dense_models():
    """Two models of dense layers with the same weights, in ours and in Keras."""
    found = []
    for library in (lamella, keras):
        known = [library.layers.Dense(24, activation="relu", name="in"), library.layers.Dense(6, name="out")]
        found.append(library.Sequential([library.Input((16,)), *known]))
    found[0].set_weights([np.asarray(value) for value in found[1].get_weights()])
    return found


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_keras_reads_our_models(mode, tmp_path):
    ours, _ = dense_models()
    structure = {"sequential_blocks": ours.layers}
    data = {"dataset": torch.randn(9, 16), "group_size": 4, "quantization_layer_structure": structure}
    ours.quantize(mode, config=config_of(quantizers, mode, **data))
    ours.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(5, 16)).astype("float32")
    again = keras.saving.load_model(str(tmp_path / "model.keras"))
    np.testing.assert_allclose(again.predict(x, verbose=0), ours.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_models_of_keras_are_read_where_zero_points_are_known(ending, tmp_path):
    ours, theirs = dense_models()
    structure = {"sequential_blocks": theirs.layers}
    theirs.get_quantization_layer_structure = lambda mode: structure
    options = {"group_size": 16, "symmetric": True, "num_samples": 2, "sequence_length": 16}
    tokens = np.arange(64)
    theirs.quantize("gptq", config=config_of(keras.quantizers, dataset=[tokens], tokenizer=list, **options))
    path = str(tmp_path / f"model{ending}")
    if ending == ".keras":
        theirs.save(path)
        ours = lamella.saving.load_model(path)
    else:
        theirs.save_weights(path)
        structure = {"sequential_blocks": ours.layers}
        config = config_of(quantizers, dataset=[np.ones(16)], **options, quantization_layer_structure=structure)
        ours.quantize("gptq", config=config)
        ours.load_weights(path)
    x = np.random.default_rng(0).normal(size=(5, 16)).astype("float32")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-4)


def trained_gpt():
    lamella.utils.set_random_seed(0)
    tokens = torch.tensor(Characters().tokenize(TEXT))
    model = GPT(32, context_length=32, num_layers=2, num_heads=2, width=32)
    model.compile(lamella.optimizers.AdamW(3e-3))
    pieces = tokens.unfold(0, 33, 7)
    model.fit(pieces[:, :-1], pieces[:, 1:], epochs=3, batch_size=32, verbose=0)
    return model, pieces


def test_a_language_model_stays_nearer_than_by_rounding():
    model, pieces = trained_gpt()
    x, y = pieces[:, :-1], pieces[:, 1:]
    before = model.predict(x, verbose=0)
    far = {}
    size = sum(weight.nbytes for weight in model.blocks[0].weights)
    for mode in ("nearest", "gptq", "awq"):
        other = copy.deepcopy(model)
        if mode == "nearest":
            for layer in other._flatten_layers():
                if type(layer) is layers.Dense:
                    layer._quantize_by(config_of(quantizers, weight_bits=3, group_size=32))
        else:
            bits = {"weight_bits": 3} if mode == "gptq" else {}
            config = config_of(quantizers, mode, [TEXT], Characters(), sequence_length=32, group_size=32, **bits)
            other.quantize(mode, config=config)
        far[mode] = float(np.square(other.predict(x, verbose=0) - before).mean())
    assert far["gptq"] < 0.7 * far["nearest"]
    assert sum(weight.nbytes for weight in other.blocks[0].weights) < 0.35 * size  # of awq, the last
    assert other.evaluate(x, y, verbose=0) < 1.1 * model.evaluate(x, y, verbose=0) + 0.05
    assert other.generate(x[:1, :5], max_new_tokens=4, temperature=0).shape == (1, 9)


def test_bert_knows_its_blocks():
    model = BERT(32, max_length=16, num_layers=2, num_heads=2, width=16, pad_id=None)
    model.quantize(config=config_of(quantizers, "awq", [TEXT], Characters(), sequence_length=16, group_size=8))
    policies = {layer.dtype_policy.name for block in model.blocks for layer in block._flatten_layers()}
    assert "awq/4/8_from_float32" in policies


def digits():
    model = lamella.Sequential([lamella.Input((16,)), layers.Dense(24, "relu"), layers.Dense(10)])
    return model, {"sequential_blocks": model.layers}


def test_samples_of_floats_and_what_stays():
    model, structure = digits()
    config = config_of(quantizers, dataset=torch.randn(40, 16), group_size=8, quantization_layer_structure=structure)
    model.quantize(config=config, filters=lambda layer: layer is model.layers[0])
    assert [layer.quantization_mode for layer in model.layers] == ["gptq", None]
    kept = model.layers[0].quantization_config
    assert kept.dataset is None and kept.quantization_layer_structure is None  # nothing holds the data
    with pytest.raises(ArgumentError, match="quantized already"):
        model.quantize(config=config)


def test_a_layer_in_two_blocks_is_rounded_once():
    shared = layers.Dense(16)
    blocks = [lamella.Sequential([lamella.Input((16,)), shared]) for _ in range(2)]
    model = lamella.Sequential([lamella.Input((16,)), *blocks])
    structure = {"sequential_blocks": blocks}
    model.quantize(config=config_of(quantizers, dataset=torch.randn(9, 16), quantization_layer_structure=structure))
    assert shared.quantization_mode == "gptq"


# -- samples ----------------------------------------------------------------------------------------------------------


def test_samples_are_those_of_keras(monkeypatch):
    from keras.src.quantizers import gptq_core

    monkeypatch.setattr(gptq_core, "hash", lambda what: 0, raising=False)
    for length, number in ((7, 5), (50, 3), (16, 200)):
        config = config_of(quantizers, dataset=[TEXT[:40], TEXT[9:70]], num_samples=number, sequence_length=length)
        config.tokenizer = Characters()
        wanted = gptq_core.get_dataloader(Characters(), length, config.dataset, number)
        np.testing.assert_array_equal(calibration_samples(config), wanted[:, 0])
    config.dataset, config.tokenizer = [np.arange(100), [5, 6]], None
    wanted = gptq_core.get_dataloader(None, length, config.dataset, number)
    np.testing.assert_array_equal(calibration_samples(config), wanted[:, 0])


@pytest.mark.parametrize(
    ("dataset", "tokenizer", "kind", "says"),
    [
        (None, None, ArgumentError, "needs a `dataset`"),
        ("a text", str.encode, ArgumentError, "got str"),
        (7, None, ArgumentError, "got int"),
        ([], None, DataError, "is empty"),
        (["a text"], None, ArgumentError, "a `tokenizer` is needed"),
        (["", ""], str.encode, DataError, "no token"),
        (["a b"], str.split, DataError, "whole numbers"),
        ([np.ones(3), np.ones(4)], None, DataError, "one shape"),
    ],
)
def test_what_is_wrong_with_data(dataset, tokenizer, kind, says):
    model, structure = digits()
    config = config_of(quantizers, dataset=dataset, tokenizer=tokenizer, quantization_layer_structure=structure)
    with pytest.raises(kind, match=says):
        model.quantize("gptq", config=config)
    assert model.layers[0].quantization_mode is None


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_with_models():
    model, structure = digits()
    data = {"dataset": torch.randn(9, 16)}
    with pytest.raises(ArgumentError, match="must know which layers follow each other"):
        model.quantize("awq", config=config_of(quantizers, "awq", **data))
    wrong = {"sequential_blocks": ["encoder"]}
    with pytest.raises(ArgumentError, match="must be layers; got 'encoder'"):
        model.quantize(config=config_of(quantizers, "awq", **data, quantization_layer_structure=wrong))
    with pytest.raises(ArgumentError, match="config=GPTQConfig"):
        model.quantize("gptq")
    config = config_of(quantizers, **data, quantization_layer_structure=structure)
    with pytest.raises(ArgumentError, match="none of its 2 blocks"):
        model.quantize("gptq", config=config, filters="nothing")
    with pytest.raises(ArgumentError, match="call quantize"):
        model.layers[0].quantize("gptq", config=config)
    with pytest.raises(ArgumentError, match="a policy alone"):
        model.layers[0].dtype_policy = "gptq/4/8_from_float32"
    with pytest.raises(NotBuiltError):
        lamella.Sequential([layers.Dense(3)]).quantize("gptq", config=config)
    model.quantize("gptq", config=config)
    with pytest.raises(ArgumentError, match="LoRA does not go"):
        model.layers[0].enable_lora(2)


def test_layers_that_are_no_product_or_are_not_called():
    turned = layers.EinsumDense("ab,cb->ac", 3)
    turned.build((None, 16))
    alone = layers.Dense(2)
    alone.build((None, 5))
    block = lamella.Sequential([lamella.Input((16,)), layers.Dense(16)])
    block.never = alone
    data = {"dataset": torch.randn(9, 16), "group_size": 4}
    config = config_of(quantizers, **data, quantization_layer_structure={"sequential_blocks": [block, turned]})
    with pytest.warns(UserWarning, match="not one product of matrices"), pytest.warns(match="was not called"):
        block.quantize("gptq", config=config)
    assert turned.quantization_mode is None and alone.quantization_mode == "gptq"


def test_a_quantized_file_for_a_model_that_is_not(tmp_path):
    model, structure = digits()
    data = {"dataset": torch.randn(9, 16), "group_size": 4}
    model.quantize("gptq", config=config_of(quantizers, **data, quantization_layer_structure=structure))
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(FileError, match="Quantize the model as it was"):
        digits()[0].load_weights(tmp_path / "model.weights.h5")
