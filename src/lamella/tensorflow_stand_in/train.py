"""`tf.train`: checkpoints, and the messages that records hold."""

from typing import Any

import numpy as np

from lamella.tensorflow_stand_in.checkpoint_folder import latest_checkpoint
from lamella.tensorflow_stand_in.checkpoint_manager import CheckpointManager
from lamella.tensorflow_stand_in.checkpoints import Checkpoint
from lamella.utils.example_messages import MESSAGES, messages

__all__ = ["Checkpoint", "CheckpointManager", "latest_checkpoint"]


def Int64List(value: Any = ()) -> Any:
    """The message of whole numbers; truth values count as 1 and 0, as with the versions of protobuf before 7."""
    return messages().Int64List(value=[int(each) if isinstance(each, (bool, np.bool_)) else each for each in value])


def __getattr__(name: str) -> Any:
    """The classes of messages are made when they are asked for: protobuf need not be there otherwise."""
    if name in MESSAGES:
        return getattr(messages(), name)
    raise AttributeError(f"tf.train has no {name!r} here; it has {[*__all__, *MESSAGES]}.")
