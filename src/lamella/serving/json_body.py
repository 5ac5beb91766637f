"""JSON bodies: checked and read in one pass by pydantic, by types that are made from the model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model

from lamella.serving.errors import RequestError
from lamella.serving.signature import ModelInput, Shape

_MEND = {
    "list_type": "Send nested lists, the samples outermost: one sample is a list of one.",
    "too_short": "Send samples of the shape that GET /schema says.",
    "too_long": "Send samples of the shape that GET /schema says.",
    "finite_number": "Replace NaN and infinite values before sending.",
    "missing": "The body is a JSON object such as GET /schema shows.",
    "extra_forbidden": "Leave it out, or look at its spelling: GET /schema lists what is taken.",
    "model_type": 'The body is a JSON object: {"inputs": ...}.',
}
_SHAPE_ERRORS = ("list_type", "too_short", "too_long")


class JsonBody:
    """Reads the JSON bodies of requests: `{"inputs": [sample, ...]}`, or `{"inputs": {name: [sample, ...], ...}}`.

    Args:
        inputs: The model's inputs; with one alone, its samples stand without its name.
        max_samples: The most samples of a request.
        max_length: The most items along an axis of unknown size, and the most characters (in thousands) of a text.
    """

    def __init__(self, inputs: Sequence[ModelInput], max_samples: int, max_length: int) -> None:
        self.inputs = inputs
        self.max_samples = max_samples
        self.max_length = max_length
        forbid = ConfigDict(extra="forbid")
        fields: dict[str, Any] = {each.name: (self._samples_type(each), ...) for each in inputs}
        if len(inputs) == 1:
            given = fields[inputs[0].name][0]
        else:
            given = _named_model("Inputs", fields)
        self.model: type[BaseModel] = create_model("PredictRequest", __config__=forbid, inputs=(given, ...))
        self._validator = self.model.__pydantic_validator__
        self._alone = [JsonBody([each], max_samples, max_length) for each in inputs] if len(inputs) > 1 else [self]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a body."""
        schema = self.model.model_json_schema(by_alias=True)
        if definitions := schema.pop("$defs", None):
            schema["properties"]["inputs"] = definitions["Inputs"]
        return schema

    def read(self, body: bytes) -> list[list[Any]]:
        """The samples of each input, nested lists or base64 pictures or texts.

        Raises:
            RequestError: 400 for what is no JSON, 422 for what does not fit the model.
        """
        try:
            given = self._validator.validate_json(body).inputs  # type: ignore[attr-defined]
        except ValidationError as error:
            raise self._told(error) from None
        except (UnicodeDecodeError, RecursionError, ValueError) as error:
            raise RequestError(400, "bad_json", f"The body is no JSON: {error}.", "body") from None
        if len(self.inputs) == 1:
            return [given]
        return [getattr(given, f"input_{number}") for number in range(len(self.inputs))]

    def read_input(self, text: str, number: int) -> list[Any]:
        """The samples of one input, of JSON text that holds nothing else."""
        wrapped = f'{{"inputs": {text}}}'.encode("utf-8", "surrogatepass")
        return self._alone[number].read(wrapped)[0]

    # -- the types --------------------------------------------------------------------------------------------

    def _samples_type(self, each: ModelInput) -> Any:
        if each.kind == "text":
            return self._list_of(Annotated[str, Strict(), Field(max_length=1000 * self.max_length)])
        sample: Any = _number_type(each)
        for size in reversed(each.shape):
            sample = _list_type(sample, size, size) if size is not None else _list_type(sample, 1, self.max_length)
        if not each.picture:
            return self._list_of(sample)
        pictures = self._list_of(Annotated[str, Strict(), Field(description="a picture file, base64")])
        return Annotated[self._list_of(sample) | pictures, Field(union_mode="left_to_right")]

    def _list_of(self, sample: Any) -> Any:
        return _list_type(sample, 1, self.max_samples)

    # -- errors -----------------------------------------------------------------------------------------------

    def _told(self, error: ValidationError) -> RequestError:
        problems = error.errors(include_url=False)
        # of the two ways to give a picture, that which went further is the one that was meant
        problem = max(problems, key=lambda each: (len(each["loc"]), _last_number(each["loc"])))
        kind = problem["type"]
        if kind == "json_invalid":
            return RequestError(
                400, "bad_json", f"The body is no JSON: {problem['msg'].removeprefix('Invalid JSON: ')}.", "body"
            )
        names, places = _place(problem["loc"])
        each = self._input_at(problem["loc"])
        found = "nothing" if kind == "missing" else in_words(problem["input"])
        if each is None or kind in ("missing", "extra_forbidden"):
            expected = {"missing": "a value", "extra_forbidden": "no such field"}.get(kind, "a JSON object")
        else:
            expected = self._expected(each, len(places), kind, problem)
        where = names + "".join(f"[{place}]" for place in places)
        mend = _MEND.get(kind, "Send the type that GET /schema says.")
        return RequestError(422, self._kind(kind), f"{where}: expected {expected}; found {found}. {mend}", where)

    def _kind(self, kind: str) -> str:
        if kind in _SHAPE_ERRORS:
            return "wrong_shape"
        known = {
            "finite_number": "not_finite",
            "missing": "missing_field",
            "extra_forbidden": "unknown_field",
            "greater_than_equal": "out_of_range",
            "less_than_equal": "out_of_range",
        }
        return known.get(kind, "wrong_type")

    def _input_at(self, loc: tuple[Any, ...]) -> ModelInput | None:
        if not loc or loc[0] != "inputs":
            return None
        if len(self.inputs) == 1:
            return self.inputs[0]
        return next((each for each in self.inputs if len(loc) > 1 and each.name == loc[1]), None)

    def _expected(self, each: ModelInput, depth: int, kind: str, problem: Any) -> str:
        sizes: Shape = (None, *each.shape)
        if depth == 0 and kind == "too_long":
            return f"at most {self.max_samples} samples in a request"
        if depth == 0 and kind == "too_short":
            return "at least one sample"
        if each.kind == "text":
            return "a list of texts" if depth == 0 else f"a text of at most {1000 * self.max_length} characters"
        if kind == "string_type":
            return "a picture in base64, as the other samples are"
        if kind in ("greater_than_equal", "less_than_equal"):
            least, most = _range(each)
            return f"a whole number from {least} to {most}"
        if depth >= len(sizes):
            return f"{_NUMBER[_family(each.dtype)]} ({each.dtype})"
        shape = ["samples" if axis == 0 else "any" if size is None else str(size) for axis, size in enumerate(sizes)]
        if kind == "too_long" and sizes[depth] is None:
            return f"a list of at most {self.max_length}, as the shape is ({', '.join(shape)})"
        return f"a list of {shape[depth]}, as the shape is ({', '.join(shape)})"


_NUMBER = {"float": "a finite number", "int": "a whole number", "bool": "true or false"}


def _family(dtype: str) -> str:
    return "float" if "float" in dtype else "bool" if dtype == "bool" else "int"


def _range(each: ModelInput) -> tuple[int, int]:
    limits = np.iinfo(each.dtype)
    return (0, each.rows - 1) if each.rows is not None else (int(limits.min), int(limits.max))


def _number_type(each: ModelInput) -> Any:
    family = _family(each.dtype)
    if family == "bool":
        return Annotated[bool, Strict()]
    if family == "int":
        least, most = _range(each)
        return Annotated[int, Strict(), Field(ge=least, le=most)]
    if each.rows is not None:  # tokens as Keras often has them, in float32
        return Annotated[float, Strict(), Field(ge=0, le=each.rows - 1, allow_inf_nan=False)]
    return Annotated[float, Strict(), Field(allow_inf_nan=False)]


def _list_type(item: Any, least: int, most: int) -> Any:
    return Annotated[list[item], Field(strict=True, fail_fast=True, min_length=least, max_length=most)]


def _named_model(name: str, fields: dict[str, Any]) -> Any:
    """A type of object with any names, also such as are no names in Python."""
    given = {
        f"input_{number}": (kind, Field(default, alias=alias))
        for number, (alias, (kind, default)) in enumerate(fields.items())
    }
    return create_model(name, __config__=ConfigDict(extra="forbid"), **given)  # type: ignore[call-overload]


def _last_number(loc: tuple[Any, ...]) -> int:
    return loc[-1] if loc and isinstance(loc[-1], int) else -1


def _place(loc: tuple[Any, ...]) -> tuple[str, list[int]]:
    """`inputs.name` and the indices of a place; what pydantic puts between them for a union is left out."""
    names = [str(each) for each in loc if isinstance(each, str) and "list[" not in each]
    return ".".join(names) or "body", [each for each in loc if isinstance(each, int)]


def in_words(value: Any) -> str:
    """A JSON value for a message, short.

    Example:
        >>> in_words([1, 2]), in_words("a" * 100), in_words(None)
        ('a list of 2', "the text 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'...", 'null')
    """
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" + ("..." if len(value) > 40 else "")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value) if not isinstance(value, int) or abs(value) < 10**30 else "a very large whole number"
    return f"the number {text}" if len(text) < 40 else text
