"""What a `BERT` is trained for: classes of texts, classes of tokens, words that are hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F

from lamella.errors import ArgumentError, FileError
from lamella.language import bert_checkpoint
from lamella.language.bert import BERT, bert_dense, without_pooler
from lamella.language.pretrained import copy_tensors, read_checkpoint, write_checkpoint
from lamella.layers import Dropout, LayerNormalization
from lamella.losses import SparseCategoricalCrossentropy
from lamella.models import Model
from lamella.saving import deserialize_keras_object, register_keras_serializable


class BERTHead(Model):
    """A `BERT` and what is on top of it; a family says what that is.

    Outputs are logits. Labels are class numbers, -1 where none is asked for: `compile`'s own loss leaves these out.

    Args:
        encoder: The `BERT`; it is trained too, unless `encoder.trainable = False`.
        dropout: The share of its vectors that is dropped while training; the encoder's by default.
        **kwargs: As for every model.
    """

    _architectures: ClassVar[dict[str, str]]
    _uses_pooler: ClassVar[bool] = False

    def __init__(self, encoder: BERT, dropout: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(encoder, BERT):
            raise ArgumentError(f"{type(self).__name__}: `encoder` must be a BERT; got {type(encoder).__name__}.")
        self.encoder = encoder
        self.dropout = encoder.dropout if dropout is None else dropout
        self.head_dropout = Dropout(self.dropout, dtype=encoder.dtype)

    def build(self, input_shape: Any = None) -> None:
        """Nothing is left to make: the encoder and the head have their weights."""

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adamw", loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """As for every model; without a loss, crossentropy of the logits where labels are not -1."""
        loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1) if loss is None else loss
        super().compile(optimizer, loss, *args, **kwargs)

    @property
    def trainable_weights(self) -> list[torch.Tensor]:
        """The weights that training changes."""
        weights = super().trainable_weights
        return weights if self._uses_pooler else without_pooler(weights, self.encoder)

    # -- files ------------------------------------------------------------------------------------------------

    def head_places(self) -> dict[str, torch.Tensor]:
        """The weights of the head by their names in a checkpoint."""
        raise NotImplementedError

    @classmethod
    def head_options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments besides the encoder that a config.json stands for."""
        return {}

    def head_config(self) -> dict[str, Any]:
        """What config.json says of the head."""
        return {}

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> Self:
        """A model of this kind in Hugging Face's form, BERT or DistilBERT, with its tokenizer.

        Args:
            path_or_id: A folder, or the name of a model on the hub.

        Raises:
            FileError: Another kind of model, no such head, or files that are damaged or do not fit.
            DownloadError: The hub cannot be reached, or has no such model.
        """
        config, tensors, folder = read_checkpoint(path_or_id, bert_checkpoint.MODEL_TYPES)
        tensors = bert_checkpoint.without_prefix(tensors)
        tokenizer = bert_checkpoint.tokenizer_in(folder)
        encoder = BERT(**bert_checkpoint.encoder_options(config, tensors, folder), tokenizer=tokenizer)
        model = cls(encoder, **cls.head_options(config))
        head = model.head_places()
        if not any(name in tensors for name in head):
            raise FileError(
                f"{folder} holds no head for a {cls.__name__} (it has none of {sorted(head)}). To train a new one: "
                f"{cls.__name__}(BERT.from_pretrained(folder), ...)."
            )
        copy_tensors(bert_checkpoint.encoder_places(encoder) | head, tensors, folder, bert_checkpoint.TIED)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a folder that `transformers` reads."""
        encoder, head = self.encoder, self.head_places()
        kind = bert_checkpoint.model_type(encoder)
        config = bert_checkpoint.config_of(encoder, self._architectures[kind], **self.head_config())
        places = bert_checkpoint.encoder_places(encoder)
        if not self._uses_pooler:  # such models have none there
            places = {name: place for name, place in places.items() if not name.startswith("pooler.")}
        write_checkpoint(folder, config, {f"{kind}.{name}": place for name, place in places.items()} | head)
        bert_checkpoint.write_tokenizer(encoder, folder)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        return cls(**config | {"encoder": deserialize_keras_object(config["encoder"])})


class _Labelled(BERTHead):
    """What heads with classes share: their number and names."""

    def __init__(
        self, encoder: BERT, num_classes: int | Sequence[str], dropout: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(encoder, dropout, **kwargs)
        if isinstance(num_classes, int) and not isinstance(num_classes, bool) and num_classes > 0:
            num_classes = [f"LABEL_{i}" for i in range(num_classes)]  # the names that `transformers` gives
        if isinstance(num_classes, (int, str)) or not num_classes or len(set(num_classes)) != len(num_classes):
            raise ArgumentError(
                f"{type(self).__name__}: `num_classes` must be a number above 0, or different names; got "
                f"{num_classes!r}."
            )
        self.class_names = [str(name) for name in num_classes]
        self.classifier = bert_dense(encoder, None, len(self.class_names))
        self.build()

    def head_places(self) -> dict[str, torch.Tensor]:
        return bert_checkpoint.dense("classifier", self.classifier)

    @classmethod
    def head_options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        names = config.get("id2label") or {i: f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
        return {"num_classes": [str(names[key]) for key in sorted(names, key=int)]}

    def head_config(self) -> dict[str, Any]:
        names = dict(enumerate(self.class_names))
        return {"id2label": names, "label2id": {name: i for i, name in names.items()}}

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_classes": list(self.class_names)}


@register_keras_serializable(package="lamella")
class BERTClassifier(_Labelled):
    """Classes of texts: a dense layer on one vector of the whole text, made from that of its first token.

    Args:
        encoder: The `BERT`. If it has no pooler, the model makes a layer in its place: tanh with segments, ReLU without
            (as DistilBERT).
        num_classes: The number of classes, or their names.
        dropout: The share of the vector that is dropped while training; the encoder's by default.
        **kwargs: As for every model.

    Called as a `BERT`; returns logits (batch, classes). Labels are (batch,) class numbers, -1 for unknown.

    Raises:
        ArgumentError: No encoder or no classes.

    Source: Devlin et al., 2019.

    Example:
        >>> encoder = BERT(vocabulary_size=100, max_length=16, num_layers=1, num_heads=2, width=8)
        >>> model = BERTClassifier(encoder, ["bad", "good"])
        >>> model.compile("adamw", metrics=["accuracy"])
        >>> history = model.fit(torch.tensor([[2, 17, 3], [2, 18, 3]]), torch.tensor([0, 1]), verbose=0)
        >>> model.predict(torch.tensor([[2, 17, 3]]), verbose=0).shape
        (1, 2)
    """

    _architectures: ClassVar = {
        "bert": "BertForSequenceClassification",
        "distilbert": "DistilBertForSequenceClassification",
    }
    _uses_pooler: ClassVar = True

    def __init__(
        self, encoder: BERT, num_classes: int | Sequence[str], dropout: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(encoder, num_classes, dropout, **kwargs)
        own = encoder.pooler is None
        self.pre_classifier = bert_dense(encoder, "tanh" if encoder.num_segments else "relu") if own else None

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None
    ) -> torch.Tensor:
        hidden = self.encoder(inputs)
        vector = self.encoder.pooled(hidden) if self.pre_classifier is None else self.pre_classifier(hidden[:, 0])
        return self.classifier(self.head_dropout(vector))

    def head_places(self) -> dict[str, torch.Tensor]:
        places = super().head_places()
        if self.pre_classifier is None:
            return places
        name = "bert.pooler.dense" if self.encoder.num_segments else "pre_classifier"
        return places | bert_checkpoint.dense(name, self.pre_classifier)

    @classmethod
    def head_options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        distil = config["model_type"] == "distilbert"
        dropout = config.get("seq_classif_dropout", 0.2) if distil else config.get("classifier_dropout")
        return {**super().head_options(config), "dropout": dropout}

    def head_config(self) -> dict[str, Any]:
        key = "classifier_dropout" if self.encoder.num_segments else "seq_classif_dropout"
        return {**super().head_config(), key: self.dropout}


@register_keras_serializable(package="lamella")
class BERTTokenClassifier(_Labelled):
    """A class for each token, as for finding names in texts.

    Args:
        encoder: The `BERT`.
        num_classes: The number of classes, or their names.
        dropout: The share of the vectors that is dropped while training; the encoder's by default.
        **kwargs: As for every model.

    Called as a `BERT`; returns logits (batch, length, classes). Labels are (batch, length) class numbers, -1 for
    padding, for special tokens and for whatever else has none.

    Raises:
        ArgumentError: No encoder or no classes.

    Source: Devlin et al., 2019.

    Example:
        >>> encoder = BERT(vocabulary_size=100, max_length=16, num_layers=1, num_heads=2, width=8)
        >>> BERTTokenClassifier(encoder, 5)(torch.tensor([[2, 17, 3]])).shape
        torch.Size([1, 3, 5])
    """

    _architectures: ClassVar = {"bert": "BertForTokenClassification", "distilbert": "DistilBertForTokenClassification"}

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None
    ) -> torch.Tensor:
        return self.classifier(self.head_dropout(self.encoder(inputs)))


@register_keras_serializable(package="lamella")
class BERTMaskedLanguageModel(BERTHead):
    """What a hidden token is: how a `BERT` is pretrained, on text without labels. `MaskedLanguageData` hides tokens.

    The last layer's kernel is the encoder's table of tokens.

    Args:
        encoder: The `BERT`.
        dropout: The share of its vectors that is dropped while training; 0 by default, as in BERT.
        **kwargs: As for every model.

    Called as a `BERT`; returns logits (batch, length, vocabulary). With `"positions"` (batch, places) among the inputs,
    only for these: (batch, places, vocabulary), which is most of the time saved. Labels have that shape without the
    vocabulary, -1 where nothing is asked.

    Raises:
        ArgumentError: No encoder.

    Source: Devlin et al., 2019.

    Example:
        >>> encoder = BERT(vocabulary_size=100, max_length=16, num_layers=1, num_heads=2, width=8)
        >>> model = BERTMaskedLanguageModel(encoder)
        >>> tokens = torch.tensor([[2, 17, 4, 18, 3]])
        >>> model(tokens).shape, model({"tokens": tokens, "positions": torch.tensor([[2]])}).shape
        (torch.Size([1, 5, 100]), torch.Size([1, 1, 100]))
    """

    _architectures: ClassVar = {"bert": "BertForMaskedLM", "distilbert": "DistilBertForMaskedLM"}

    def __init__(self, encoder: BERT, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(encoder, dropout, **kwargs)
        self.transform = bert_dense(encoder, encoder.activation)
        self.transform_norm = LayerNormalization(epsilon=encoder.epsilon, dtype=encoder.dtype)
        self.transform_norm.build((None, encoder.width))
        self.bias = self.add_weight((encoder.vocabulary_size,), "zeros", name="bias")
        self.build()

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None
    ) -> torch.Tensor:
        hidden = self.encoder(inputs)
        if isinstance(inputs, Mapping) and "positions" in inputs:
            hidden = torch.take_along_dim(hidden, inputs["positions"].to(torch.int64).unsqueeze(-1), dim=1)
        transformed = self.transform_norm(self.transform(self.head_dropout(hidden)))
        return F.linear(transformed, self.encoder.token_embedding.embeddings, self.bias)

    def head_places(self) -> dict[str, torch.Tensor]:
        if self.encoder.num_segments:
            dense, norm, bias = (
                "cls.predictions.transform.dense",
                "cls.predictions.transform.LayerNorm",
                "cls.predictions",
            )
        else:
            dense, norm, bias = "vocab_transform", "vocab_layer_norm", "vocab_projector"
        return {
            **bert_checkpoint.dense(dense, self.transform),
            **bert_checkpoint.norm(norm, self.transform_norm),
            f"{bias}.bias": self.bias.detach(),
        }

    @classmethod
    def head_options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        if not config.get("tie_word_embeddings", True):
            raise FileError(
                "The file's last layer is not its table of tokens (tie_word_embeddings is false); here it is."
            )
        return {}
