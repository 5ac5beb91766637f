"""`TensorBoard`: metrics, weights and steps per second, to be looked at with TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from lamella.errors import ArgumentError
from lamella.optimizers.rate import steps_of, with_rates
from lamella.training.callbacks.base import Callback, Logs


class TensorBoard(Callback):
    """Writes event files for TensorBoard, under Keras's names (`epoch_loss`, `batch_loss`, ...).

    Training goes into the folder `train`, validation into `validation`. Needs the package `tensorboard`; look at the
    result with `tensorboard --logdir logs`.

    Args:
        log_dir: The folder; only for this callback.
        histogram_freq: Histograms of the weights after every n epochs; 0 for none.
        write_graph: Whether the layers are written too, as text.
        write_images: Whether the weights are also written as images (with `histogram_freq`).
        write_steps_per_second: Whether the speed is written.
        update_freq: `"epoch"`, `"batch"`, or write every n batches.
        profile_batch: Batches to profile with `torch.profiler`: a number, or the first and the last.
        embeddings_freq: The weights of `Embedding` layers after every n epochs, for the projector; 0 for none.
        embeddings_metadata: A file of labels for them (one a line), or a dict of files by layer name.

    Raises:
        ArgumentError: Another `update_freq` or `profile_batch`.
        ImportError: When training starts: `tensorboard` is not installed.

    Example:
        >>> TensorBoard("runs/1", update_freq=100).log_dir
        'runs/1'
    """

    first_only = True  # of several processes

    def __init__(
        self,
        log_dir: str | Path = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: int | str | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "batch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ArgumentError(
                f"TensorBoard: `update_freq` must be 'epoch', 'batch' or a number of batches; got {update_freq!r}."
            )
        self.log_dir = str(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.profile_batch = _range(profile_batch)
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, Any] = {}
        self._profiler: Any = None
        self._train_batch = 0
        self._test_batch = 0
        self._batch_start = 0.0

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        if self.update_freq != "epoch" or self.profile_batch is not None:  # else `fit` need not stop after each batch
            self.on_train_batch_begin = self._before_batch  # type: ignore[method-assign]
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]
        if self.update_freq != "epoch":
            self.on_test_batch_end = self._after_test_batch  # type: ignore[method-assign]

    def _writer(self, kind: str) -> Any:
        if kind not in self._writers:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError(
                    "The TensorBoard callback writes with the package tensorboard: pip install tensorboard"
                ) from error
            self._writers[kind] = SummaryWriter(str(Path(self.log_dir) / kind))  # type: ignore[no-untyped-call]
        return self._writers[kind]

    # -- events -----------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._train_batch = 0
        writer = self._writer("train")
        if self.write_graph:
            lines: list[str] = []
            self.model.summary(print_fn=lines.append)
            writer.add_text("keras", "\n".join("    " + line for line in lines), 0)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._stop_profiler()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_start = time.perf_counter()
        self._steps_before = steps_of(self.model.optimizer)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in self._of_training(logs or {}).items():
            self._writer("train").add_scalar(f"epoch_{name}", value, epoch)
        for name, value in (logs or {}).items():
            if name.startswith("val_") and _is_number(value):
                self._writer("validation").add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        step = steps_of(self.model.optimizer)
        for name, value in (logs or {}).items():
            if _is_number(value):
                self._writer("validation").add_scalar(f"evaluation_{name}_vs_iterations", value, step)
        self._writer("validation").flush()

    def _before_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._train_batch += 1
        if self.profile_batch is not None and self._train_batch == self.profile_batch[0]:
            self._profiler = torch.profiler.profile()
            self._profiler.start()
        self._batch_start = time.perf_counter()

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        seconds = time.perf_counter() - self._batch_start
        if self.profile_batch is not None and self._train_batch >= self.profile_batch[1]:
            self._stop_profiler()
        if self.update_freq == "epoch" or self._train_batch % int(self.update_freq):
            return
        if self.write_steps_per_second:
            self._writer("train").add_scalar("batch_steps_per_second", 1.0 / seconds, self._train_batch)
        for name, value in (logs or {}).items():
            if _is_number(value):
                self._writer("train").add_scalar(f"batch_{name}", value, self._train_batch)

    def _after_test_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._test_batch += 1
        if self._test_batch % int(self.update_freq) == 0:
            for name, value in (logs or {}).items():
                if _is_number(value):
                    self._writer("validation").add_scalar(f"batch_{name}", value, self._test_batch)

    # -- what is written ----------------------------------------------------------------------------------

    def _of_training(self, logs: Logs) -> dict[str, float]:
        found = {name: v for name, v in logs.items() if not name.startswith("val_") and _is_number(v)}
        for name, optimizer in with_rates(self.model.optimizer):
            found[name] = float(optimizer.learning_rate)
        if self.write_steps_per_second:
            steps = steps_of(self.model.optimizer) - self._steps_before
            found["steps_per_second"] = steps / (time.perf_counter() - self._epoch_start)
        return found

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for layer in self.model.layers:
            for name, weight in _named_weights(layer):
                value = weight.detach().float().cpu()
                writer.add_histogram(f"{name}/histogram", value, epoch)
                image = _as_images(value) if self.write_images else None
                if image is not None:
                    writer.add_images(f"{name}/image", image, epoch, dataformats="NHWC")

    def _write_embeddings(self, epoch: int) -> None:
        for layer in self.model.layers:
            if type(layer).__name__ != "Embedding":
                continue
            table = layer.weights[0].detach().cpu()
            files = self.embeddings_metadata
            file = files.get(layer.name) if isinstance(files, dict) else files
            labels = Path(file).read_text(encoding="utf-8").splitlines()[: len(table)] if file else None
            self._writer("train").add_embedding(table, metadata=labels, global_step=epoch, tag=layer.name)

    def _stop_profiler(self) -> None:
        if self._profiler is not None:
            self._profiler.stop()
            folder = Path(self.log_dir) / "train" / "plugins" / "profile"
            folder.mkdir(parents=True, exist_ok=True)
            self._profiler.export_chrome_trace(str(folder / f"batch_{self._train_batch}.pt.trace.json"))
            self._profiler = None


def _range(profile_batch: int | str | tuple[int, int]) -> tuple[int, int] | None:
    given = [int(part) for part in profile_batch.split(",")] if isinstance(profile_batch, str) else profile_batch
    both = (given, given) if isinstance(given, int) else tuple(given)
    if len(both) != 2 or both[0] < 0 or both[1] < both[0]:
        raise ArgumentError(
            f"TensorBoard: `profile_batch` must be a number of 0 or more, or the first and the last batch; "
            f"got {profile_batch!r}."
        )
    return None if both[0] == 0 else (both[0], both[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _named_weights(layer: Any) -> list[tuple[str, torch.Tensor]]:
    """The weights with Keras's paths: `dense/kernel`."""
    named = [*layer.named_parameters(), *layer.named_buffers()]
    return [(f"{layer.name}/{name.replace('.', '/')}", weight) for name, weight in named]


def _as_images(weight: torch.Tensor) -> torch.Tensor | None:
    """A weight as gray images (number, height, width, 1) with values from 0 to 1; None where it has too many axes."""
    weight = weight.squeeze()
    low, high = weight.aminmax() if weight.numel() else (weight, weight)
    weight = (weight - low) / (high - low).clamp(min=1e-12)
    if weight.ndim == 1:
        return weight.reshape(1, -1, 1, 1)
    if weight.ndim == 2:
        return (weight.T if weight.shape[0] > weight.shape[1] else weight)[None, ..., None]
    if weight.ndim == 3:
        return weight.permute(2, 0, 1)[..., None]
    return weight if weight.ndim == 4 and weight.shape[-1] in (1, 3, 4) else None
