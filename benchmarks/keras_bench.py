"""A row in Keras, on any engine, or in Lamella: the same code, another ``keras``."""

import importlib
import math
import os

# Every worker has the machine to itself while it computes, and its logs would bury the table.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class KerasBench:
    """``model.fit`` for one epoch at a time, on arrays, shuffled, with the running loss and accuracy."""

    def __init__(self, row, module: str, steps: int, device: str = "cpu"):
        keras = importlib.import_module(module)
        self.x, self.y = row.data(steps * row.BATCH)
        self.batch = row.BATCH
        self.model = row.keras_model(keras)
        self.parameters = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
        self.note = ""
        self.epoch()  # compiles or traces, where the engine does
        if device == "cuda":
            self._check_is_on_gpu()

    def _check_is_on_gpu(self) -> None:
        where = str(self.model.trainable_weights[0].value.device)
        if "cuda" not in where.lower() and "gpu" not in where.lower():
            raise RuntimeError(f"its weights are on {where}, not on a GPU")
        if hasattr(self.model, "_replay"):  # Lamella's
            step = self.model._replay
            self.note = "not captured: the row has code of its own" if step is None else step.why_not or "captured"

    def epoch(self) -> tuple[float, float]:
        history = self.model.fit(self.x, self.y, batch_size=self.batch, epochs=1, shuffle=True, verbose=0)
        return history.history["loss"][-1], history.history["accuracy"][-1]
