"""What a model of a graph takes besides tensors and arrays: columns of tables, and no bare number."""

import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.errors import DataError


def test_a_bare_number_is_refused_as_what_it_is():
    given = lamella.Input(shape=(), dtype="float32")
    with pytest.raises(DataError, match="must hold numbers, but got a int"):
        lamella.Model(given, given * 2 + 1)(3)


def test_columns_of_a_table_beside_a_column_of_strings():
    pd = pytest.importorskip("pandas")
    inputs = {
        "age": lamella.Input((), dtype="float32", name="age"),
        "kind": lamella.Input((), dtype="string", name="kind"),
    }
    found = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(inputs["kind"])
    model = lamella.Model(inputs, layers.Concatenate()([lamella.ops.expand_dims(inputs["age"], -1), found]))
    table = pd.DataFrame({"age": [3, 4], "kind": ["b", "a"]})
    assert np.allclose(model(dict(table)).detach(), [[3, 0, 0, 1], [4, 0, 1, 0]])
    with pytest.raises(DataError, match="'age' must hold numbers, but got strings"):
        model({"age": ["x", "y"], "kind": ["b", "a"]})
