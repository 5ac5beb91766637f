"""`Operation`s that users write, in configs, copies and files of functional models, as real Keras has them."""

import keras
import numpy as np
import pytest

import lamella


def scale_of(library):
    @library.saving.register_keras_serializable("test_operations_of_users")
    class Scale(library.Operation):
        def __init__(self, alpha, *, beta=1.0, name=None):
            super().__init__(name=name)
            self.alpha, self.beta = alpha, beta

        def call(self, x):
            return x * self.alpha + self.beta

        def compute_output_spec(self, x):
            return library.KerasTensor(x.shape, x.dtype)

    return Scale


def test_a_config_has_what_it_was_made_with():
    configs = [scale_of(library)(3.0, name="scale").get_config() for library in (lamella, keras)]
    assert configs[0] == configs[1] == {"name": "scale", "alpha": 3.0, "beta": 1.0}
    assert scale_of(lamella).from_config(configs[0]).alpha == 3.0


def test_a_get_config_of_its_own_adds_to_the_name_alone():
    class Own(scale_of(lamella)):
        def get_config(self):
            return {**super().get_config(), "alpha": self.alpha}

    assert Own(2.0, name="own").get_config() == {"name": "own", "alpha": 2.0}


def test_arguments_without_names_and_wrong_names_are_refused():
    class Several(lamella.Operation):
        def __init__(self, *powers, name=None):
            super().__init__(name=name)

    with pytest.raises(NotImplementedError, match="`powers`"):
        Several(1, 2).get_config()
    with pytest.raises(ValueError, match="without '/'"):
        lamella.Operation(name="a/b")


def test_models_with_them_are_copied_saved_and_loaded(tmp_path):
    found = []
    x = np.ones((1, 2), "float32")
    for library in (lamella, keras):
        inputs = library.Input((2,))
        scale = scale_of(library)
        model = library.Model(inputs, scale(2.0, name="twice")(scale(3.0, beta=0.5)(inputs)))
        file = tmp_path / f"{library.__name__}.keras"
        model.save(file)
        again = library.Model.from_config(model.get_config()), library.models.load_model(file)
        found.append([each.predict(x, verbose=0).tolist() for each in (model, *again)])
    assert found[0] == found[1] == [[[8.0, 8.0]]] * 3
