"""Pictures and short videos with captions, as batches for a `Captioner`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lamella.engine.image_data_format import channels_last_inside
from lamella.errors import DataError, ShapeError
from lamella.language.tokenization import Tokenizer
from lamella.layers import Resizing
from lamella.utils import PyDataset, img_to_array, load_img


class CaptionDataset(PyDataset):
    """Batches of pictures, or videos, and captions.

    Batch i is (inputs, next tokens, weights). Inputs are a dict of `"images"`, (batch, height, width, 3) or
    (batch, time, height, width, 3); `"captions"` (batch, length), the tokens up to each place; and, where videos
    differ in length, `"frames"` (batch, time), True where a frame is real. The next tokens are (batch, length), and
    their weights are 0 for padding.

    Args:
        images: An array (n, height, width, 3) or (n, time, height, width, 3); or a list of arrays (height, width, 3) or
            (time, height, width, 3), or of paths of pictures. Values are from 0 to 255.
        captions: A caption for each, or a list of several; each pair of a picture and a caption is a sample.
        tokenizer: With start and end tokens.
        image_size: (height, width): pictures of other sizes are resized.
        max_length: The most tokens of a caption, start and end included; longer ones are cut, with a warning.
        batch_size: Samples in one batch.
        shuffle: Whether each epoch has other batches.
        workers: As for `PyDataset`.

    Raises:
        DataError: Other numbers of pictures and captions, or none; captions that are no strings; (at once, for arrays)
            pictures that are none.

    Example:
        >>> tokenizer = Tokenizer.train(["a cat", "two dogs"], kind="word")
        >>> images = np.zeros((2, 8, 8, 3), "uint8")
        >>> inputs, y, weights = CaptionDataset(images, ["a cat", "two"], tokenizer, (8, 8), shuffle=False)[0]
        >>> inputs["captions"].shape, [tokenizer.decode(row) for row in y], weights.tolist()
        (torch.Size([2, 3]), ['a cat', 'two'], [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """

    def __init__(
        self,
        images: Any,
        captions: Sequence[str] | Sequence[Sequence[str]],
        tokenizer: Tokenizer,
        image_size: tuple[int, int],
        max_length: int | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers)
        self.images = checked_images(images)
        if isinstance(captions, str) or len(captions) != len(self.images):
            raise DataError(
                f"CaptionDataset: {len(self.images)} pictures or videos need as many captions (or lists of captions); "
                f"got {'a string' if isinstance(captions, str) else len(captions)}."
            )
        several: list[list[Any]] = [list(each) if isinstance(each, (list, tuple)) else [each] for each in captions]
        self._rows = torch.tensor([i for i, each in enumerate(several) for _ in each], dtype=torch.int64)
        if not len(self._rows):
            raise DataError("CaptionDataset: there are no captions.")
        texts = [text for each in several for text in each]
        self._tokens, self._mask = tokenizer.encode_batch(texts, max_length, start=True, end=True)
        self.image_size = image_size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._order = torch.arange(len(self._rows))

    def on_epoch_begin(self) -> None:
        if self.shuffle:
            self._order = torch.randperm(len(self._rows))

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        samples = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        mask = self._mask[samples]
        longest = int(mask.sum(1).max())
        tokens, mask = self._tokens[samples, :longest], mask[:, :longest]
        inputs = image_batch(self.images, self._rows[samples].tolist(), self.image_size)
        return {**inputs, "captions": tokens[:, :-1]}, tokens[:, 1:], mask[:, 1:].float()


def checked_images(images: Any) -> Any:
    """Pictures or videos as an array of them, or as a list.

    Raises:
        DataError: Something else, or an array of a shape that they cannot have.
    """
    if isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", 0) == 3:
        images = [images]
    if isinstance(images, torch.Tensor):
        images = images.cpu().numpy()
    if isinstance(images, np.ndarray):
        if images.ndim not in (4, 5) or images.shape[-1] != 3:
            raise DataError(
                f"Pictures are an array (n, height, width, 3), videos (n, time, height, width, 3); got shape "
                f"{images.shape}."
            )
        return images
    if not isinstance(images, (list, tuple)):
        raise DataError(f"Pictures are an array, or a list of arrays or paths; got {type(images).__name__}.")
    return images


def image_batch(images: Any, rows: list[int], image_size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Some of the pictures or videos as `"images"`, and, where videos differ in length, `"frames"`.

    Raises:
        ShapeError: A picture or video of a shape that it cannot have.
    """
    if isinstance(images, np.ndarray) and images.shape[-3:-1] == tuple(image_size):
        return {"images": torch.from_numpy(images[rows])}
    read = [_read(images[row], row, image_size) for row in rows]
    if all(each.ndim == 3 for each in read):
        return {"images": torch.stack(read)}
    videos = [each if each.ndim == 4 else each.unsqueeze(0) for each in read]
    lengths = torch.tensor([len(video) for video in videos])
    padded = torch.nn.utils.rnn.pad_sequence(videos, batch_first=True)
    frames = torch.arange(padded.shape[1]) < lengths.unsqueeze(1)
    return {"images": padded} if bool(frames.all()) else {"images": padded, "frames": frames}


@channels_last_inside
def _read(image: Any, row: int, image_size: tuple[int, int]) -> torch.Tensor:
    if isinstance(image, (str, os.PathLike)):
        image = img_to_array(load_img(image), dtype="uint8").copy()  # Pillow's own memory is not ours to write to
    image = torch.as_tensor(image)
    if image.ndim not in (3, 4) or image.shape[-1] != 3 or not len(image):
        raise ShapeError(
            f"Number {row} of the pictures has shape {tuple(image.shape)}; a picture is (height, width, 3), a video "
            f"(time, height, width, 3) with one frame or more."
        )
    if tuple(image.shape[-3:-1]) == tuple(image_size):
        return image
    return Resizing(*image_size)(image)
