"""The attentions against real Keras: outputs, gradients, weights, masks of every kind, configs, errors."""

import inspect

import numpy as np
import pytest
import torch
from test_layers_against_keras import close

import lamella
from lamella import layers
from lamella.engine import masking

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer .* was passed an input with a mask", "ignore:.*does not support masking"
)

B, T, S = 3, 4, 6
PLAIN = [(B, T, 8), (B, S, 8)]
THREE = [(B, T, 8), (B, S, 8), (B, S, 8)]
MHA = "MultiHeadAttention"
GQA = "GroupQueryAttention"

PROJECTED = [
    (MHA, {"num_heads": 2, "key_dim": 3}, PLAIN),
    (MHA, {"num_heads": 2, "key_dim": 3, "value_dim": 5}, [(B, T, 8), (B, S, 7), (B, S, 6)]),
    (MHA, {"num_heads": 2, "key_dim": 4, "use_bias": False, "output_shape": 5}, PLAIN),
    (MHA, {"num_heads": 2, "key_dim": 4, "output_shape": (2, 5), "use_gate": True, "value_dim": 3}, PLAIN),
    (MHA, {"num_heads": 1, "key_dim": 4, "sliding_window": 2}, PLAIN),
    (MHA, {"num_heads": 2, "key_dim": 4, "dropout": 0.3, "seed": 1}, PLAIN),
    (MHA, {"num_heads": 2, "key_dim": 3, "attention_axes": (1, 2)}, [(B, 3, 2, 8), (B, 4, 5, 8)]),
    (MHA, {"num_heads": 2, "key_dim": 3, "attention_axes": 2}, [(B, 3, T, 8), (B, 3, S, 8)]),
    (MHA, {"num_heads": 2, "key_dim": 3, "attention_axes": -2}, [(B, 3, T, 8), (B, 3, S, 8)]),
    (MHA, {"num_heads": 2, "key_dim": 3, "attention_axes": 1, "use_gate": True}, [(B, T, 3, 8), (B, S, 3, 8)]),
    (MHA, {"num_heads": 2, "key_dim": 3}, [(B, 3, 2, 8), (B, 4, 5, 8)]),
    (GQA, {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}, PLAIN),
    (GQA, {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 1}, [(B, T, 8), (B, S, 7), (B, S, 6)]),
    (GQA, {"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 2, "use_bias": False}, PLAIN),
    (GQA, {"head_dim": 4, "num_query_heads": 6, "num_key_value_heads": 3, "use_gate": True}, THREE),
    (GQA, {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2, "sliding_window": 3, "dropout": 0.2}, PLAIN),
]
LISTED = [
    ("Attention", {}, PLAIN),
    ("Attention", {}, THREE),
    ("Attention", {}, [(B, T, 8), (B, S, 5), (B, S, 8)]),
    ("Attention", {"use_scale": True, "dropout": 0.3, "seed": 1}, PLAIN),
    ("Attention", {"score_mode": "concat"}, PLAIN),
    ("Attention", {"score_mode": "concat", "use_scale": True}, THREE),
    ("Attention", {}, [(B, 2, T, 8), (B, 2, S, 8)]),
    ("AdditiveAttention", {}, PLAIN),
    ("AdditiveAttention", {"use_scale": False, "dropout": 0.1}, THREE),
]


def pair(name, arguments, shapes, rng):
    """Our layer, Keras's with the same random weights, and inputs."""
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    xs = [rng.normal(size=shape).astype("float32") for shape in shapes]
    called = as_called(name, tensors(xs))
    ours(*called)
    theirs(*called)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    values = [rng.normal(0.0, 0.5, size=w.shape).astype("float32") for w in theirs.weights]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, xs


def tensors(xs):
    return [torch.tensor(x, requires_grad=True) for x in xs]


def as_called(name, xs):
    return [xs] if name in ("Attention", "AdditiveAttention") else xs


def compare(name, ours, theirs, xs, rng, tolerance=2e-5, **call):
    a, b = tensors(xs), tensors(xs)
    y_ours, y_theirs = ours(*as_called(name, a), **call), theirs(*as_called(name, b), **call)
    if call.get("return_attention_scores"):
        assert y_ours[1].shape == y_theirs[1].shape
        close(y_ours[1].detach(), y_theirs[1].detach(), tolerance)
        y_ours, y_theirs = y_ours[0], y_theirs[0]
    assert y_ours.shape == y_theirs.shape
    close(y_ours.detach(), y_theirs.detach(), tolerance)
    upstream = torch.tensor(rng.normal(size=tuple(y_ours.shape)).astype("float32"))
    mine = torch.autograd.grad((y_ours * upstream).sum(), [*a, *ours.trainable_weights], allow_unused=True)
    weights = [w.value for w in theirs.trainable_weights]
    reference = torch.autograd.grad((y_theirs * upstream).sum(), [*b, *weights], allow_unused=True)
    for one, other in zip(mine, reference, strict=True):
        if one is not None or other is not None:
            close(one, other, 1e-4)


CALLS = [{}, {"use_causal_mask": True}, {"return_attention_scores": True}]
CALLS.append({"return_attention_scores": True, "use_causal_mask": True})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("name", "arguments", "shapes"), PROJECTED + LISTED)
def test_output_gradient_and_weights(name, arguments, shapes, call, rng):
    several_axes = arguments.get("attention_axes", 1) not in (1, None) or (len(shapes[0]) == 4 and name == MHA)
    if call.get("use_causal_mask") and several_axes:
        pytest.skip("Keras's causal mask is of axis 1 alone")
    ours, theirs, xs = pair(name, arguments, shapes, rng)
    compare(name, ours, theirs, xs, rng, **call)


def test_weight_names_are_keras_s(rng):
    for name, arguments in ((MHA, {"num_heads": 2, "key_dim": 3}), (GQA, PROJECTED[11][1])):
        ours, theirs, _ = pair(name, arguments | {"use_gate": True}, PLAIN, rng)
        assert [w.path.split("/", 1)[1].split("/")[0] for w in theirs.weights][::2] == [
            layer.name for layer in ours.children() if isinstance(layer, layers.EinsumDense)
        ]
        assert [w.path.rsplit("/", 1)[1] for w in theirs.weights] == [
            path.rsplit(".", 1)[1] for path, _ in ours.named_parameters()
        ]
        assert next(iter(ours.state_dict())) == "_query_dense.kernel"
        for sublayer in ("_query_dense", "_key_dense", "_gate_dense", "_value_dense", "_output_dense"):
            assert getattr(ours, sublayer).name == getattr(theirs, sublayer).name
    mha = layers.MultiHeadAttention(2, 3)
    mha(torch.ones(1, 2, 3), torch.ones(1, 2, 3))
    assert mha.query_dense is mha._query_dense and mha.output_dense is mha._output_dense
    assert mha.key_dense is mha._key_dense and mha.value_dense is mha._value_dense


@pytest.mark.parametrize(("name", "arguments", "shapes"), PROJECTED + LISTED)
def test_config_goes_both_ways(name, arguments, shapes, rng):
    ours, theirs, xs = pair(name, arguments, shapes, rng)
    assert set(ours.get_config()) == set(theirs.get_config())
    assert layers.deserialize(layers.serialize(ours)).get_config() == ours.get_config()
    called = as_called(name, tensors(xs))
    want = theirs(*called).detach()
    from_keras = layers.deserialize(keras.layers.serialize(theirs))
    from_keras(*called)
    from_keras.set_weights(theirs.get_weights())
    close(from_keras(*called).detach(), want)
    to_keras = keras.layers.deserialize(layers.serialize(ours))
    to_keras(*called)
    to_keras.set_weights(ours.get_weights())
    close(to_keras(*called).detach(), want)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention", MHA, GQA])
def test_arguments_are_keras_s(name):
    for method in ("__init__", "call"):
        ours, theirs = (
            list(inspect.signature(getattr(getattr(m, name), method)).parameters) for m in (layers, keras.layers)
        )
        assert ours == theirs
    ours, theirs = (getattr(m, name)(*(2,) * n) for m, n in zip((layers, keras.layers), [count(name)] * 2, strict=True))
    assert ours.name.rstrip("_0123456789") == theirs.name.rstrip("_0123456789")


def count(name):
    return {MHA: 2, GQA: 3}.get(name, 0)


@pytest.mark.parametrize(("name", "arguments", "shapes"), PROJECTED + LISTED)
def test_in_a_functional_model_and_a_training_step(name, arguments, shapes, rng):
    inputs = [lamella.Input(shape[1:]) for shape in shapes]
    outputs, scores = getattr(layers, name)(**arguments)(*as_called(name, inputs), return_attention_scores=True)
    xs = [rng.normal(size=shape).astype("float32") for shape in shapes]
    model = lamella.Model(inputs, layers.Dense(1)(layers.Flatten()(outputs)))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(xs, np.ones((B, 1)), verbose=0)
    assert not np.array_equal(before[-2], model.get_weights()[-2])
    if model.weights[0].requires_grad and "query" in str(model.layers):
        assert not np.array_equal(before[0], model.get_weights()[0])
    both = lamella.Model(inputs, [outputs, scores])
    y, weights = both.predict(xs, verbose=0)
    assert (None, *y.shape[1:]) == outputs.shape
    assert (None, *weights.shape[1:]) == scores.shape


def test_unknown_lengths_stay_unknown():
    x = lamella.Input((None, 8))
    outputs, scores = layers.MultiHeadAttention(2, 4)(x, x, return_attention_scores=True)
    assert (outputs.shape, scores.shape) == ((None, None, 8), (None, 2, None, None))
    assert layers.Attention()([x, x]).shape == (None, None, 8)
    assert layers.GroupQueryAttention(4, 4, 2)(x, x).shape == (None, None, 8)


def random_masks(rng):
    masks = [torch.tensor(rng.integers(0, 2, (B, n)).astype(bool)) for n in (T, S, S)]
    for mask in masks:
        mask[:, 0] = True
    masks[1][:, 3] = masks[2][:, 3] = True
    return masks


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("name", [MHA, GQA])
def test_masks_of_queries_values_and_keys(name, which, call, rng):
    """As the tensors carry them: after an Embedding(mask_zero=True), say."""
    arguments = {"num_heads": 2, "key_dim": 4} if name == MHA else PROJECTED[11][1]
    ours, theirs, xs = pair(name, arguments, THREE, rng)
    masks = random_masks(rng)

    def run(layer):
        inputs = [torch.tensor(x) for x in xs]
        for i in which:
            masking.set_mask(inputs[i], masks[i])
        return layer(*inputs, **call), inputs

    (mine, used), (reference, theirs_used) = run(ours), run(theirs)
    if not call.get("return_attention_scores"):
        mine, reference = (mine,), (reference,)
    for one, other in zip(mine, reference, strict=True):
        close(one.detach(), other.detach())
    mask, want = masking.get_mask(mine[0]), masking.get_mask(reference[0])
    assert (mask is None) == (want is None)
    assert want is None or torch.equal(mask, want)
    kept, want_kept = ([masking.get_mask(x) is not None for x in inputs] for inputs in (used, theirs_used))
    assert kept == want_kept


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", [(B, T, S), (1, T, S), (T, S), (B, 2, T, S), (B, 1, T, S), (B, 1, S)])
@pytest.mark.parametrize("name", [MHA, GQA])
def test_attention_masks(name, shape, call, rng):
    arguments = {"num_heads": 2, "key_dim": 4}
    if name == GQA:
        arguments = {"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 1}
    ours, theirs, xs = pair(name, arguments, PLAIN, rng)
    mask = torch.tensor(rng.integers(0, 2, shape))
    if call.get("use_causal_mask") and len(shape) == 4 and shape[1] == 2:
        return  # Keras puts the causal mask together with the heads
    compare(name, ours, theirs, xs, rng, attention_mask=mask.bool(), **call)
    if len(shape) == 3 and name == MHA:
        compare(name, ours, theirs, xs, rng, attention_mask=mask, value_mask=random_masks(rng)[1], **call)


def test_attention_mask_of_each_head_with_padding(rng):
    """A mask for each head and one of the values hold both (Keras lines them up wrongly)."""
    ours, _, xs = pair(MHA, {"num_heads": 2, "key_dim": 4}, PLAIN, rng)
    value_mask = random_masks(rng)[1]
    heads = torch.tensor(rng.integers(0, 2, (B, 2, T, S)).astype(bool))
    heads[..., 0] = True
    _, scores = ours(*map(torch.tensor, xs), attention_mask=heads, value_mask=value_mask, return_attention_scores=True)
    allowed = heads & value_mask[:, None, None, :]
    assert torch.equal(scores > 0, allowed)


def test_the_first_call_may_have_masks(rng):
    for layer in (layers.MultiHeadAttention(2, 4), layers.GroupQueryAttention(4, 4, 2)):
        y = layer(torch.ones(B, T, 8), value=torch.ones(B, S, 8), attention_mask=torch.ones(B, T, S))
        assert y.shape == (B, T, 8)
        inputs, mask = lamella.Input((T, 8)), lamella.Input((T, T), dtype="bool")
        fresh = type(layer).from_config(layer.get_config() | {"name": None})
        model = lamella.Model([inputs, mask], fresh(inputs, inputs, attention_mask=mask))
        allowed = np.ones((B, T, T), dtype=bool)
        allowed[:, :, 2:] = False
        x = rng.normal(size=(B, T, 8)).astype("float32")
        changed = x.copy()
        changed[:, 3] += 1.0
        one, two = (model.predict([each, allowed], verbose=0) for each in (x, changed))
        np.testing.assert_array_equal(one[:, :3], two[:, :3])


@pytest.mark.parametrize("axes", [(1, 2), (2,)])
def test_masks_over_other_axes(axes, rng):
    shapes = [(B, 3, T, 8), (B, 3, S, 8)]
    ours, theirs, xs = pair(MHA, {"num_heads": 2, "key_dim": 3, "attention_axes": axes}, shapes, rng)
    shape = (B, 3, T, 3, S) if len(axes) == 2 else (B, 3, T, S)
    mask = torch.tensor(rng.integers(0, 2, shape).astype(bool))
    compare(MHA, ours, theirs, xs, rng, attention_mask=mask, return_attention_scores=True)
    compare(MHA, ours, theirs, xs, rng, attention_mask=mask)
    padded = torch.ones(B, 3, S, dtype=torch.bool)
    padded[:, :, -2:] = False
    _, scores = ours(*map(torch.tensor, xs), value_mask=padded, return_attention_scores=True)
    assert (scores[..., -2:] == 0).all() and (scores[..., :-2] > 0).all()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize(("name", "arguments", "shapes"), LISTED[:6] + LISTED[7:])
def test_masks_of_listed_attentions(name, arguments, shapes, which, call, rng):
    ours, theirs, xs = pair(name, arguments, shapes, rng)
    masks = random_masks(rng)
    mask = [masks[i] if which[i] else None for i in (0, 1)]
    compare(name, ours, theirs, xs, rng, tolerance=1e-4, mask=mask, **call)
    inputs = [torch.tensor(x) for x in xs]
    for x, each in zip(inputs, [*mask, None], strict=False):
        if each is not None:
            masking.set_mask(x, each)
    implicit, explicit = ours(inputs), ours([torch.tensor(x) for x in xs], mask=mask)
    assert torch.equal(implicit, explicit)
    assert masking.get_mask(implicit) is mask[0]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", [MHA, GQA])
def test_a_query_that_may_look_at_nothing(name, dropout, rng):
    """It gets the mean of all values or zeros, by Keras's rule."""
    arguments = {"num_heads": 2, "key_dim": 4} if name == MHA else PROJECTED[11][1]
    ours, theirs, xs = pair(name, arguments | {"dropout": dropout}, PLAIN, rng)
    mask = torch.ones(B, T, S, dtype=torch.bool)
    mask[0] = mask[1, 2] = False
    for call in CALLS:
        compare(name, ours, theirs, xs, rng, attention_mask=mask, **call)


def transformer(m, layer, *arguments):
    """Two blocks over embeddings with padding, in Lamella or in Keras."""
    ids = m.Input((6,), dtype="int32")
    x = m.layers.Embedding(9, 8, mask_zero=True)(ids)
    for _ in range(2):
        x = m.layers.Add()([x, getattr(m.layers, layer)(*arguments)(x, x, use_causal_mask=True)])
        x = m.layers.LayerNormalization()(x)
    return m.Model(ids, m.layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize(("layer", "arguments"), [(MHA, (2, 4)), (GQA, (4, 4, 2))])
def test_a_transformer_with_padding_is_keras_s(layer, arguments):
    ours, theirs = transformer(lamella, layer, *arguments), transformer(keras, layer, *arguments)
    theirs.set_weights(ours.get_weights())
    ids = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 0], [1, 1, 0, 0, 0, 0]], dtype="int32")
    close(ours.predict(ids, verbose=0), theirs.predict(ids, verbose=0))
    for model, m in ((ours, lamella), (theirs, keras)):
        model.compile(m.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    labels = ids % 3
    histories = [model.fit(ids, labels, epochs=3, batch_size=3, verbose=0).history["loss"] for model in (ours, theirs)]
    close(histories[0], histories[1], 1e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        close(one, other, 1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (MHA, {"num_heads": 2, "key_dim": 4, "dropout": 0.5}),
        (GQA, {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2, "dropout": 0.5}),
        ("Attention", {"dropout": 0.5}),
        ("AdditiveAttention", {"dropout": 0.5}),
    ],
)
def test_dropout_of_the_weights(name, arguments, rng):
    xs = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in PLAIN]
    layer = getattr(layers, name)(**arguments)
    still = layer(*as_called(name, xs))
    assert torch.equal(layer(*as_called(name, xs)), still)
    trained = [layer(*as_called(name, xs), training=True) for _ in range(2)]
    assert not torch.equal(trained[0], still) and not torch.equal(*trained)
    many = torch.stack([layer(*as_called(name, xs), training=True).detach() for _ in range(1500)])
    assert (many.mean(0) - still).abs().max() < 6 * many.std(0).max() / 1500**0.5
    one, two = (getattr(layers, name)(**(arguments | {"seed": 4})) for _ in range(2))
    one(*as_called(name, xs)), two(*as_called(name, xs))
    two.set_weights(one.get_weights())
    results = [each(*as_called(name, xs), training=True) for each in (one, two)]
    assert torch.equal(*results)


@pytest.mark.parametrize(("name", "arguments"), [(MHA, (2, 4)), (GQA, (4, 4, 2))])
def test_penalties_reach_the_projections(name, arguments, rng):
    xs = [torch.tensor(rng.normal(size=shape).astype("float32")) for shape in PLAIN]
    regularizers = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
    ours, theirs = (getattr(m.layers, name)(*arguments, **regularizers) for m in (lamella, keras))
    ours(*xs), theirs(*xs)
    theirs.set_weights(ours.get_weights())
    from lamella.layers.added_losses import pop_added_losses

    pop_added_losses()
    ours(*xs), theirs(*xs)
    assert len(ours.losses) == len(theirs.losses)
    mine, reference = (sorted(loss.item() for loss in layer.losses) for layer in (ours, theirs))
    close(mine, reference, 1e-5)
    constrained = getattr(layers, name)(*arguments, kernel_constraint="non_neg")
    constrained(*xs)
    assert constrained._output_dense._constraints.keys() == {"kernel"}


def test_a_frozen_attention_is_built_frozen():
    layer = layers.MultiHeadAttention(2, 4, trainable=False)
    layer(torch.ones(1, 2, 3), torch.ones(1, 2, 3))
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 8


def test_causal_attention_does_not_see_the_future(rng):
    layer, x = layers.MultiHeadAttention(2, 4), torch.tensor(rng.normal(size=(1, 5, 8)).astype("float32"))
    before = layer(x, x, use_causal_mask=True)
    x[:, 3:] += 1.0
    after = layer(x, x, use_causal_mask=True)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


X, Y = torch.ones(2, 3, 8), torch.ones(2, 5, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 4), "`num_heads` must be a positive whole number"),
        (lambda: layers.MultiHeadAttention(2, 4, value_dim=-1), "`value_dim` must be a positive whole number"),
        (lambda: layers.MultiHeadAttention(2, 4, output_shape=(3, 0)), "`output_shape` must be"),
        (lambda: layers.MultiHeadAttention(2, 4, attention_axes="a"), "`attention_axes` must be"),
        (lambda: layers.MultiHeadAttention(2, 4, sliding_window=0), "`sliding_window` must be a positive"),
        (lambda: layers.MultiHeadAttention(2, 4, dropout=0.1, flash_attention=True), "does not go with dropout"),
        (
            lambda: layers.MultiHeadAttention(2, 4, flash_attention=True)(X, Y, return_attention_scores=True),
            "never holds the attention weights",
        ),
        (lambda: layers.MultiHeadAttention(2, 4)(X, Y, X), r"Is the order \(query, value, key\)"),
        (lambda: layers.MultiHeadAttention(2, 4)(X[0], Y[0]), "one rank, 3 or more"),
        (lambda: layers.MultiHeadAttention(2, 4)(X, Y, attention_mask=torch.ones(2, 5, 3)), "does not broadcast"),
        (lambda: layers.MultiHeadAttention(2, 4)(X, Y, attention_mask=torch.ones(5)), "does not broadcast"),
        (lambda: layers.MultiHeadAttention(2, 4)(X), r"is called as layer\(query, value\)"),
        (lambda: layers.GroupQueryAttention(4, 4, 3), "must be a multiple of `num_key_value_heads`"),
        (lambda: layers.GroupQueryAttention(4, 4, 2)(X[0], Y), r"takes inputs of shape \(batch, steps, features\)"),
        (lambda: layers.GroupQueryAttention(4, 4, 2)(X, Y, X), "the same number of steps"),
        (lambda: layers.Attention(score_mode="general"), "`score_mode` must be 'dot' or 'concat'"),
        (lambda: layers.Attention()(X), "takes a list of inputs"),
        (lambda: layers.Attention()([X]), "takes two or three inputs"),
        (lambda: layers.Attention()([X, Y], mask=torch.ones(2, 3)), "`mask` must be a list"),
        (lambda: layers.Attention()([X, Y[..., :5]]), "query and key must have the same last size"),
        (lambda: layers.Attention()([X, Y, X]), "value and key must have the same number of steps"),
        (lambda: layers.AdditiveAttention()(X), "AdditiveAttention .*takes a list of inputs"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()
