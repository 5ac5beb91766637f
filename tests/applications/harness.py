"""One network, made by Lamella and by Keras, and what must be the same of the two."""

import functools

import h5py
import keras
import numpy as np
import torch
from keras.src.legacy.saving import legacy_h5_format

import lamella

TOLERANCE = 1e-4  # of the largest output


@functools.lru_cache(maxsize=2)
def _twins(name, arguments):
    for library in (lamella, keras):  # automatic names, as conv2d_3, count from zero in both
        library.utils.clear_session()
    keras.utils.set_random_seed(0)
    kwargs = dict(arguments)
    ours, theirs = (getattr(library.applications, name)(weights=None, **kwargs) for library in (lamella, keras))
    randomize(theirs)
    return ours, theirs


def twins(name, input_shape=(32, 32, 3), **kwargs):
    """(ours, theirs), made with the same arguments; theirs has the weights of `randomize`. The last two are kept.

    With the classifier there are 10 classes, and logits (softmax would hide differences), unless `kwargs` say more.
    """
    kwargs |= {"input_shape": input_shape}
    if kwargs.get("include_top", True):
        kwargs = {"classes": 10, "classifier_activation": None, **kwargs}
    return _twins(name, tuple(sorted(kwargs.items())))


def randomize(model, seed=0):
    """Gives a Keras model random weights that keep activations in bounds; no bias is 0, no statistic is 0 or 1."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.startswith("normalization"):  # Keras computes with a copy of these
            continue
        kind = weight.path.rpartition("/")[2]
        if "variance" in kind or kind == "gamma":
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(random.normal(0, 0.1, weight.shape))


def images(model, count=2, seed=1):
    """Random pixels from 0 to 255 in random tints, of the size that the model takes (64 where it takes any)."""
    random, shape = np.random.default_rng(seed), [size or 64 for size in model.inputs[0].shape[1:]]
    tints = random.uniform(0, 255, (count, 1, 1, shape[-1]))
    return (tints * random.uniform(0, 1, (count, *shape))).astype("float32")


def outputs(model, x):
    """What a model of either library computes, as an array."""
    with torch.no_grad():
        return model(torch.as_tensor(x), training=False).detach().cpu().numpy()


def assert_close(found, wanted):
    """Equal up to `TOLERANCE`, where the images of the batch give different outputs: constants would be no proof."""
    scale = np.abs(wanted).max()
    assert found.shape == wanted.shape and np.isfinite(wanted).all()
    assert np.abs(wanted[0] - wanted[1]).max() > 100 * TOLERANCE * scale
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * scale)


def check_structure(ours, theirs, folder=None):
    """The same name, layers and shapes of weights, in the same order, and the same counts."""
    assert ours.name == theirs.name
    for of in (_layers, _shapes, lambda model: model.count_params(), lambda model: tuple(model.output_shape)):
        assert of(ours) == of(theirs)
    for kind in ("trainable_weights", "non_trainable_weights"):
        assert [tuple(w.shape) for w in getattr(ours, kind)] == [tuple(w.shape) for w in getattr(theirs, kind)]


def _layers(model):
    return [(type(layer).__name__, layer.name) for layer in model.layers]


def _shapes(model):
    return [(layer.name, [tuple(weight.shape) for weight in layer.weights]) for layer in model.layers]


def check_outputs(ours, theirs, folder=None):
    """With the same weights the same outputs."""
    ours.set_weights(theirs.get_weights())
    x = images(ours)
    assert_close(outputs(ours, x), outputs(theirs, x))


def check_weights_of_keras(ours, theirs, folder):
    """Keras's `.weights.h5` in Lamella: the same outputs."""
    theirs.save_weights(folder / "theirs.weights.h5")
    ours.load_weights(folder / "theirs.weights.h5")
    x = images(ours)
    assert_close(outputs(ours, x), outputs(theirs, x))


def check_weights_for_keras(ours, theirs, folder):
    """Lamella's `.weights.h5` in Keras: the same outputs. `theirs` has its own weights again afterwards."""
    x = images(ours)
    with torch.no_grad():
        for weight in ours.weights:  # not those that Keras has already
            weight.mul_(1.01)
    wanted, before = outputs(ours, x), theirs.get_weights()
    ours.save_weights(folder / "ours.weights.h5")
    theirs.load_weights(folder / "ours.weights.h5")
    found = outputs(theirs, x)
    theirs.set_weights(before)
    assert_close(found, wanted)


def check_older_weights(ours, theirs, folder):
    """The older `.h5` form, that of the ImageNet weights, in Lamella: the same outputs."""
    with h5py.File(folder / "older.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    with torch.no_grad():
        for weight in ours.weights:
            weight.zero_()
    ours.load_weights(folder / "older.h5")
    x = images(ours)
    assert_close(outputs(ours, x), outputs(theirs, x))


def check_whole_files(ours, theirs, folder):
    """`.keras` files both ways."""
    x = images(ours)
    theirs.save(folder / "theirs.keras")
    assert_close(outputs(lamella.models.load_model(folder / "theirs.keras"), x), outputs(theirs, x))
    ours.save(folder / "ours.keras")
    assert_close(outputs(keras.models.load_model(folder / "ours.keras"), x), outputs(ours, x))


def check_gradient_step(ours, theirs, folder=None):
    """One step of gradient descent moves both alike, and one training call their statistics.

    The step is with frozen statistics. With those of a batch this small the gradient of a deep network is mostly
    rounding: a step of Lamella in float64 is 2 % from that of either in float32. Frozen they differ by 1e-6, or by
    2e-3 where rounding puts a unit on the other side of its ReLU: a wrong gradient differs by far more. `folder` is
    not used: all checks take one.
    """
    x, y = images(ours, 4), np.arange(4) % 3
    before = theirs.get_weights()
    ours.set_weights(before)
    for library, model in ((lamella, ours), (keras, theirs)):
        _normalizations(model, trainable=False)
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(library.optimizers.SGD(1e-2), loss)
        model.train_on_batch(x, y)
        _normalizations(model, trainable=True)
    steps = _moves(ours, theirs, before)
    for model in (ours, theirs):
        model.set_weights(before)
    ours(torch.as_tensor(x), training=True), theirs(x, training=True)
    statistics = _moves(ours, theirs, before)
    theirs.set_weights(before)
    assert steps[0] > 0 and steps[1] <= 1e-2 * steps[0]
    assert statistics[1] <= 1e-3 * statistics[0]  # both 0 where there are none


def _normalizations(model, trainable):
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.trainable = trainable


def _moves(ours, theirs, before):
    """How far the weights of each have moved from `before`: the length of Keras's move, and of the difference."""
    found = [weight.detach().cpu().numpy() for weight in ours.weights]
    pairs = list(zip(found, theirs.get_weights(), before, strict=True))
    return _length(now - start for _, now, start in pairs), _length(a - b for a, b, _ in pairs)


def _length(arrays):
    return sum(np.vdot(array, array) for array in map(np.float64, arrays)) ** 0.5
