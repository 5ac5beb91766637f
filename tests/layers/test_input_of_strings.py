"""An `Input` of strings is refused with a mend, and the mend works."""

import re

import numpy as np
import pytest

import lamella
from lamella.errors import ArgumentError

TEXTS, Y = ["good film", "bad film"], np.array([1, 0])


def test_the_mend_of_the_message():
    vectorize = lamella.layers.TextVectorization(vocabulary=["good", "bad", "film"])
    with pytest.raises(ArgumentError) as caught:
        lamella.Input((1,), dtype="string", name="text")
    message = str(caught.value)
    assert message.startswith("Input 'text': PyTorch has no tensors of strings")

    inputs = eval(re.search(r"Input\(\(None,\), dtype='int64'\)", message)[0], {"Input": lamella.Input})
    means = lamella.layers.GlobalAveragePooling1D()(lamella.layers.Embedding(5, 2)(inputs))
    model = lamella.Model(inputs, lamella.layers.Dense(1)(means))
    model.compile("adam", "mse")
    model.fit(vectorize(TEXTS), Y, verbose=0)
    found = lamella.Sequential([vectorize, model])(TEXTS)
    np.testing.assert_allclose(found.detach(), model.predict(vectorize(TEXTS), verbose=0), atol=1e-6)
