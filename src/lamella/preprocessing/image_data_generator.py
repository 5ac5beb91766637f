"""`ImageDataGenerator`: pictures from arrays, folders or data frames, changed at random while a model trains."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from lamella.backend import image_data_format
from lamella.engine.dtypes import floatx
from lamella.errors import ArgumentError, DataError, ShapeError
from lamella.preprocessing.image_changes import apply_affine_transform, apply_channel_shift, brightened, drawn_zoom
from lamella.preprocessing.image_file_iterators import DataFrameIterator, DirectoryIterator
from lamella.preprocessing.image_iterators import NumpyArrayIterator, as_pictures, warn_of_channels
from lamella.preprocessing.image_ranges import drawn_shift, number, pair, shifts, within
from lamella.preprocessing.image_warp import check_filling

_SMALL = 1e-6  # keeps the division by a standard deviation finite
_OLD = {
    "has_ext": "the names in the data frame must be those of the files, with their endings",
    "sort": "pass shuffle=False to keep the order of the rows",
    "drop_duplicates": "call dataframe.drop_duplicates() before",
}


class ImageDataGenerator:
    """Batches of pictures that are changed at random and standardized, without end.

    Everything random is drawn from NumPy's global generator: for the same seed it is what Keras gives.

    Args:
        featurewise_center: Whether the mean of all data (see `fit`) is taken away from each channel.
        samplewise_center: Whether the mean of each picture is taken away.
        featurewise_std_normalization: Whether each channel is divided by its standard deviation over all data.
        samplewise_std_normalization: Whether each picture is divided by its own.
        zca_whitening: Whether ZCA whitening makes pixels independent of each other (see `fit`).
        zca_epsilon: A small number that keeps its divisions finite.
        rotation_range: The largest angle in degrees, to either side.
        width_shift_range: The largest shift: below 1 a part of the width, else pixels; a list of shifts to choose from,
            with either sign; or a whole number n for one of -(n - 1) to n - 1 pixels.
        height_shift_range: The same for the height.
        brightness_range: (smallest, largest) number that values are multiplied by; None for no change.
        shear_range: The largest angle of shear in degrees, to either side.
        zoom_range: (smallest, largest) zoom, or a number z for (1 - z, 1 + z); above 1, things get smaller.
        channel_shift_range: The largest number to add to all values, to either side.
        fill_mode: What is beyond the edges: `"nearest"`, `"constant"`, `"reflect"` or `"wrap"`.
        cval: What is there with `"constant"`.
        horizontal_flip: Whether every second picture or so is flipped from left to right.
        vertical_flip: The same from top to bottom.
        rescale: A number that values are multiplied by after the random changes, such as 1 / 255; None for none.
        preprocessing_function: A function of one picture, called before `rescale` and after the random changes.
        data_format: `"channels_last"` or `"channels_first"`; that of the configuration by default.
        validation_split: The part of the pictures that `subset="validation"` gives.
        interpolation_order: 0 for the nearest pixel, 1 for linear interpolation, up to 5 for splines.
        dtype: The type of the batches; `floatx()` by default.

    Attributes:
        mean: What `fit` found, as `std` and `zca_whitening_matrix`; None before.

    Raises:
        ArgumentError: An argument outside the values that it may have.

    Example:
        >>> generator = ImageDataGenerator(rotation_range=20, horizontal_flip=True, rescale=1 / 255)
        >>> x, y = next(generator.flow(np.full((6, 8, 8, 3), 255.0), np.arange(6), batch_size=4))
        >>> x.shape, y.shape, float(x.max())
        ((4, 8, 8, 3), (4,), 1.0)
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.rotation_range = number("rotation_range", rotation_range)
        self.width_shift_range = shifts("width_shift_range", width_shift_range)
        self.height_shift_range = shifts("height_shift_range", height_shift_range)
        self.brightness_range = None if brightness_range is None else pair("brightness_range", brightness_range)
        self.shear_range = number("shear_range", shear_range)
        if isinstance(zoom_range, Real):
            span = number("zoom_range", zoom_range)
            self.zoom_range = [1 - span, 1 + span]
        else:
            self.zoom_range = list(pair("zoom_range", zoom_range, " or a single one"))
        self.channel_shift_range = number("channel_shift_range", channel_shift_range)
        check_filling(fill_mode, interpolation_order)
        self.fill_mode = fill_mode
        self.cval = number("cval", cval)
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = None if rescale is None else number("rescale", rescale)
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise ArgumentError(f"`preprocessing_function` must be a function; got {preprocessing_function!r}.")
        self.preprocessing_function = preprocessing_function
        self.data_format = data_format or image_data_format()
        if self.data_format not in ("channels_first", "channels_last"):
            raise ArgumentError(f"`data_format` must be 'channels_first' or 'channels_last'; got {data_format!r}.")
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        if validation_split and not 0 < validation_split < 1:
            raise ArgumentError(f"`validation_split` must lie between 0 and 1; got {validation_split!r}.")
        self._validation_split = validation_split
        self.interpolation_order = interpolation_order
        self.dtype = dtype or floatx()
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None
        self._settle()

    def _settle(self) -> None:
        """What one way to standardize says of the others."""
        if self.zca_whitening and self.featurewise_std_normalization:
            self.featurewise_std_normalization = False
            warnings.warn("`zca_whitening` takes the place of `featurewise_std_normalization`, which is turned off.")
        for kind, by in (
            ("featurewise_center", "zca_whitening"),
            ("featurewise_center", "featurewise_std_normalization"),
            ("samplewise_center", "samplewise_std_normalization"),
        ):
            if getattr(self, by) and not getattr(self, kind):
                setattr(self, kind, True)
                warnings.warn(f"`{by}` needs `{kind}`, which is turned on.")

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches of pictures from an array.

        Args:
            x: Pictures (pictures, rows, columns, channels), or a pair of them and other arrays that go into the batches
                as they are.
            y: Targets; None for batches of pictures only.
            batch_size: Pictures in a batch.
            shuffle: Whether each epoch has a new order.
            sample_weight: A weight for each picture.
            seed: A seed for the order and the changes.
            save_to_dir: A folder to write the changed pictures to.
            save_prefix: What their names begin with.
            save_format: The format, as their ending.
            ignore_class_split: Whether one of the two subsets may lack a class.
            subset: `"training"`, `"validation"`, or None for all.

        Returns:
            A `NumpyArrayIterator` of `x`, `(x, y)` or `(x, y, sample_weight)`, all NumPy arrays.

        Raises:
            DataError: Arrays of other lengths, no pictures, or a subset that lacks a class.
            ShapeError: Not four axes.
            ArgumentError: Arguments outside the values that they may have.

        Example:
            >>> next(ImageDataGenerator().flow(np.zeros((5, 4, 4, 1)), batch_size=3)).shape
            (3, 4, 4, 1)
        """
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            ignore_class_split=ignore_class_split,
            subset=subset,
            dtype=self.dtype,
        )

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Batches of pictures from a folder with a folder for each class.

        Args:
            directory: The folder.
            target_size: (height, width) that all are resized to.
            color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
            classes: The folders to use, in an order of one's own; by default all, by their names.
            class_mode: `"categorical"`, `"binary"`, `"sparse"`, `"input"` or None: see `DirectoryIterator`.
            batch_size: Pictures in a batch.
            shuffle: Whether each epoch has a new order; else they are sorted by name.
            seed: A seed for the order and the changes.
            save_to_dir: A folder to write the changed pictures to.
            save_prefix: What their names begin with.
            save_format: The format, as their ending.
            follow_links: Whether to go into linked folders.
            subset: `"training"`, `"validation"`, or None for all.
            interpolation: How pictures are resized, as for `load_img`.
            keep_aspect_ratio: Whether what does not fit the target's shape is cut off rather than squeezed.

        Returns:
            A `DirectoryIterator`.

        Raises:
            DataError: No such folder, or no pictures in it.
            ArgumentError: Arguments outside the values that they may have.
        """
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
        )

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Batches of pictures that a pandas data frame names.

        Args:
            dataframe: The data frame.
            directory: The folder that the names begin in; None if they are whole paths.
            x_col: The column of the files.
            y_col: The column of the targets, or a list of columns.
            weight_col: The column of the samples' weights, or None.
            target_size: (height, width) that all are resized to.
            color_mode: `"grayscale"`, `"rgb"` or `"rgba"`: 1, 3 or 4 channels.
            classes: The classes to use, in an order of one's own; rows of others are left out.
            class_mode: `"categorical"`, `"binary"`, `"sparse"`, `"raw"`, `"multi_output"`, `"input"` or None: see
                `DataFrameIterator`.
            batch_size: Pictures in a batch.
            shuffle: Whether each epoch has a new order.
            seed: A seed for the order and the changes.
            save_to_dir: A folder to write the changed pictures to.
            save_prefix: What their names begin with.
            save_format: The format, as their ending.
            subset: `"training"`, `"validation"`, or None for all.
            interpolation: How pictures are resized, as for `load_img`.
            validate_filenames: Whether rows whose file is missing are left out.
            **kwargs: `keep_aspect_ratio`, as for `flow_from_directory`. Others have no effect, and a warning says so.

        Returns:
            A `DataFrameIterator`.

        Raises:
            DataError: No such column, or no pictures left.
            DTypeError: A column of another type than the class mode needs.
            ArgumentError: Arguments outside the values that they may have.
        """
        keep_aspect_ratio = kwargs.pop("keep_aspect_ratio", False)
        for name in kwargs:
            if name in _OLD:
                warnings.warn(f"`{name}` has no effect any more: {_OLD[name]}.", DeprecationWarning)
            else:
                warnings.warn(f"flow_from_dataframe has no argument `{name}`: it is not used.")
        if class_mode == "other":
            warnings.warn("class_mode='other' is called 'raw' now.", DeprecationWarning)
            class_mode = "raw"
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
        )

    def standardize(self, x: Any) -> np.ndarray:
        """One picture, or a batch, after `preprocessing_function`, `rescale`, centering, scaling and whitening.

        Args:
            x: The picture. An array of floats is changed in place.

        Example:
            >>> ImageDataGenerator(rescale=0.5).standardize(np.ones((1, 2, 1))).tolist()
            [[[0.5], [0.5]]]
        """
        return self._whitened(self._scaled(x))

    def _scaled(self, x: Any) -> np.ndarray:
        """All that `standardize` does except whitening."""
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype(floatx())
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + _SMALL
        if self.featurewise_center and self._was_fit("featurewise_center", self.mean):
            x -= self.mean
        if self.featurewise_std_normalization and self._was_fit("featurewise_std_normalization", self.std):
            assert self.std is not None
            x /= self.std + _SMALL
        return x

    def _whitened(self, x: np.ndarray) -> np.ndarray:
        if not self.zca_whitening or not self._was_fit("zca_whitening", self.zca_whitening_matrix):
            return x
        assert self.zca_whitening_matrix is not None
        result: np.ndarray = (x.reshape(-1, len(self.zca_whitening_matrix)) @ self.zca_whitening_matrix).reshape(
            x.shape
        )
        return result

    @staticmethod
    def _was_fit(option: str, found: Any) -> bool:
        if found is None:
            warnings.warn(
                f"`{option}` needs the statistics of all data, which are not known: call fit(x) before. Until then it "
                f"has no effect."
            )
        return found is not None

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draws the numbers of a random change.

        Args:
            img_shape: The shape of the picture.
            seed: A seed, or None.

        Returns:
            The numbers, by the names that `apply_transform` takes.

        Example:
            >>> ImageDataGenerator(vertical_flip=True).get_random_transform((8, 8, 3), seed=1)["theta"]
            0
        """
        if seed is not None:
            np.random.seed(seed)
        # They are drawn in this order, and those that are not wanted are not: so a seed gives what it gives in Keras.
        theta = within(self.rotation_range)
        tx = drawn_shift(self.height_shift_range, img_shape[self.row_axis - 1])
        ty = drawn_shift(self.width_shift_range, img_shape[self.col_axis - 1])
        shear = within(self.shear_range)
        zx, zy = drawn_zoom(*self.zoom_range)
        flip_horizontal = (np.random.random() < 0.5) * self.horizontal_flip
        flip_vertical = (np.random.random() < 0.5) * self.vertical_flip
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "channel_shift_intensity": within(self.channel_shift_range) if self.channel_shift_range else None,
            "brightness": None if self.brightness_range is None else np.random.uniform(*self.brightness_range),
        }

    def apply_transform(self, x: Any, transform_parameters: Mapping[str, Any]) -> np.ndarray:
        """Changes a picture by given numbers.

        Args:
            x: The picture.
            transform_parameters: Any of `theta` (degrees), `tx` and `ty` (pixels), `shear` (degrees), `zx` and `zy`,
                `flip_horizontal`, `flip_vertical`, `channel_shift_intensity` and `brightness`.

        Raises:
            ShapeError: Not three axes.

        Example:
            >>> picture = np.array([[[1.0], [2.0]]])
            >>> ImageDataGenerator().apply_transform(picture, {"flip_horizontal": True}).tolist()
            [[[2.0], [1.0]]]
        """
        change = transform_parameters
        rows, columns, channels = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        x = apply_affine_transform(
            x,
            change.get("theta", 0),
            change.get("tx", 0),
            change.get("ty", 0),
            change.get("shear", 0),
            change.get("zx", 1),
            change.get("zy", 1),
            row_axis=rows,
            col_axis=columns,
            channel_axis=channels,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if change.get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, change["channel_shift_intensity"], channels)
        if change.get("flip_horizontal", False):
            x = np.flip(x, columns)
        if change.get("flip_vertical", False):
            x = np.flip(x, rows)
        if change.get("brightness") is not None:
            x = brightened(x, change["brightness"], False, channels)
        return x

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """Changes a picture at random.

        Args:
            x: The picture.
            seed: A seed, or None.

        Example:
            >>> ImageDataGenerator(shear_range=10).random_transform(np.ones((8, 8, 3))).shape
            (8, 8, 3)
        """
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Finds the statistics of all data that `featurewise_...` and `zca_whitening` need.

        Args:
            x: Pictures (pictures, rows, columns, channels). They are multiplied by `rescale`; `preprocessing_function`
                is not called.
            augment: Whether those of pictures that are changed at random are found.
            rounds: How often each picture is changed for that.
            seed: A seed, or None.

        Raises:
            ShapeError: Not four axes.
            DataError: No pictures.

        Example:
            >>> generator = ImageDataGenerator(featurewise_center=True)
            >>> generator.fit(np.full((2, 4, 4, 1), 3.0))
            >>> generator.mean.tolist()
            [[[3.0]]]
        """
        x = np.array(as_pictures(x), dtype=self.dtype)
        if not len(x):
            raise DataError(f"fit: there are no pictures: `x` has shape {x.shape}.")
        warn_of_channels(x.shape, self.data_format)
        if seed is not None:
            np.random.seed(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            x = np.stack([self.random_transform(picture) for _ in range(rounds) for picture in x])
            x = x.astype(self.dtype, copy=False)
        over = (0, self.row_axis, self.col_axis)
        # Sums of millions of single-precision numbers are made in double precision.
        if self.featurewise_center:
            self.mean = np.mean(x, axis=over, keepdims=True, dtype="float64")[0].astype(x.dtype)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=over, keepdims=True, dtype="float64")[0].astype(x.dtype)
            x /= self.std + _SMALL
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            directions, sizes, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (directions * (math.sqrt(len(x)) / (sizes + self.zca_epsilon))) @ directions.T

    def fill_batch(self, batch: np.ndarray, pictures: Iterable[np.ndarray]) -> None:
        """Writes pictures, each changed at random and standardized, into a batch.

        Args:
            batch: The batch.
            pictures: As many pictures as it has room for.

        Raises:
            ShapeError: `preprocessing_function` gave another shape.
        """
        # One product of matrices whitens a batch much sooner than many products with a vector.
        own = type(self).standardize is ImageDataGenerator.standardize
        standardize = self._scaled if own else self.standardize
        for place, picture in zip(batch, pictures, strict=True):
            picture = picture.astype(batch.dtype)
            place[:] = self.apply_transform(picture, self.get_random_transform(picture.shape))
            result = standardize(place)
            if result is not place:
                if np.shape(result) != place.shape:
                    raise ShapeError(
                        f"A picture of shape {place.shape} came out of `preprocessing_function` with shape "
                        f"{np.shape(result)}; it must keep its shape."
                    )
                place[:] = result
        if own:
            batch[:] = self._whitened(batch)
