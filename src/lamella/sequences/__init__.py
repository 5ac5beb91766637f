"""Sequences: speech, series, captions and tags, each built from Lamella's public API."""

from lamella.sequences.audio import read_audio, resample
from lamella.sequences.audio_augmentation import AudioAugmentation
from lamella.sequences.audio_data import AudioDataset
from lamella.sequences.backtest import Backtest, backtest
from lamella.sequences.baselines import drift, naive, seasonal_naive
from lamella.sequences.caption_data import CaptionDataset
from lamella.sequences.captioner import Captioner
from lamella.sequences.ctc_decoding import ctc_beam_search, ctc_greedy
from lamella.sequences.error_rates import CharacterErrorRate, WordErrorRate, edit_distances
from lamella.sequences.forecaster import Forecaster
from lamella.sequences.log_mel import LogMelSpectrogram, SpecAugment
from lamella.sequences.quantile_loss import QuantileLoss
from lamella.sequences.series import Series, read_series
from lamella.sequences.spans import SpanF1, find_spans
from lamella.sequences.speech import SpeechRecognizer
from lamella.sequences.tagger import SequenceTagger, TaggedSentences

__all__ = [
    "AudioAugmentation",
    "AudioDataset",
    "Backtest",
    "CaptionDataset",
    "Captioner",
    "CharacterErrorRate",
    "Forecaster",
    "LogMelSpectrogram",
    "QuantileLoss",
    "SequenceTagger",
    "Series",
    "SpanF1",
    "SpecAugment",
    "SpeechRecognizer",
    "TaggedSentences",
    "WordErrorRate",
    "backtest",
    "ctc_beam_search",
    "ctc_greedy",
    "drift",
    "edit_distances",
    "find_spans",
    "naive",
    "read_audio",
    "read_series",
    "resample",
    "seasonal_naive",
]
