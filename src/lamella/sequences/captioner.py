"""`Captioner`: from a picture, or a short video, to a sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lamella import layers
from lamella.engine.device import device_of
from lamella.engine.image_data_format import channels_last_inside
from lamella.engine.registry import deserialize, serialize
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.language.generation import beam_search, sample
from lamella.language.luong_attention import LuongAttention
from lamella.language.tokenization import Tokenizer
from lamella.losses import SparseCategoricalCrossentropy
from lamella.models import Model
from lamella.saving import register_keras_serializable
from lamella.sequences.caption_data import CaptionDataset, checked_images, image_batch
from lamella.utils import PyDataset


@register_keras_serializable(package="lamella")
class Captioner(Model):
    """A convolutional network looks at each frame, and an LSTM tells what is to be seen, word by word.

    The map of each frame, with the coordinates of its places beside it, goes through a dense layer. An LSTM reads the
    means of the frames (one for a picture) in turn; the decoder starts from its last state. With `attention`, each
    state of the decoder looks at all places of all frames before it says the next word.

    Args:
        tokenizer: Of the captions, with start and end tokens, as `Tokenizer.train(captions, "word")`.
        encoder: A model from pictures (n, height, width, 3) of values from 0 to 255 to maps (n, rows, columns,
            channels), or to vectors (n, channels): as a network of `lamella.applications` with `include_top=False`
            behind its preprocessing. Without one, it is a small one that trains from scratch. With
            `encoder.trainable = False` it stays as it is.
        image_size: (height, width) of the pictures that the encoder sees. Others are brought to it.
        units: Of the LSTMs, of the dense layer over places and of the attention.
        embedding_size: The size of a word's vector.
        attention: Whether the decoder looks at places.
        dropout: The share of values dropped before and after the decoder while training.
        max_length: The most tokens of a caption, start and end included.
        **kwargs: As for every model.

    In tensors, the model maps a dict of `"images"`, (batch, height, width, 3) or (batch, time, height, width, 3),
    `"captions"` (batch, length), and for videos perhaps `"frames"` (batch, time), True where a frame is real, to the
    scores (logits) of the next token at each place, (batch, length, vocabulary). `CaptionDataset` makes such batches.

    Raises:
        ArgumentError: Arguments that cannot be.
        ShapeError: An encoder that gives neither maps nor vectors.

    Source: Vinyals et al., Show and tell, 2015; attention to places: Xu et al., Show, attend and tell, 2015, asked for
        by the state before the word instead of before the step, as in Lu et al., Knowing when to look, 2017, so that
        all words of a caption train at once; videos: Venugopalan et al., Sequence to sequence: video to text, 2015;
        coordinates: Liu et al., CoordConv, 2018.

    Example:
        >>> import numpy as np
        >>> captions = ["black", "white"]
        >>> images = np.stack([np.zeros((16, 16, 3)), np.full((16, 16, 3), 255.0)])
        >>> model = Captioner(Tokenizer.train(captions, "word"), image_size=(16, 16), units=16, embedding_size=8)
        >>> model.compile("adam")
        >>> _ = model.fit(images, captions, epochs=1, verbose=0)
        >>> len(model.predict(images))
        2
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: Model | None = None,
        image_size: tuple[int, int] = (64, 64),
        units: int = 256,
        embedding_size: int = 128,
        attention: bool = True,
        dropout: float = 0.2,
        max_length: int = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        start, end = tokenizer.start_id, tokenizer.end_id
        if start is None or end is None:
            raise ArgumentError(
                "Captioner: the tokenizer needs a start and an end token, as those that Tokenizer.train makes have."
            )
        if len(image_size) != 2 or min(image_size) < 1:
            raise ArgumentError(f"Captioner: `image_size` is (height, width); got {image_size!r}.")
        for name, value, least in (
            ("units", units, 1),
            ("embedding_size", embedding_size, 1),
            ("max_length", max_length, 3),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"Captioner: `{name}` must be a whole number, {least} or more; got {value!r}.")
        if not 0 <= dropout < 1:
            raise ArgumentError(f"Captioner: `dropout` is a share from 0 to below 1; got {dropout!r}.")
        self.tokenizer = tokenizer
        self.start_id, self.end_id = start, end
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.units = units
        self.embedding_size = embedding_size
        self.max_length = max_length
        self.dropout = dropout

        self.encoder = small_encoder(self.image_size) if encoder is None else encoder
        self.places = layers.Dense(units, activation="relu")
        self.frames = layers.LSTM(units, return_sequences=True, return_state=True)
        self.embedding = layers.Embedding(tokenizer.vocabulary_size, embedding_size)
        self.decoder = layers.LSTM(units, return_sequences=True, return_state=True)
        self.attention = LuongAttention(units) if attention else None
        self.drop = layers.Dropout(dropout)
        self.classifier = layers.Dense(tokenizer.vocabulary_size)
        image, token = torch.zeros(1, *self.image_size, 3), torch.zeros(1, 1, dtype=torch.int64)
        with torch.no_grad():
            self({"images": image, "captions": token})  # makes the weights

    # -- the network ----------------------------------------------------------------------------------------

    def call(self, inputs: dict[str, torch.Tensor], training: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        state = self.encode(inputs["images"], inputs.get("frames"))
        return self.classifier(self.drop(self._told(inputs["captions"], state)))

    def encode(self, images: torch.Tensor, frames: torch.Tensor | None = None) -> CaptionState:
        """What is seen: the state from which a caption begins.

        Args:
            images: (batch, height, width, 3), or (batch, time, height, width, 3).
            frames: (batch, time), True where a frame is real.
        """
        if images.ndim == 4:
            images = images.unsqueeze(1)
        shape = images.shape[:2]
        maps = self._maps(images.flatten(0, 1).float(), None if frames is None else frames.flatten())
        x = torch.cat([maps, _coordinates(maps)], -1).flatten(1, 2).unflatten(0, shape)
        places = self.places(x)  # (batch, time, places, units)
        seen, h, c = self.frames(places.mean(2), **({} if frames is None else {"mask": frames}))
        if self.attention is None:
            return CaptionState(h, c)
        memory = (places + seen.unsqueeze(2)).flatten(1, 2)  # what is where, and what had come before it
        mask = None if frames is None else frames.repeat_interleave(places.shape[2], 1)
        return CaptionState(h, c, memory, mask, maps.shape[1:3])

    def _maps(self, images: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
        # Frames that are padding would cost as much as real ones, and spoil the averages of a BatchNormalization.
        maps = self.encoder(images if real is None else images[real])
        if maps.ndim == 2:
            maps = maps[:, None, None]
        if maps.ndim != 4:
            raise ShapeError(
                f"Captioner {self.name!r}: the encoder must give maps (n, rows, columns, channels) or vectors "
                f"(n, channels); it gave {tuple(maps.shape)}."
            )
        if real is None:
            return maps
        return maps.new_zeros(len(images), *maps.shape[1:]).index_put((real,), maps)

    def _told(self, captions: torch.Tensor, state: CaptionState) -> torch.Tensor:
        """What each next word is chosen from, (batch, length, units); `state` goes on to the end of `captions`."""
        x = self.drop(self.embedding(captions))
        told, state.h, state.c = self.decoder(x, initial_state=[state.h, state.c])
        if self.attention is None:
            return told
        return self.attention(told, state.memory, **({} if state.mask is None else {"mask": state.mask}))

    def step(self, tokens: torch.Tensor, state: CaptionState) -> tuple[torch.Tensor, CaptionState]:
        """The logits (n, vocabulary) of the token after `tokens` (n, t), as `lamella.language.generation` asks."""
        return self.classifier(self._told(tokens, state)[:, -1]), state

    # -- training -------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Says how to train. By default the loss is the cross-entropy of each next token, given those before it
        (teacher forcing), and the metric the share of them that would be guessed; padding counts in neither.
        """
        if loss is None:
            loss = SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        weighted_metrics = ["accuracy"] if weighted_metrics is None else weighted_metrics
        super().compile(optimizer, loss, loss_weights, metrics, weighted_metrics, **kwargs)

    def fit(  # type: ignore[override]
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on pictures, or videos, and their captions.

        Args:
            x: Pictures or videos, as `CaptionDataset` takes them; or a `CaptionDataset`.
            y: Captions: strings, or lists of several for one picture.
            batch_size: Captions in one step; 32 by default.
            epochs: The epoch to train up to.
            validation_data: (pictures, captions), or a `CaptionDataset`.
            **kwargs: As for every model.

        Raises:
            DataError: Data that cannot be used.
        """
        if isinstance(validation_data, (tuple, list)):
            images, captions = validation_data
            validation_data = self._batches(images, captions, batch_size, shuffle=False)
        x = self._batches(x, y, batch_size, shuffle=True)
        return super().fit(x, epochs=epochs, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """The loss and the metrics on pictures and captions; arguments as for `fit`, others as for every model."""
        return super().evaluate(self._batches(x, y, batch_size, shuffle=False), **kwargs)

    def _batches(self, x: Any, y: Any, batch_size: int | None, shuffle: bool) -> PyDataset:
        if isinstance(x, PyDataset):
            return x
        if y is None:
            raise DataError("Captioner: give the captions of the pictures as `y`.")
        return CaptionDataset(x, y, self.tokenizer, self.image_size, self.max_length, batch_size or 32, shuffle)

    # -- prediction -----------------------------------------------------------------------------------------

    def predict(  # type: ignore[override]
        self, x: Any, batch_size: int | None = None, num_beams: int = 4, length_penalty: float = 1.0, **kwargs: Any
    ) -> list[str]:
        """A caption for each picture or video.

        Args:
            x: Pictures or videos, as `CaptionDataset` takes them.
            batch_size: Pictures in one batch; 32 by default.
            num_beams: How many captions are followed at a time; 1 takes the likeliest word each time (greedy).
            length_penalty: See `lamella.language.generation.beam_search`.
            **kwargs: For Keras's signature.
        """
        images, size = checked_images(x), batch_size or 32
        captions: list[str] = []
        for start in range(0, len(images), size):
            inputs = self._moved(images, list(range(start, min(start + size, len(images)))))
            with torch.no_grad():
                state = self.encode(**inputs)
                first = torch.full((len(state.h), 1), self.start_id, device=state.h.device)
                most, end = self.max_length - 1, self.end_id
                if num_beams == 1:
                    tokens = sample(self.step, state, first, most, temperature=0, end_token=end)
                else:
                    tokens, _ = beam_search(self.step, state, first, most, num_beams, length_penalty, end)
            captions += self.tokenizer.decode_batch(tokens)
        return captions

    def attention_maps(self, x: Any, captions: Sequence[str]) -> torch.Tensor:
        """Where the decoder looks before each token of a caption, its end included.

        Args:
            x: Pictures or videos, as `CaptionDataset` takes them.
            captions: A caption for each.

        Returns:
            (pictures, length, time, rows, columns), for each token adding up to 1; time is 1 for pictures.

        Raises:
            ArgumentError: The model has no attention.
        """
        if self.attention is None:
            raise ArgumentError(f"Captioner {self.name!r} was made with attention=False: it looks at no places.")
        images = checked_images(x)
        tokens, _ = self.tokenizer.encode_batch(captions, self.max_length, start=True, end=True)
        with torch.no_grad():
            state = self.encode(**self._moved(images, list(range(len(images)))))
            tokens = tokens[:, :-1].to(state.h.device)
            told, _, _ = self.decoder(self.embedding(tokens), initial_state=[state.h, state.c])
            assert state.memory is not None
            scores = self.attention.score(told) @ state.memory.transpose(1, 2)
            if state.mask is not None:
                scores = scores.masked_fill(~state.mask.unsqueeze(1), -torch.inf)
        return scores.softmax(-1).unflatten(-1, (-1, *state.map_size))

    def _moved(self, images: Any, rows: list[int]) -> dict[str, torch.Tensor]:
        batch = image_batch(images, rows, self.image_size)
        return {name: value.to(device_of(self)) for name, value in batch.items()}

    # -- configuration --------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tokenizer": self.tokenizer.get_config(),
            "encoder": serialize(self.encoder),
            "image_size": list(self.image_size),
            "units": self.units,
            "embedding_size": self.embedding_size,
            "attention": self.attention is not None,
            "dropout": self.dropout,
            "max_length": self.max_length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Captioner:
        tokenizer = Tokenizer.from_config(config["tokenizer"])
        encoder = deserialize(config["encoder"], custom_objects)
        return cls(**{**config, "tokenizer": tokenizer, "encoder": encoder})


class CaptionState:
    """Where the writing of captions stands.

    Args:
        h: The state of the decoder, (batch, units).
        c: Its carry, (batch, units).
        memory: What the attention looks at, (batch, places, units).
        mask: (batch, places), True where the memory is real.
        map_size: (rows, columns) of the places of a frame.
    """

    def __init__(
        self,
        h: torch.Tensor,
        c: torch.Tensor,
        memory: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        map_size: Sequence[int] = (1, 1),
    ) -> None:
        self.h, self.c, self.memory, self.mask = h, c, memory, mask
        self.map_size = tuple(map_size)

    def reorder(self, indices: torch.Tensor) -> None:
        """Row i goes on from what row `indices[i]` was."""
        self.h, self.c = self.h[indices], self.c[indices]
        self.memory = None if self.memory is None else self.memory[indices]
        self.mask = None if self.mask is None else self.mask[indices]


@channels_last_inside
def small_encoder(image_size: tuple[int, int]) -> Model:
    """A convolutional network of 241,000 weights, each of whose 128 outputs sees 31 pixels across.

    Args:
        image_size: (height, width) of the pictures, whose values are from 0 to 255.

    Returns:
        A model from pictures to maps of an eighth of their height and width.

    Example:
        >>> small_encoder((64, 48)).output_shape
        (None, 8, 6, 128)
    """
    x = images = layers.Input((*image_size, 3), name="images")
    x = layers.Rescaling(1 / 127.5, -1, name="rescaling")(x)
    for i, (filters, stride) in enumerate(((32, 2), (64, 2), (128, 2), (128, 1)), 1):
        x = layers.Conv2D(
            filters,
            3,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"convolution_{i}",
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(x)
        x = layers.ReLU(name=f"relu_{i}")(x)
    return Model(images, x, name="small_encoder")


def _coordinates(maps: torch.Tensor) -> torch.Tensor:
    """The row and column of each place, from -1 to 1: (n, rows, columns, 2)."""
    sides = [torch.linspace(-1, 1, side, device=maps.device, dtype=maps.dtype) for side in maps.shape[1:3]]
    return torch.stack(torch.meshgrid(*sides, indexing="ij"), -1).expand(len(maps), -1, -1, -1)
