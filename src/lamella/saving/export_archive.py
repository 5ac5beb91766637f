"""`ExportArchive`: functions of models in a folder of `torch.export`'s files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from lamella.errors import ArgumentError, NotBuiltError
from lamella.saving.atomic import folder_written_aside
from lamella.saving.export_inputs import dynamic_axes, example_of


class ExportArchive:
    """Collects functions of models, with the shapes that they take, and writes each to a file that needs no Lamella.

    Where Keras writes a SavedModel of TensorFlow, this writes a folder with `<endpoint>.pt2` for every function, which
    `torch.export.load` reads, and `<collection>.safetensors` for every collection of variables.

    Args:
        format: `"torch"`.

    Raises:
        ArgumentError: Another format.

    Example:
        >>> import lamella, os, tempfile, torch
        >>> model = lamella.Sequential([lamella.Input((3,)), lamella.layers.Dense(2)])
        >>> archive = lamella.export.ExportArchive()
        >>> archive.track(model)
        >>> signature = [lamella.InputSpec(shape=(None, 3), dtype="float32")]
        >>> _ = archive.add_endpoint("serve", lambda x: model(x).softmax(-1), signature)
        >>> folder = os.path.join(tempfile.mkdtemp(), "exported")
        >>> archive.write_out(folder, verbose=False)
        >>> serve = torch.export.load(f"{folder}/serve.pt2").module()
        >>> serve(torch.ones(5, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, format: str = "torch") -> None:
        if format != "torch":
            raise ArgumentError(
                f"ExportArchive writes files of torch.export (format='torch'); got {format!r}. A SavedModel is a "
                f"program of TensorFlow's own operations."
            )
        self._tracked: list[nn.Module] = []
        self._endpoints: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {}
        self._collections: dict[str, list[torch.Tensor]] = {}

    def track(self, resource: nn.Module) -> None:
        """Makes a built layer or model (or any torch module) known to the endpoints.

        Those that an endpoint is, or that its function closes over, are found without it.
        """
        if not isinstance(resource, nn.Module):
            raise ArgumentError(f"ExportArchive.track() takes a layer or a model; got {type(resource).__name__}.")
        if not getattr(resource, "built", True):
            raise NotBuiltError(f"{resource.name!r} has no weights yet: call it on data, or build() it, first.")
        if not any(resource is each for each in self._tracked):
            self._tracked.append(resource)

    def add_endpoint(
        self, name: str, fn: Callable[..., Any], input_signature: Any = None, **options: Any
    ) -> Callable[..., Any]:
        """Adds a function of tensors.

        Args:
            name: What its file is called.
            fn: The function; a model, or a method of one.
            input_signature: For each argument an `InputSpec`, a symbolic tensor or an example, or a nest of them.
            **options: Passed on to `torch.export.export`.

        Returns:
            The function, for use in other endpoints.

        Raises:
            ArgumentError: The name is taken or no name for a file, or there is no signature.
        """
        if not name.isidentifier():
            raise ArgumentError(f"An endpoint is called as a variable is, of letters, digits and _; got {name!r}.")
        if name in self._endpoints or name in self._collections:
            raise ArgumentError(f"The archive has a {name!r} already; choose another name.")
        if input_signature is None:
            raise ArgumentError(
                f"Endpoint {name!r} needs to know what it takes: input_signature=[lamella.InputSpec(shape=(None, 3), "
                f"dtype='float32')]."
            )
        signature = input_signature if isinstance(input_signature, (list, tuple)) else [input_signature]
        self._endpoints[name] = fn, tuple(signature), options
        return fn

    def track_and_add_endpoint(
        self, name: str, resource: nn.Module, input_signature: Any, **options: Any
    ) -> Callable[..., Any]:
        """`track`, and `add_endpoint` of what calling the layer or model computes."""
        self.track(resource)
        return self.add_endpoint(name, resource, input_signature, **options)

    def add_variable_collection(self, name: str, variables: Iterable[torch.Tensor]) -> None:
        """Adds variables that are to be read again: `safetensors.torch.load_file` gives them as "0", "1", ..."""
        if not isinstance(variables, (list, tuple, set)) or not all(isinstance(v, torch.Tensor) for v in variables):
            raise ArgumentError(f"Collection {name!r} takes a list of variables; got {type(variables).__name__}.")
        if not name.isidentifier() or name in self._endpoints or name in self._collections:
            raise ArgumentError(f"{name!r} is no name of letters, digits and _, or the archive has it already.")
        self._collections[name] = list(variables)

    @property
    def variables(self) -> list[torch.Tensor]:
        """The weights of all that is tracked."""
        found = (weight for module in self._tracked for weight in (*module.parameters(), *module.buffers()))
        return list({id(weight): weight for weight in found}.values())

    @property
    def trainable_variables(self) -> list[torch.Tensor]:
        """Those that training changes."""
        return [weight for weight in self.variables if weight.requires_grad]

    @property
    def non_trainable_variables(self) -> list[torch.Tensor]:
        """Those that it leaves alone."""
        return [weight for weight in self.variables if not weight.requires_grad]

    def write_out(self, filepath: str | Path, options: Any = None, verbose: bool = True) -> None:
        """Writes the folder: aside, and then in the place of one that is there.

        Args:
            filepath: The folder.
            options: Must be None: those of a SavedModel have no meaning here.
            verbose: Whether to print the files.

        Raises:
            ArgumentError: No endpoint, or a folder that holds other files.
        """
        if options is not None:
            raise ArgumentError("ExportArchive.write_out(): `options` are those of a SavedModel; leave them out.")
        if not self._endpoints:
            raise ArgumentError("The archive has no endpoint yet: call add_endpoint() first.")
        path = Path(filepath)
        with folder_written_aside(path, {"*.pt2", "*.safetensors"}) as folder:
            for name in self._endpoints:
                torch.export.save(self._program(name), folder / f"{name}.pt2")
            for name, variables in self._collections.items():
                _save_variables(variables, folder / f"{name}.safetensors")
        if verbose:
            files = [*(f"{name}.pt2" for name in self._endpoints), *(f"{n}.safetensors" for n in self._collections)]
            print(f"Saved {', '.join(files)} in {path}.")

    def _program(self, name: str) -> torch.export.ExportedProgram:
        function, signature, options = self._endpoints[name]
        endpoint = _Endpoint(function, _unique([*self._tracked, *_modules_of(function)]))
        leaves, nesting = pytree.tree_flatten(signature)
        examples = [example_of(leaf, _device_of(endpoint)) for leaf in leaves]
        given = pytree.tree_unflatten([tensor for tensor, _ in examples], nesting)
        axes = pytree.tree_unflatten([dynamic_axes(example) for example in examples], nesting)
        options = {"dynamic_shapes": {"arguments": axes}, "strict": False, **options}
        try:
            return torch.export.export(endpoint, given, **options)
        except Exception as error:
            error.add_note(f"In the endpoint {name!r}. Every layer that it uses must be known: archive.track(layer).")
            raise


class _Endpoint(nn.Module):
    """A function as a module of what it uses."""

    def __init__(self, function: Callable[..., Any], used: list[nn.Module]) -> None:
        super().__init__()
        self.used = nn.ModuleList(used)
        self._function = [function]  # in a list it is no part of its own

    def forward(self, *arguments: Any) -> Any:
        return self._function[0](*arguments)


def _modules_of(value: Any, depth: int = 4) -> list[nn.Module]:
    """The modules that a function is, belongs to or closes over, or that the functions, lists and dicts there do."""
    if isinstance(value, nn.Module):
        return [value]
    if inspect.ismethod(value):
        held: Iterable[Any] = [value.__self__]
    elif inspect.isfunction(value) and not value.__module__.startswith(("lamella.", "torch.")):
        names = inspect.getclosurevars(value)
        held = [*names.nonlocals.values(), *names.globals.values()]
    elif isinstance(value, (list, tuple, dict)):
        held = value.values() if isinstance(value, dict) else value
    else:
        return []
    return [module for each in held for module in _modules_of(each, depth - 1)] if depth else []


def _unique(modules: list[nn.Module]) -> list[nn.Module]:
    return list({id(module): module for module in modules}.values())


def _device_of(module: nn.Module) -> torch.device:
    return next(iter(module.parameters()), torch.empty(0)).device


def _save_variables(variables: list[torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({str(i): variable.detach().cpu().contiguous().clone() for i, variable in enumerate(variables)}, path)
