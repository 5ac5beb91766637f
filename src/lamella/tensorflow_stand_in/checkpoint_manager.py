"""`tf.train.CheckpointManager`: the last few checkpoints of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lamella.errors import ArgumentError
from lamella.tensorflow_stand_in.checkpoint_folder import file_of, record_latest, recorded
from lamella.tensorflow_stand_in.checkpoints import Checkpoint


class CheckpointManager:
    """Saves a checkpoint under running numbers, and removes old ones.

    Args:
        checkpoint: What is saved.
        directory: Where; it is made if need be. Checkpoints of an earlier run are taken over.
        max_to_keep: How many stay; None for all.
        checkpoint_name: What files begin with.
        step_counter: A variable that counts steps, for `checkpoint_interval`.
        checkpoint_interval: How many steps must lie between two checkpoints: `save` does nothing before.
        init_fn: What `restore_or_initialize` calls where there is no checkpoint.

    Raises:
        ArgumentError: `max_to_keep` below 1, or an interval without a counter.

    Example:
        >>> import tempfile
        >>> from lamella.tensorflow_stand_in.variables import Variable
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     manager = CheckpointManager(Checkpoint(v=Variable(1.0)), folder, max_to_keep=2)
        ...     for _ in range(3):
        ...         path = manager.save()
        ...     [Path(each).name for each in manager.checkpoints]
        ['ckpt-2', 'ckpt-3']
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        directory: Any,
        max_to_keep: int | None,
        checkpoint_name: str = "ckpt",
        step_counter: Any = None,
        checkpoint_interval: int | None = None,
        init_fn: Any = None,
    ) -> None:
        if max_to_keep is not None and max_to_keep < 1:
            raise ArgumentError(
                f"CheckpointManager: `max_to_keep` must be 1 or more, or None for all; got {max_to_keep}."
            )
        if checkpoint_interval is not None and step_counter is None:
            raise ArgumentError(
                "CheckpointManager: `checkpoint_interval` needs `step_counter`, a variable that counts."
            )
        self.checkpoint, self.directory, self.max_to_keep = checkpoint, str(directory), max_to_keep
        self.checkpoint_interval = checkpoint_interval
        self._name, self._counter, self._init_fn = checkpoint_name, step_counter, init_fn
        self._names = recorded(Path(directory))
        self._last_step: int | None = None

    @property
    def checkpoints(self) -> list[str]:
        """The paths of the checkpoints that are kept, the latest last."""
        return [str(Path(self.directory) / name) for name in self._names]

    @property
    def latest_checkpoint(self) -> str | None:
        """The path of the last one; None before the first."""
        return self.checkpoints[-1] if self._names else None

    def save(self, checkpoint_number: Any = None, check_interval: bool = True, options: Any = None) -> str | None:
        """Writes a checkpoint and gives its path; None where `checkpoint_interval` steps have not passed."""
        step = None if self._counter is None else int(self._counter)
        if self.checkpoint_interval is not None and check_interval and self._last_step is not None:
            assert step is not None
            if step < self._last_step + self.checkpoint_interval:
                return None
        self._last_step = step
        self.checkpoint.save_counter.assign_add(1)
        number = int(self.checkpoint.save_counter if checkpoint_number is None else checkpoint_number)
        path = self.checkpoint.write(Path(self.directory) / f"{self._name}-{number}")
        name = Path(path).name
        self._names = [*(each for each in self._names if each != name), name]
        gone = [] if self.max_to_keep is None else self._names[: -self.max_to_keep]
        self._names = self._names[len(gone) :]
        record_latest(Path(self.directory), self._names)
        for each in gone:
            file_of(Path(self.directory) / each).unlink(missing_ok=True)
        return path

    def restore_or_initialize(self) -> str | None:
        """Restores the last checkpoint and gives its path; calls `init_fn` where there is none."""
        path = self.latest_checkpoint
        if path is not None:
            self.checkpoint.restore(path)
        elif self._init_fn is not None:
            self._init_fn()
        return path
