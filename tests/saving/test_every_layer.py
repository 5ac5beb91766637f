"""A model of each layer of Keras, alone: written by one, read by the other, the same predictions."""

import inspect

import numpy as np
import pytest
from every_layer import ELSEWHERE, LAYERS, data_for, model_of

import lamella

keras = pytest.importorskip("keras")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("saver", ["ours", "theirs"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_goes_both_ways(name, saver, tmp_path):
    first, second = (lamella, keras) if saver == "ours" else (keras, lamella)
    model = model_of(name, first)
    model.save(tmp_path / "m.keras")
    again = second.models.load_model(tmp_path / "m.keras")
    x = data_for(name)
    one, other = model.predict(x, verbose=0), again.predict(x, verbose=0)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert again.count_params() == model.count_params()


def test_no_layer_is_forgotten():
    classes = {}
    for name, found in vars(keras.layers).items():
        if inspect.isclass(found) and issubclass(found, keras.layers.Layer):
            classes.setdefault(found, []).append(name)
    missing = [names for names in classes.values() if not any(name in LAYERS or name in ELSEWHERE for name in names)]
    assert not missing
