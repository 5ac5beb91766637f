"""`ModelParallel`: weights in parts, each in its own process, and layers that compute with their parts.

A weight is a DTensor over the whole mesh, and so are its gradient, the optimizer's slots and what is saved. While a
model is called, a layer that has weights in parts computes with those of its process: torch's DTensor knows for each
operation which parts of the result follow, and what the processes must tell each other. Between layers there are
plain tensors: the rows of a part of the batch, the same in all processes that compute that part together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard
from torch.distributed.tensor.experimental import local_map
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from lamella.engine.cluster import Distribution
from lamella.engine.mesh import LayoutMap, TensorLayout
from lamella.errors import ArgumentError, nearest


class ModelParallel(Distribution):
    """Weights are spread over processes as a `LayoutMap` says, and each batch over those along the mesh's batch axis.

    The mathematics are those of one process with the whole batch and whole weights. Processes that differ only along
    other axes than the batch's compute the same rows together. Files hold whole weights and load at any number of
    processes; `fit`, `evaluate`, `predict` and `save` must run in all of them.

    Args:
        layout_map: The layouts of the weights. A weight that no key matches is whole in each process.
        batch_dim_name: The axis of the mesh that batches are spread over; its first by default.
        auto_shard_dataset: Whether each part takes its rows of each batch; False: each has data of its own.
        timeout: Seconds until a process that does not answer counts as lost.

    Raises:
        ArgumentError: No layout map, or an axis that the mesh does not have. When training starts: a key that matches
            no weight, a layout that does not fit a weight, or a layer that cannot compute with parts of its weights.
        ClusterError: The processes do not find each other.

    Notes:
        Normalization in batches sees the rows of its own part. States, such as moving averages, stay whole.

    Source: Shoeybi et al., 2019, "Megatron-LM"; Xu et al., 2021, "GSPMD".
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        timeout: float = 300.0,
    ) -> None:
        if not isinstance(layout_map, LayoutMap):
            raise ArgumentError(
                f"ModelParallel needs layout_map=LayoutMap(DeviceMesh(...)), with a layout for each weight that is to "
                f"be in parts; got {layout_map!r}."
            )
        names = layout_map.device_mesh.axis_names
        if batch_dim_name is not None and batch_dim_name not in names:
            raise ArgumentError(f"ModelParallel: the mesh has no axis {batch_dim_name!r}; its axes are {names}.")
        super().__init__(timeout, auto_shard_dataset)
        self.layout_map = layout_map
        self.device_mesh = layout_map.device_mesh
        self.batch_dim_name = batch_dim_name or names[0]
        self.mesh = self.device_mesh.backend_mesh
        if self.mesh.get_coordinate() is None:
            raise ArgumentError(f"ModelParallel: {self.device_mesh} has no place for process {self.rank}.")
        if self.mesh.ndim > 1:
            self.mesh._flatten()  # sums over all axes are one message then
        self._batch_axis = names.index(self.batch_dim_name)
        self.part, self.parts = self.mesh.get_local_rank(self._batch_axis), self.mesh.size(self._batch_axis)
        self.group = self.mesh.get_group(self._batch_axis)
        others = tuple(name for name in names if name != self.batch_dim_name)
        self.within = self.mesh[others] if others else None
        self.share = 1.0 / self.parts

    @property
    def num_model_replicas(self) -> int:
        """Into how many parts a batch is divided."""
        return self.parts

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """The layout of a batch of this shape."""
        return TensorLayout((self.batch_dim_name, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: torch.Tensor) -> TensorLayout:
        """The layout of a weight, by its `path`."""
        found = self.layout_map[getattr(variable, "path", "")]
        return found or TensorLayout([None] * variable.ndim, self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout for a path; None if no key matches it."""
        return self.layout_map[path]

    # -- the weights -----------------------------------------------------------------------------------

    def place(self, model: nn.Module) -> None:
        """Spreads the weights, from those of process 0 on, and lets the layers compute with their parts."""
        if any(isinstance(weight, DTensor) for weight in model.parameters()):
            return
        layouts = self._layouts(model)
        super().place(model)
        placed: dict[int, nn.Parameter] = {}
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    if id(weight) not in placed:
                        placed[id(weight)] = self._spread(weight, layouts[id(weight)])
                    module._parameters[name] = placed[id(weight)]
        for module in model.modules():
            if hasattr(module, "call"):
                module.call = self._in_parts(module)  # type: ignore[assignment]
                module.register_forward_pre_hook(_nothing)  # a layer with a hook is never computed past its `call`

    def _layouts(self, model: nn.Module) -> dict[int, TensorLayout]:
        """The layout of each weight, by its id. Nothing has changed yet where one does not fit."""
        found: dict[int, TensorLayout] = {}
        unused, paths = set(self.layout_map), []
        for path, weight in _weights_by_path(model, f"{getattr(model, 'name', 'model')}/"):
            paths.append(path)
            key = self.layout_map.matching(path, path.partition("/")[2])
            layout = self.layout_map[key] if key is not None else None
            if layout is not None:
                layout.check_fits(weight.shape, f"The weight {path!r}")
                found[id(weight)] = layout
                unused.discard(key)
            found.setdefault(id(weight), TensorLayout([None] * weight.ndim, self.device_mesh))
        if unused:
            key = min(unused)
            raise ArgumentError(
                f"LayoutMap: the key {key!r} matches no weight of {getattr(model, 'name', model)!r}. Keys match whole "
                f"paths. Nearest: {nearest(key, paths) or paths}."
            )
        return found

    def _spread(self, weight: nn.Parameter, layout: TensorLayout) -> nn.Parameter:
        mesh, placements = layout.backend_layout
        own = weight.detach()
        for number, placement in enumerate(placements):
            if isinstance(placement, Shard):
                own = own.chunk(mesh.size(number), placement.dim)[mesh.get_local_rank(number)]
        own = own.clone(memory_format=torch.preserve_format)  # a kernel's order in memory is that of its fastest use
        spread = DTensor.from_local(own, mesh, placements, run_check=False, shape=weight.shape, stride=weight.stride())
        return nn.Parameter(spread, requires_grad=weight.requires_grad)

    # -- the computation -------------------------------------------------------------------------------

    def forward(self, model: nn.Module) -> Callable[[Any], Any]:
        self.not_compiled(model)
        states = [state.as_subclass(torch.Tensor) for state in model.buffers()] if self.parts > 1 else []
        first = dist.get_process_group_ranks(self.group)[0]

        def forward(x: Any) -> Any:
            for state in states:  # moving averages are those of the first part
                dist.broadcast(state, first, group=self.group)
            return model(x)

        return forward

    def gathered(
        self, gradients: Sequence[torch.Tensor | None], parameters: Sequence[torch.Tensor]
    ) -> list[torch.Tensor | None]:
        """The gradients of the whole batch, each in parts as its weight is, and in its order in memory."""
        found: list[Any] = list(gradients)
        sums: dict[torch.dtype, list[int]] = {}
        for number, (gradient, weight) in enumerate(zip(found, parameters, strict=True)):
            if gradient is None:
                continue
            placements = list(weight.placements)  # type: ignore[attr-defined]
            if list(gradient.placements) == self._before_summing(placements):
                sums.setdefault(gradient.dtype, []).append(number)
            elif list(gradient.placements) != placements:
                gradient = gradient.redistribute(placements=placements)
            found[number] = _like(gradient, weight)
        for numbers in sums.values() if self.parts > 1 else ():  # one message for all that have one type
            parts = [found[number].to_local() for number in numbers]
            flat = torch.cat([part.reshape(-1) for part in parts])
            dist.all_reduce(flat, group=self.group)
            for part, total in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
                part.copy_(total.view(part.shape))
        return found

    def _before_summing(self, placements: Sequence[Placement]) -> list[Placement]:
        """Where the gradient of a weight lies while each part of the batch has its own."""
        return [*placements[: self._batch_axis], Partial(), *placements[self._batch_axis + 1 :]]

    def weigh(self, own: int, total: int) -> None:
        self.share = own / total  # gradients of the parts are added up

    def seed_noise(self, shared: torch.Tensor) -> None:
        """Other noise in each part of the batch; the same in the processes that compute a part together."""
        super().seed_noise(shared)
        for name in self.within.mesh_dim_names or () if self.within is not None else ():
            group = self.mesh.get_group(name)
            own = torch.get_rng_state().to(self.mesh.device_type)
            dist.broadcast(own, dist.get_process_group_ranks(group)[0], group=group)
            torch.set_rng_state(own.cpu())

    def _in_parts(self, layer: Any) -> Callable[..., Any]:
        """A layer's `call`, with the weights as they are computed with."""
        call = layer.call
        held = [(module._parameters, name) for module in layer.modules() for name in module._parameters]
        divided = any(
            isinstance(placement, Shard)
            for weight in layer._parameters.values()
            if weight is not None
            for number, placement in enumerate(weight.placements)
            if number != self._batch_axis
        )

        @functools.wraps(call)
        def in_parts(*args: Any, **kwargs: Any) -> Any:
            try:
                with self._at_hand(held):
                    return self._divided(layer, call, args, kwargs) if divided else call(*args, **kwargs)
            except (RuntimeError, AssertionError) as error:
                if divided or "DTensor" in str(error) or "sharding" in str(error):
                    raise _cannot(layer, error) from error
                raise

        return in_parts

    @contextmanager
    def _at_hand(self, held: list[tuple[dict[str, Any], str]]) -> Iterator[None]:
        """Within it weights are this process's parts of them, in plain tensors; a layer knows which are parts."""
        before = []
        for parameters, name in held:
            weight = parameters[name]
            if isinstance(weight, DTensor) and weight.device_mesh == self.mesh:
                before.append((parameters, name, weight))
                parameters[name] = self._part_of(weight)
        try:
            yield
        finally:
            for parameters, name, weight in before:
                parameters[name] = weight

    def _part_of(self, weight: DTensor) -> torch.Tensor:
        placements: list[Placement] = list(weight.placements)
        if isinstance(placements[self._batch_axis], Shard):  # gathered for the computation
            placements[self._batch_axis] = Replicate()
            weight = weight.redistribute(placements=placements)
        own = weight.to_local(grad_placements=self._before_summing(placements))
        rest = [placement for number, placement in enumerate(placements) if number != self._batch_axis]
        if self.within is None or not any(isinstance(placement, Shard) for placement in rest):
            return own
        return DTensor.from_local(own, self.within, rest, run_check=False, shape=weight.shape, stride=weight.stride())

    def _divided(self, layer: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The call of a layer that has weights in parts: all that it computes with is told where it lies."""
        assert self.within is not None
        whole = [Replicate()] * self.within.ndim

        def known(tensor: torch.Tensor) -> torch.Tensor:
            if isinstance(tensor, DTensor):
                return tensor
            return DTensor.from_local(tensor, self.within, whole, run_check=False)

        def plain(tensor: torch.Tensor) -> torch.Tensor:
            if not isinstance(tensor, DTensor):
                return tensor
            found = tensor.redistribute(placements=whole).to_local()
            if hasattr(tensor, "_keras_logits"):
                found._keras_logits = plain(tensor._keras_logits)  # type: ignore[attr-defined]
            return found

        own = {name: weight for name, weight in layer._parameters.items() if weight is not None}
        args, kwargs = pytree.tree_map_only(torch.Tensor, known, (args, kwargs))
        try:
            layer._parameters.update({name: known(weight) for name, weight in own.items()})
            with _Convolutions():
                return pytree.tree_map_only(torch.Tensor, plain, call(*args, **kwargs))
        finally:
            layer._parameters.update(own)


def _cannot(layer: Any, error: Exception) -> ArgumentError:
    return ArgumentError(
        f"Layer {layer.name!r} ({type(layer).__name__}) cannot compute with its weights in parts "
        f"({str(error).splitlines()[0][:200]}). Leave them out of the LayoutMap; FullyShardedDataParallel divides the "
        f"weights of any layer."
    )


def _like(gradient: Any, weight: Any) -> DTensor:
    own, kept = gradient.to_local(), weight.to_local()
    if own.stride() != kept.stride():
        own = torch.empty_like(kept, memory_format=torch.preserve_format).copy_(own)
    return DTensor.from_local(
        own, weight.device_mesh, weight.placements, run_check=False, shape=weight.shape, stride=weight.stride()
    )


def _nothing(*arguments: Any) -> None:
    pass


class _Convolutions(TorchFunctionMode):
    """Convolutions whose kernel is in parts along its channels, which DTensor does not know."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function not in (F.conv1d, F.conv2d, F.conv3d) or not isinstance(args[1], DTensor):
            return function(*args, **kwargs)
        return _convolution(function, *args, **kwargs)


def _convolution(
    function: Any, x: DTensor, kernel: DTensor, bias: DTensor | None = None, *settings: Any, **named: Any
) -> torch.Tensor:
    """A convolution; the kernel is (out, in, *window). Inputs in parts make sums in parts."""
    groups = named.get("groups", settings[3] if len(settings) > 3 else 1)
    cuts = {placement.dim for placement in kernel.placements if isinstance(placement, Shard)}
    if cuts - {0, 1} or (cuts and groups != 1):
        raise NotImplementedError("a kernel in parts must be divided along its channels, and have one group")

    def each(rule: Callable[[int | None], Placement]) -> list[Placement]:
        return [rule(p.dim if isinstance(p, Shard) else None) for p in kernel.placements]

    inputs = each(lambda cut: Shard(1) if cut == 1 else Replicate())
    made = each(lambda cut: {None: Replicate(), 0: Shard(1), 1: Partial()}[cut])
    moved = each(lambda cut: {None: Replicate(), 0: Partial(), 1: Shard(1)}[cut])
    kernels = list(kernel.placements)
    parts = local_map(
        lambda own, taps: function(own, taps, None, *settings, **named),
        out_placements=made,
        in_placements=(inputs, kernels),
        in_grad_placements=(moved, kernels),
        redistribute_inputs=True,
    )(x, kernel)
    return parts if bias is None else parts + bias.reshape(1, -1, *[1] * (x.ndim - 2))


def _weights_by_path(module: nn.Module, above: str) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights with their paths: the names of the layers that they are in, and their own."""
    for own, weight in module._parameters.items():
        if weight is not None:
            yield above + own, weight
    for attribute, child in module.named_children():
        is_list = type(child).forward is nn.Module.forward  # it only holds others, and names no path
        yield from _weights_by_path(child, above if is_list else f"{above}{getattr(child, 'name', attribute)}/")
