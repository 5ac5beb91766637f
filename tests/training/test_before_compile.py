"""What a model says of itself before it is compiled."""

import lamella


def test_how_it_will_run():
    model = lamella.Sequential([lamella.Input((2,)), lamella.layers.Dense(1)])
    assert (model.run_eagerly, model.jit_compile, model.steps_per_execution) == (False, False, 1)
    assert model.optimizer is None and model.loss is None
