"""A row in Keras, on any engine, or in Lamella: the same code, another ``keras``."""

import importlib
import math
import os

# Every worker has the machine to itself while it computes, and its logs would bury the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class KerasBench:
    """``model.fit`` for one epoch at a time, on arrays, shuffled, with the running loss and accuracy."""

    def __init__(self, row, module: str, steps: int):
        keras = importlib.import_module(module)
        self.x, self.y = row.data(steps * row.BATCH)
        self.batch = row.BATCH
        self.model = row.keras_model(keras)
        self.parameters = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
        self.note = ""
        self.epoch()  # compiles or traces, where the engine does

    def epoch(self) -> tuple[float, float]:
        history = self.model.fit(self.x, self.y, batch_size=self.batch, epochs=1, shuffle=True, verbose=0)
        return history.history["loss"][-1], history.history["accuracy"][-1]
