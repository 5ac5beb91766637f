"""`Config`: settings by name, which can be frozen."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from lamella.errors import ArgumentError, nearest


class Config:
    """A dictionary whose entries are also attributes.

    Args:
        **kwargs: The entries.

    Raises:
        AttributeError: Reading an attribute that is no entry; the message names the nearest.
        ArgumentError: Changing it while it is frozen.

    Example:
        >>> config = Config(units=32)
        >>> config.rate = 0.1
        >>> config["units"], config.as_dict()
        (32, {'units': 32, 'rate': 0.1})
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_config", dict(kwargs))
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether it can be changed no more."""
        return self._frozen

    def freeze(self) -> None:
        """Refuses changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allows changes again."""
        object.__setattr__(self, "_frozen", False)

    def _changeable(self) -> dict[str, Any]:
        if self._frozen:
            raise ArgumentError("This Config is frozen: unfreeze() it to change it.")
        return self._config

    def as_dict(self) -> dict[str, Any]:
        """The entries, as a dictionary of their own."""
        return dict(self._config)

    def to_json(self) -> str:
        """The entries as JSON."""
        return json.dumps(self._config)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._config.keys()

    def values(self) -> ValuesView[Any]:
        """The values."""
        return self._config.values()

    def items(self) -> ItemsView[str, Any]:
        """Names and values."""
        return self._config.items()

    def pop(self, *args: Any) -> Any:
        """Takes an entry out."""
        return self._changeable().pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes over entries."""
        self._changeable().update(*args, **kwargs)

    def get(self, keyname: str, value: Any = None) -> Any:
        """An entry; `value` where there is none."""
        return self._config.get(keyname, value)

    def __getattr__(self, name: str) -> Any:
        config = object.__getattribute__(self, "__dict__").get("_config", {})
        if name in config:
            return config[name]
        close = nearest(name, config)
        raise AttributeError(
            f"This Config has no entry {name!r}." + (f" Nearest: {', '.join(close)}." if close else "")
        )

    def __setattr__(self, name: str, value: Any) -> None:
        self._changeable()[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __setitem__(self, key: str, item: Any) -> None:
        self._changeable()[key] = item

    def __delitem__(self, key: str) -> None:
        del self._changeable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __contains__(self, item: str) -> bool:
        return item in self._config

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
