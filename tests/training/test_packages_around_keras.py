"""What packages of models built on Keras ask of it, each by a small model: as real Keras does it."""

import copy
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras as real
import numpy as np
import pytest
import torch

import lamella

BOTH = pytest.mark.parametrize("keras", [lamella, real], ids=["lamella", "keras"])


def positions(keras):
    """A layer whose call takes no length above its table's, and which says the shape of its outputs."""

    class Positions(keras.layers.Layer):
        def build(self, inputs_shape):
            self.table = self.add_weight(name="embeddings", shape=(5, inputs_shape[-1]))

        def call(self, inputs):
            return inputs + self.table[: inputs.shape[1]].reshape(1, inputs.shape[1], -1)

        def compute_output_shape(self, inputs_shape):
            return inputs_shape

    return Positions


@BOTH
def test_declared_outputs_are_believed(keras):
    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, positions(keras)()(inputs))
    around = keras.Input((None, 2))
    outer = keras.Model(around, keras.layers.Dense(3)(model(around)))
    narrow = keras.Input((4, 2))
    assert model(narrow).shape == (None, 4, 2)
    assert outer.output_shape == (None, None, 3)
    assert outer(np.ones((2, 4, 2), "float32")).shape == (2, 4, 3)


def test_an_error_of_a_layer_that_declares_nothing_is_raised():
    class Refuses(lamella.layers.Layer):
        def call(self, inputs):
            raise ValueError("not so")

    with pytest.raises(ValueError, match="not so"):
        Refuses()(lamella.Input((2,)))


@BOTH
def test_weights_known_by_two_names_are_saved_once(keras, tmp_path):
    inputs = keras.Input((4, 2))
    model = keras.Model(inputs, positions(keras)()(inputs))
    model.save_weights(tmp_path / "a.weights.h5")
    kept = model.get_weights()
    model.set_weights([np.zeros_like(each) for each in kept])
    model.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(model.get_weights()[0], kept[0])


def paths(keras):
    K = keras.layers

    class Block(K.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scale = self.add_weight(shape=(), name="scale")

        def build(self, input_shape):
            self.inner = K.Dense(2, name="inner")
            self.inner.build(input_shape)
            self.chain = keras.Sequential([K.Dense(2, name="first"), K.BatchNormalization(name="norm")], name="chain")
            self.chain.build(input_shape)

        def call(self, inputs):
            return self.chain(self.inner(inputs)) * self.scale

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Block(name="block")(inputs))

    class Written(keras.Model):
        def __init__(self):
            super().__init__(name="written")
            self.dense = K.Dense(2, name="dense")

        def call(self, inputs):
            return self.dense(inputs)

    written = Written()
    written(np.ones((1, 2), "float32"))
    found = [weight.path for weight in (*model.weights, *written.weights)]
    return sorted(found), [layer.path for layer in (model.get_layer("block"), written.dense)], model.weights[0].name


def test_paths_of_weights_like_keras():
    assert paths(lamella) == paths(real)
    assert paths(lamella)[0][0] == "block/chain/first/bias"


def test_paths_stay_when_the_model_is_moved():
    layer = lamella.layers.BatchNormalization(name="norm")
    layer.build((None, 2))
    layer.to(torch.float64)
    assert [weight.path for weight in layer.weights] == [
        "norm/gamma",
        "norm/beta",
        "norm/moving_mean",
        "norm/moving_variance",
    ]


@BOTH
def test_build_gets_the_shapes_that_it_names(keras):
    class Cross(keras.layers.Layer):
        def build(self, first_shape, second_shape=None):
            self.has_second = second_shape is not None

        def call(self, first, second=None, first_mask=None):
            return first

    layer = Cross()
    x = np.ones((2, 3), "float32")
    layer(x, x, first_mask=np.ones((2, 3), "bool"))
    assert layer.has_second


@BOTH
def test_an_attribute_may_have_the_name_of_a_layer(keras):
    class Backbone(keras.Model):
        def __init__(self):
            inputs = keras.Input((2,))
            super().__init__(inputs, keras.layers.Dense(2, name="width")(inputs))
            self.width = 0.5

    model = Backbone()
    assert model.width == 0.5
    assert len(model.weights) == 2


def order_of_layers(keras):
    K = keras.layers
    one, two = keras.Input((2,), name="b_one"), keras.Input((2,), name="a_two")
    shared = K.Dense(2, name="shared")
    first = K.Dense(2, name="deep")(K.ReLU(name="relu")(shared(one)))
    both = K.Add(name="both")([first, shared(two)])
    inner = keras.Model({"b_one": one, "a_two": two}, {"z": both, "a": first})
    return [layer.name for layer in inner.layers]


def test_the_order_of_layers_with_shared_ones_and_dicts():
    assert order_of_layers(lamella) == order_of_layers(real)


@BOTH
def test_a_get_config_of_ones_own_says_what_is_kept(keras):
    class Reads(keras.layers.Layer):
        def __init__(self, vocabulary=None, size=3, **kwargs):
            super().__init__(**kwargs)
            self.vocabulary, self.size = vocabulary, size

        def get_config(self):
            return {**super().get_config(), "size": self.size}

    assert set(Reads(["a"], name="r").get_config()) == {"name", "trainable", "dtype", "size"}

    class Wide(keras.layers.Dense):
        def get_config(self):
            return {**super().get_config(), "more": 1}

    assert {"units", "kernel_initializer", "more"} <= set(Wide(2).get_config())


@BOTH
def test_a_compile_of_ones_own_is_not_called_on_loading(keras, tmp_path):
    @keras.saving.register_keras_serializable(package=f"own_{keras.__name__}")
    class Task(keras.Model):
        def __init__(self, **kwargs):
            inputs = keras.Input((2,))
            super().__init__(inputs, keras.layers.Dense(1)(inputs), **kwargs)
            self.calls = 0

        def get_config(self):
            return {"name": self.name}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

        def compile(self, optimizer="sgd", **kwargs):
            self.calls += 1
            super().compile(optimizer=optimizer, loss="mse", **kwargs)

    task = Task()
    task.compile()
    task.save(tmp_path / "task.keras")
    with pytest.warns(UserWarning, match="compile"):
        assert keras.saving.load_model(tmp_path / "task.keras").calls == 0


@BOTH
def test_objects_to_skip(keras, tmp_path):
    def made():
        inputs = keras.Input((2,))
        return keras.Model(inputs, keras.layers.Dense(2, name="b")(keras.layers.Dense(2, name="a")(inputs)))

    model, other = made(), made()
    keras.saving.save_weights(model, tmp_path / "a.weights.h5", objects_to_skip=[model.get_layer("a")])
    before = other.get_layer("a").get_weights()[0]
    keras.saving.load_weights(other, tmp_path / "a.weights.h5", objects_to_skip=[other.get_layer("a")])
    np.testing.assert_array_equal(other.get_layer("a").get_weights()[0], before)
    np.testing.assert_array_equal(other.get_layer("b").get_weights()[0], model.get_layer("b").get_weights()[0])
    with pytest.raises(ValueError, match="objects_to_skip"):
        other.load_weights(tmp_path / "a.keras", objects_to_skip=[]) if not (tmp_path / "a.keras").write_bytes(
            b""
        ) else 0


@BOTH
def test_layers_that_prepare_data_get_what_was_given(keras):
    class Prepares(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self._convert_input_args = False
            self._allow_non_tensor_positional_args = True

        def call(self, inputs):
            return [len(each) for each in inputs]

    assert Prepares()([[1, 2, 3], [4]]) == [3, 1]


def attention(keras, mask, dropout=0.0):
    class Projected(keras.layers.MultiHeadAttention):
        def call(self, query, value, key=None, training=None):
            q, k, v = self._query_dense(query), self._key_dense(value), self._value_dense(value)
            attended, _ = self._compute_attention(query=q, key=k, value=v, attention_mask=mask, training=training)
            return self._output_dense(attended)

    layer = Projected(num_heads=2, key_dim=3, dropout=dropout)
    layer.build((2, 4, 6), (2, 5, 6))
    assert layer._combine_equation.count(",") == 1
    assert (layer._num_heads, layer._key_dim, layer._use_bias) == (2, 3, True)
    return layer


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("masked", [False, True])
def test_inner_names_of_attention(masked, dropout):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 6)).astype("f"), rng.normal(size=(2, 5, 6)).astype("f")
    mask = torch.tensor(rng.random((2, 4, 5)) > 0.3) if masked else None
    ours, theirs = attention(lamella, mask, dropout), attention(real, mask, dropout)
    theirs(x, y), ours(x, y)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x, y).detach(), theirs(x, y).detach().numpy(), atol=1e-6)


@BOTH
def test_flatten_layers(keras):
    inputs = keras.Input((2,))
    inner = keras.Sequential([keras.layers.Dense(2, name="deep")], name="inner")
    model = keras.Model(inputs, inner(inputs), name="model")
    names = [layer.name for layer in model._flatten_layers(include_self=False)]
    assert "deep" in names and "model" not in names
    assert "deep" not in [layer.name for layer in model._flatten_layers(recursive=False)]


@BOTH
def test_variables_that_a_layer_saves_itself(keras):
    layer = keras.layers.BatchNormalization()
    layer.build((None, 2))
    assert [len(layer._trainable_variables), len(layer._non_trainable_variables)] == [2, 2]


@BOTH
def test_names_of_objects_in_place_of_configs(keras):
    found = keras.saving.deserialize_keras_object("dense", module_objects={"dense": keras.layers.Flatten})
    assert isinstance(found, keras.layers.Flatten)


@BOTH
def test_the_policy_of_a_model_may_change(keras):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.dtype_policy = keras.dtype_policies.get("bfloat16")
    assert model.dtype_policy.name == "bfloat16"
    assert "float32" in str(model.weights[0].dtype)


def head(keras):
    """A layer that fills two lists in turns, with a sublayer of its own between them and one in a dict behind."""

    class Head(keras.layers.Layer):
        def build(self, shape):
            self.dense, self.norms, self.named = [], [], {}
            for number in range(2):
                self.dense.append(keras.layers.Dense(4, use_bias=False, name=f"dense_{number}"))
                self.dense[-1].build(shape)
                if number == 1:
                    self.last = keras.layers.Dense(4, use_bias=False, name="last")
                    self.last.build(shape)
                self.norms.append(keras.layers.LayerNormalization(name=f"norm_{number}"))
                self.norms[-1].build(shape)
            self.named["deep"] = [keras.layers.Dense(4, name="deep")]
            self.named["deep"][0].build(shape)
            self.built = True

        def call(self, x):
            for dense, norm in zip(self.dense, self.norms, strict=True):
                x = norm(dense(x))
            return self.named["deep"][0](self.last(x))

    return Head(name="head")


def test_weights_in_the_order_in_which_lists_were_filled():
    ours, theirs = head(lamella), head(real)
    ours.build((None, 4)), theirs.build((None, 4))
    assert [weight.path for weight in ours.weights] == [weight.path for weight in theirs.weights]
    names = [layer.name for layer in theirs._flatten_layers(include_self=False)]
    assert [layer.name for layer in ours._flatten_layers(recursive=False, include_self=False)] == names
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("f")
    np.testing.assert_allclose(ours(x).detach(), theirs(x).detach().numpy(), atol=1e-5)
    again = copy.deepcopy(ours)
    assert [weight.path for weight in again.weights] == [weight.path for weight in ours.weights]


def test_an_optimizer_goes_on_in_keras_where_lists_were_filled_in_turns(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("f")
    losses = []
    for keras, other in ((lamella, real), (real, lamella)):
        models = []
        for each in (keras, other):
            each.utils.set_random_seed(0)
            inputs = each.Input((4,))
            models.append(each.Model(inputs, head(each)(inputs)))
            models[-1].compile(each.optimizers.Adam(0.01), "mse")
        first, second = models
        first.fit(x, x, epochs=3, verbose=0)
        path = str(tmp_path / f"{keras.__name__}.weights.h5")
        first.save_weights(path)
        second.optimizer.build(second.trainable_variables)
        second.load_weights(path)
        for model in models:
            model.optimizer.learning_rate = 0.1
            losses.append(model.fit(x, x, epochs=3, verbose=0).history["loss"][-1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3) and losses[2] == pytest.approx(losses[3], rel=1e-3)


@BOTH
def test_shapes_of_outputs_by_the_names_of_inputs(keras):
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    query, value = (None, 1, 8), (None, 5, 8)
    attention.build(query_shape=query, value_shape=value)
    assert attention.compute_output_shape(query_shape=query, value_shape=value) == query
    assert attention.compute_output_shape(query, value, value) == query
    grouped = keras.layers.GroupQueryAttention(2, 4, 2)
    grouped.build(query_shape=query, value_shape=value)
    assert grouped.compute_output_shape(query_shape=query, value_shape=value, key_shape=None) == query
    assert keras.layers.LSTM(3).compute_output_shape(sequences_shape=(2, 4, 5)) == (2, 3)
    assert keras.layers.Dense(3).compute_output_shape(input_shape=(2, 5)) == (2, 3)


def either(keras):
    class Either(keras.layers.Layer):
        """Pictures added up with another, of a size that is not known; where there is none, with ones."""

        def call(self, x, other):
            def ones():
                return keras.ops.ones((keras.ops.shape(other)[0], 4, 4, 1))

            return x + keras.ops.cond(keras.ops.equal(keras.ops.shape(other)[1], 0), ones, lambda: other[:, ::2, ::2])

    return Either()


@BOTH
def test_a_condition_on_sizes_that_are_not_known(keras):
    x, other = keras.Input((4, 4, 1)), keras.Input((None, None, 1))
    model = keras.Model([x, other], either(keras)(x, other))
    assert tuple(model.output.shape) == (None, 4, 4, 1)
    picture = torch.ones(2, 4, 4, 1)
    assert float(model([picture, torch.full((2, 8, 8, 1), 2.0)]).sum()) == 32 * 3
    assert float(model([picture, torch.zeros(2, 0, 8, 1)]).sum()) == 32 * 2


@BOTH
@pytest.mark.parametrize("kind", ["array", "dict", "list", "loader"])
def test_what_a_predict_step_is_given(keras, kind):
    seen = []

    class Own(keras.Model):
        def call(self, x):
            return x

        def predict_step(self, data):
            seen.append(data)
            return torch.ones(4, 1)

    x = np.ones((4, 2), "float32")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2), torch.ones(4, 1)), 4)
    data = {"array": x, "dict": {"a": x}, "list": [x, x], "loader": loader}[kind]
    assert Own().predict(data, verbose=0).shape == (4, 1)
    given = seen[0]
    if kind in ("array", "dict"):
        assert tuple((given["a"] if kind == "dict" else given).shape) == (4, 2)
    elif kind == "list":
        assert len(given) == 1 and [tuple(each.shape) for each in given[0]] == [(4, 2), (4, 2)]
    else:
        assert [tuple(each.shape) for each in given] == [(4, 2), (4, 1)]


@BOTH
def test_weights_by_their_inner_names(keras):
    made = [
        (keras.layers.Dense(3), (2, 3), "_kernel"),
        (keras.layers.EinsumDense("ab,bc->ac", 3), (2, 3), "_kernel"),
        (keras.layers.Conv1D(3, 2), (2, 4, 3), "_kernel"),
        (keras.layers.Embedding(5, 3), (2, 4), "_embeddings"),
    ]
    for layer, shape, name in made:
        assert not hasattr(layer, name)
        layer.build(shape)
        getattr(layer, name).assign(np.full(layer.weights[0].shape, 2.0, "float32"))
        assert float(keras.ops.convert_to_numpy(getattr(layer, name.removeprefix("_"))).min()) == 2.0


@BOTH
def test_masks_of_a_layer_for_another(keras):
    tokens = torch.tensor([[1, 0], [2, 3]])
    mask = keras.layers.Embedding(4, 2, mask_zero=True).compute_mask(tokens, mask=None)
    assert keras.ops.convert_to_numpy(mask).tolist() == [[True, False], [True, True]]
    assert keras.layers.ReversibleEmbedding(4, 2, mask_zero=True).compute_mask(tokens, mask=None) is None
    given = torch.tensor([[True, False]])
    assert keras.layers.LSTM(2, return_sequences=True).compute_mask(tokens, mask=given) is given
    assert keras.layers.GlobalAveragePooling1D().compute_mask(tokens, mask=given) is None


@BOTH
def test_declared_shapes_after_a_halved_length(keras):
    inputs = keras.Input((None, 3))
    halved = keras.layers.Conv1D(3, 3, strides=2, padding="same")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([halved, positions(keras)()(halved)]))
    assert tuple(model.output.shape) == (None, None, 3)
    assert tuple(model(torch.ones(2, 6, 3)).shape) == (2, 3, 3)


@BOTH
def test_the_backend_of_a_layer_that_prepares_data(keras):
    class Shifted(keras.layers.Rescaling):
        def call(self, inputs):
            x = self.backend.cast(inputs, self.compute_dtype) - self.backend.cast(self.offset, self.compute_dtype)
            return self.backend.numpy.multiply(x, self.scale)

    layer = Shifted(scale=2.0, offset=1.0)
    assert keras.ops.convert_to_numpy(layer(torch.tensor([[1, 3]]))).tolist() == [[0.0, 4.0]]
    inputs = keras.Input((2,))
    assert tuple(keras.Model(inputs, layer(inputs)).output.shape) == (None, 2)


@BOTH
def test_a_declared_shape_of_no_inputs(keras):
    class Table(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.ones((1, 5)) * inputs[:, :5].reshape(1, 5)  # for one sample

        def compute_output_shape(self):
            return (None, 5)

    inputs = keras.Input((5,))
    assert tuple(Table()(inputs).shape) == (None, 5)
