"""`FeatureSpace`: the columns of a table, each prepared in its own way, as one vector."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamella.engine.naming import auto_name
from lamella.engine.registry import Registry, deserialize, serialize
from lamella.engine.strings import holds_strings
from lamella.engine.symbolic import SymbolicTensor
from lamella.errors import ArgumentError, DataError, NotBuiltError
from lamella.layers.base import Layer
from lamella.layers.category_encoding import CategoryEncoding
from lamella.layers.data_layer import as_numbers, one_of, refuse
from lamella.layers.discretization import Discretization
from lamella.layers.hashing import HashedCrossing, Hashing
from lamella.layers.index_lookup import IndexLookup
from lamella.layers.input_layer import Input
from lamella.layers.integer_lookup import IntegerLookup
from lamella.layers.preprocessing import Normalization, Rescaling
from lamella.layers.reshaping import Identity
from lamella.layers.string_lookup import StringLookup
from lamella.layers.text_vectorization import TextVectorization

_parts = Registry("part of a FeatureSpace", "keras.src.layers.preprocessing.feature_space")
_utilities = Registry("utility", "keras.utils")


@_parts.register()
class Cross:
    """Features to be crossed: their combination is hashed into `crossing_dim` bins."""

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        if output_mode not in ("int", "one_hot"):
            raise ArgumentError(f"A cross has output_mode 'int' or 'one_hot'; got {output_mode!r}.")
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        """The names of the features, joined by `_X_`."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this cross again."""
        names = list(self.feature_names)
        return {"feature_names": names, "crossing_dim": self.crossing_dim, "output_mode": self.output_mode}


@_parts.register()
class Feature:
    """One column: its data type, the layer that prepares it, and how the result is given."""

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        if output_mode not in ("int", "one_hot", "float"):
            raise ArgumentError(f"A feature has output_mode 'int', 'one_hot' or 'float'; got {output_mode!r}.")
        self.dtype = dtype
        self.preprocessor = deserialize(preprocessor) if isinstance(preprocessor, dict) else preprocessor
        self.output_mode = output_mode

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this feature again."""
        return {
            "dtype": self.dtype,
            "preprocessor": serialize(self.preprocessor),
            "output_mode": self.output_mode,
        }


@_parts.register()
class TFDIdentity(Identity):
    """A column that is passed on as it is. The name is the one that Keras's files have."""


@_parts.register()
class TFDConcat(Layer):
    """Encoded columns, of whatever number, one after the other. The name is the one that Keras's files have."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, xs: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(xs), dim=self.axis)


@_utilities.register()
class FeatureSpace(Layer):
    """Prepares the columns of a table: each is normalized, indexed, hashed or binned, and all are joined.

    Call it on a dict of columns (arrays, lists, tensors; of shape (batch,) or (batch, 1), or single values).

    Args:
        features: For each column a kind by name (`"float"`, `"float_normalized"`, `"float_rescaled"`,
            `"float_discretized"`, `"integer_categorical"`, `"string_categorical"`, `"integer_hashed"`,
            `"string_hashed"`), or what the class method of that name returns.
        output_mode: `"concat"`: one vector, the columns in alphabetical order, then the crosses; `"dict"`: a dict.
        crosses: Tuples of column names to be crossed, or what `FeatureSpace.cross` returns.
        crossing_dim: How many bins a cross has by default.
        hashing_dim: How many bins a hashed column has by default.
        num_discretization_bins: How many bins a discretized column has by default.
        name: A unique name.

    Raises:
        ArgumentError: No features, an unknown kind, or a cross of unknown columns.
        NotBuiltError: Columns that have to be learnt, before `adapt`.

    Example:
        >>> from lamella.layers.feature_space import FeatureSpace
        >>> space = FeatureSpace({"age": "float_normalized", "city": "string_categorical"})
        >>> table = {"age": [20.0, 40.0], "city": ["Oslo", "Rome"]}
        >>> space.adapt(table)
        >>> space(table)
        tensor([[-1.,  0.,  0.,  1.],
                [ 1.,  0.,  1.,  0.]])
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise refuse(self, "`features` is empty: give a dict of column names and kinds.")
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.output_mode = one_of(self, "output_mode", output_mode, ("concat", "dict"))
        self.features = {key: self._as_feature(key, value) for key, value in features.items()}
        self.crosses = [self._as_cross(cross) for cross in crosses or ()]
        self.preprocessors = {key: feature.preprocessor for key, feature in self.features.items()}
        self.crossers = {cross.name: HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses}
        self.concat = TFDConcat(name=f"{self.name}_concat")
        self.one_hot_encoders: dict[str, CategoryEncoding] = {}
        self._inputs: dict[str, SymbolicTensor] = {}
        self._encoded: Any = None
        self._build_at_init()

    # -- kinds of columns -------------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Columns to be crossed into `crossing_dim` bins."""
        return Cross(feature_names, crossing_dim, output_mode=output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of yours prepares."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:  # type: ignore[override]
        """Numbers as they are."""
        return Feature("float32", TFDIdentity(name=_layer_name("float", name)), "float")

    @classmethod
    def float_rescaled(cls, scale: Any = 1.0, offset: Any = 0.0, name: str | None = None) -> Feature:
        """Numbers times `scale` plus `offset`."""
        return Feature("float32", Rescaling(scale, offset, name=_layer_name("float_rescaled", name)), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers brought to mean 0 and variance 1."""
        return Feature("float32", Normalization(axis=-1, name=_layer_name("float_normalized", name)), "float")

    @classmethod
    def float_discretized(
        cls, num_bins: int | None, bin_boundaries: Any = None, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Numbers by the bin that they fall into."""
        layer = Discretization(bin_boundaries, num_bins, name=_layer_name("float_discretized", name))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Whole numbers that are categories."""
        layer = IntegerLookup(max_tokens, num_oov_indices, name=_layer_name("integer_categorical", name))
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings that are categories."""
        layer = StringLookup(max_tokens, num_oov_indices, name=_layer_name("string_categorical", name))
        return Feature("string", layer, output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Strings hashed into bins."""
        return Feature("string", Hashing(num_bins, name=_layer_name("string_hashed", name)), output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Whole numbers hashed into bins."""
        return Feature("int32", Hashing(num_bins, name=_layer_name("integer_hashed", name)), output_mode)

    def _as_feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            return deserialize(value)
        own = {
            "float_discretized": (self.num_discretization_bins,),
            "integer_hashed": (self.hashing_dim,),
            "string_hashed": (self.hashing_dim,),
        }
        simple = ("float", "float_normalized", "float_rescaled", "integer_categorical", "string_categorical")
        one_of(self, f"features[{name!r}]", value, (*simple, *own))
        return getattr(self, value)(*own.get(value, ()), name=name)

    def _as_cross(self, cross: Any) -> Cross:
        if isinstance(cross, dict):
            cross = deserialize(cross)
        if not isinstance(cross, Cross):
            if not self.crossing_dim:
                raise refuse(self, "`crosses` need `crossing_dim`, the number of bins.")
            cross = Cross(cross, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            raise refuse(self, f"`crosses` names {unknown}, which are not among the features {list(self.features)}.")
        return cross

    # -- learning ---------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Learns means, vocabularies and bins.

        Args:
            dataset: A dict of columns, or an iterable of batches that are such dicts (or (dict, labels)).
        """
        if isinstance(dataset, dict):
            batches: Any = [dataset]
        elif isinstance(dataset, (str, bytes, np.ndarray, torch.Tensor)) or not hasattr(dataset, "__iter__"):
            raise refuse(
                self, f"adapt() takes a dict of columns, or an iterable of them; got {type(dataset).__name__}."
            )
        else:  # each column is learnt in a pass of its own
            batches = list(dataset) if iter(dataset) is dataset else dataset
        for name, layer in self.preprocessors.items():
            if _adaptable(layer):
                layer.adapt(self._column(batches, name))
        self._encoded = None
        self.one_hot_encoders = {}

    def _column(self, batches: Any, name: str) -> Iterator[Any]:
        for batch in batches:
            columns = batch[0] if isinstance(batch, (tuple, list)) else batch
            yield self._as_columns(columns, [name])[name][0]

    def _require_adapted(self) -> None:
        waiting = [name for name, layer in self.preprocessors.items() if _adaptable(layer) and not _ready(layer)]
        if waiting:
            raise NotBuiltError(
                f"FeatureSpace {self.name!r} has columns that have to be learnt: {waiting}. Call adapt(data) first."
            )

    # -- calling ----------------------------------------------------------------------------------------

    def forward(self, data: Any) -> Any:
        self._require_adapted()
        if not isinstance(data, dict):
            raise refuse(self, f"call it on a dict of columns; got {type(data).__name__}.")
        columns = self._as_columns(data, list(self.features))
        encoded = self._encode({name: column for name, (column, _) in columns.items()})
        if not any(single for _, single in columns.values()):
            return encoded
        return encoded[0] if self.output_mode == "concat" else {name: value[0] for name, value in encoded.items()}

    call = forward

    def _as_columns(self, data: Mapping[str, Any], names: list[str]) -> dict[str, tuple[Any, bool]]:
        """Each column as (batch, ...), of rank two at least, and whether it was a single value."""
        missing = [name for name in names if name not in data]
        if missing:
            raise DataError(f"FeatureSpace {self.name!r}: the data have no column {missing}; they have {list(data)}.")
        columns = {}
        for name in names:
            value = data[name]
            if hasattr(value, "to_numpy"):
                value = value.to_numpy()
            if not isinstance(value, (torch.Tensor, SymbolicTensor)):
                value = np.asarray(value, dtype=object) if holds_strings(value) else as_numbers(value)
            single = value.ndim == 0
            if value.ndim < 2:
                value = value.reshape(1, 1) if single else value[:, None]
            columns[name] = value, single
        return columns

    def _encode(self, columns: dict[str, Any]) -> Any:
        prepared = {name: self.preprocessors[name](column) for name, column in columns.items()}
        crossed = {
            cross.name: self.crossers[cross.name]([prepared[name] for name in cross.feature_names])
            for cross in self.crosses
        }
        specs: dict[str, Feature | Cross] = {**self.features, **{cross.name: cross for cross in self.crosses}}
        values = prepared | crossed
        names = (*sorted(prepared), *sorted(crossed))
        encoded = {name: self._one_hot(name, values[name], specs[name]) for name in names}
        if self.output_mode == "dict":
            return encoded
        for name, value in encoded.items():
            if not value.dtype.is_floating_point:
                raise refuse(
                    self,
                    f"column {name!r} is not encoded (it has {value.dtype}), so it cannot be joined with others. Use "
                    f"output_mode='dict', or output_mode='one_hot' for the column.",
                )
        return self.concat(list(encoded.values()))

    def _one_hot(self, name: str, value: Any, spec: Feature | Cross) -> Any:
        if spec.output_mode != "one_hot":
            return value
        if name not in self.one_hot_encoders:
            if value.dtype.is_floating_point:
                raise refuse(self, f"column {name!r} has output_mode='one_hot' but its layer gives {value.dtype}.")
            layer = self.preprocessors[name] if name in self.preprocessors else self.crossers[name]
            self.one_hot_encoders[name] = CategoryEncoding(self._cardinality(name, layer), output_mode="multi_hot")
        return self.one_hot_encoders[name](value)

    def _cardinality(self, name: str, layer: Any) -> int:
        if isinstance(layer, IndexLookup):
            return layer.vocabulary_size()
        if isinstance(layer, CategoryEncoding):
            return layer.num_tokens
        if isinstance(layer, Discretization):
            return len(layer.bin_boundaries or ()) + 1 if layer.num_bins is None else layer.num_bins
        if isinstance(layer, (Hashing, HashedCrossing)):
            return layer.num_bins
        raise refuse(
            self,
            f"column {name!r} has output_mode='one_hot', but how many values {type(layer).__name__} gives is not "
            f"known. Use output_mode='int'.",
        )

    # -- the functional graph ---------------------------------------------------------------------------

    @property
    def inputs(self) -> dict[str, SymbolicTensor]:
        """An `Input` for each column."""
        if not self._inputs:
            self._inputs = {
                name: Input(shape=(1,), dtype=feature.dtype, name=name) for name, feature in self.features.items()
            }
        return self._inputs

    def get_inputs(self) -> dict[str, SymbolicTensor]:
        """An `Input` for each column: where a model that prepares its own data begins."""
        self._require_adapted()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """The encoded columns, symbolic: where a model that is given prepared data begins."""
        self._require_adapted()
        if self._encoded is None:
            self._encoded = self._encode(dict(self.inputs))
        return self._encoded

    # -- configuration and files ------------------------------------------------------------------------

    def save(self, filepath: str | Path) -> None:
        """Writes the space to a `.keras` file, which `lamella.saving.load_model` reads."""
        importlib.import_module("lamella.saving").save_model(self, filepath)  # a room above this one

    def save_own_variables(self, store: Any) -> None:
        """Nothing: the layers of the columns keep what was learnt."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing."""

    def get_build_config(self) -> dict[str, Any]:
        """What Keras takes as the sign that the columns have been learnt."""
        return {name: layer.get_build_config() or {} for name, layer in self.preprocessors.items()}

    def get_config(self) -> dict[str, Any]:
        return {
            "features": {name: serialize(feature) for name, feature in self.features.items()},
            "output_mode": self.output_mode,
            "crosses": [serialize(cross) for cross in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FeatureSpace:
        """The space that `get_config` (here or in Keras) described."""
        return cls(**config)


def _layer_name(kind: str, name: str | None) -> str:
    return f"{name or auto_name(kind)}_preprocessor"


def _adaptable(layer: Any) -> bool:
    if isinstance(layer, Normalization):
        return layer.input_mean is None
    if isinstance(layer, Discretization):
        return layer.num_bins is not None
    if isinstance(layer, TextVectorization):
        return not layer._lookup_layer._has_input_vocabulary
    if isinstance(layer, IndexLookup):
        return not layer._has_input_vocabulary
    return hasattr(layer, "adapt")


def _ready(layer: Any) -> bool:
    """Whether an adaptable layer has learnt what it needs."""
    if isinstance(layer, (IndexLookup, TextVectorization)):
        return len(layer.get_vocabulary(include_special_tokens=False)) > 0
    if isinstance(layer, Discretization):
        return layer.bin_boundaries is not None
    return bool(layer.built)
