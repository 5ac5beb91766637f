"""Every layer works in a bare loop of torch, in a functional model and in `fit`."""

import numpy as np
import pytest
import torch
from every_layer import ELSEWHERE, LAYERS, data_for, model_of

import lamella


class Net(torch.nn.Module):
    """A torch module with one layer of Lamella in it, and a linear layer of torch after it."""

    def __init__(self, layer, several):
        super().__init__()
        self.layer, self.several = layer, several
        self.last = torch.nn.LazyLinear(1)

    def forward(self, x):
        h = self.layer(*x) if self.several is tuple else self.layer(x)
        return self.last(h.flatten(1).to(torch.float32))


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name", LAYERS)
def test_in_a_loop_of_torch(name):
    arguments, shapes = LAYERS[name]
    layer = getattr(lamella.layers, name)(**(arguments(lamella) if callable(arguments) else arguments))
    x = data_for(name)
    x = [torch.tensor(each) for each in x] if isinstance(x, list) else torch.tensor(x)
    net = Net(layer, type(shapes) if not isinstance(shapes[0], int) else None).train()
    net(x)  # makes the weights
    before = {key: value.clone() for key, value in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        loss = (net(x) - 1).square().mean()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(value).all() for value in net.parameters())
    moved = [key for key, value in net.named_parameters() if not torch.equal(value, before[key])]
    assert [key for key in moved if key.startswith("last.")]
    own = [key for key in before if key.startswith("layer.")]
    assert [key for key in moved if key.startswith("layer.")] or not own
    copy = Net(layer, net.several)
    copy.load_state_dict(net.state_dict())
    assert set(net.state_dict()) == set(copy.state_dict())


@pytest.mark.filterwarnings("ignore:.*weights have no gradient")  # those of a way back that is not taken
@pytest.mark.parametrize("name", LAYERS)
def test_in_fit(name):
    base = model_of(name, lamella)
    outputs = lamella.layers.Flatten()(base.output)
    outputs = lamella.layers.Rescaling(1.0)(outputs)
    model = lamella.Model(base.inputs, lamella.layers.Dense(1)(outputs))
    model.compile("sgd", "mse")
    x = data_for(name)
    history = model.fit(x, np.ones((3, 1), "float32"), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()


def test_the_table_names_what_it_leaves_out():
    assert not set(LAYERS) & set(ELSEWHERE)
