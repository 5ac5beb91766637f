"""Batch, stochastic and mini-batch gradient descent: one optimizer, three batch sizes.

All samples in one step are slow and sure; one sample a step is quick and noisy; a few are between the two.
Prints a table, and draws the curves to runs/descent_modes.png where matplotlib is installed.
"""

import time
from pathlib import Path

import lamella as keras
from lamella import layers

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train, x_test = x_train.reshape(-1, 64) / 16.0, x_test.reshape(-1, 64) / 16.0

curves = {}
print(f"{'mode':<12}{'batch size':>12}{'steps':>8}{'seconds':>9}{'loss':>8}{'test accuracy':>15}")
for mode, batch_size in (("batch", len(x_train)), ("stochastic", 1), ("mini-batch", 32)):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((64,)), layers.Dense(10, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    history = model.fit(x_train, y_train, batch_size=batch_size, epochs=10, verbose=0)
    seconds = time.perf_counter() - start
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    curves[mode] = history.history["loss"]
    steps, loss = int(model.optimizer.iterations), curves[mode][-1]
    print(f"{mode:<12}{batch_size:>12}{steps:>8}{seconds:>9.2f}{loss:>8.3f}{accuracy:>15.3f}")

try:
    from matplotlib.figure import Figure
except ImportError:
    print("For the picture: pip install matplotlib")
else:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for mode, losses in curves.items():
        axes.plot(range(1, len(losses) + 1), losses, label=mode)
    axes.set(xlabel="epoch", ylabel="loss", title="One optimizer, three batch sizes")
    axes.legend()
    Path("runs").mkdir(exist_ok=True)
    figure.savefig("runs/descent_modes.png")
