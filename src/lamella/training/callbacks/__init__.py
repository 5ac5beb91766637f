"""Callbacks: what happens at the start and the end of training, of an epoch, of a batch.

A callback defines only what it needs. `logs` are plain Python numbers; those of a batch are read from the
device only where a callback asks for batches.
"""

from lamella.training.callbacks.backup_and_restore import BackupAndRestore
from lamella.training.callbacks.base import Callback, Logs
from lamella.training.callbacks.callback_list import CallbackList
from lamella.training.callbacks.csv_logger import CSVLogger
from lamella.training.callbacks.early_stopping import EarlyStopping
from lamella.training.callbacks.history import History
from lamella.training.callbacks.lambda_callback import LambdaCallback
from lamella.training.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from lamella.training.callbacks.model_checkpoint import ModelCheckpoint
from lamella.training.callbacks.monitor import MonitorCallback
from lamella.training.callbacks.pace import Pace
from lamella.training.callbacks.profile import Profile
from lamella.training.callbacks.progbar_logger import ProgbarLogger
from lamella.training.callbacks.remote_monitor import RemoteMonitor
from lamella.training.callbacks.swap_ema_weights import SwapEMAWeights
from lamella.training.callbacks.tensorboard import TensorBoard
from lamella.training.callbacks.terminate_on_nan import TerminateOnNaN, has_terminate_on_nan

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "MonitorCallback",
    "Pace",
    "Profile",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "has_terminate_on_nan",
]
