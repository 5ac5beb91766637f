"""`tf.train`: checkpoints."""

from lamella.tensorflow_stand_in.checkpoint_folder import latest_checkpoint
from lamella.tensorflow_stand_in.checkpoint_manager import CheckpointManager
from lamella.tensorflow_stand_in.checkpoints import Checkpoint

__all__ = ["Checkpoint", "CheckpointManager", "latest_checkpoint"]
