"""Every public name of Keras 3 is here with the same arguments, or is in the documented list of exclusions."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import lamella

keras = pytest.importorskip("keras")

ROOMS = """
    layers losses metrics optimizers optimizers.schedules callbacks initializers regularizers constraints activations
    utils ops random models saving tree config dtype_policies backend quantizers
""".split()
TABLE = Path(__file__).parent.parent / "docs" / "differences.md"


def excluded():
    """The names (and arguments, as `name(argument)`) in the documented table, by room."""
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w()]+)` \| (.+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return {(room, name): reason for room, name, reason in rows}


def room_of(library, room):
    for part in room.split("."):
        library = getattr(library, part, None) or importlib.import_module(f"{library.__name__}.{part}")
    return library


def names_in(module):
    return [n for n in dir(module) if not n.startswith("_") and not inspect.ismodule(getattr(module, n))]


EVERY = [(room, name) for room in ROOMS for name in names_in(room_of(keras, room))]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_is_here_or_excluded(room):
    ours = room_of(lamella, room)
    missing = [name for r, name in EVERY if r == room and not hasattr(ours, name) and (room, name) not in excluded()]
    assert not missing


@pytest.mark.parametrize("room", ROOMS)
def test_every_argument_is_here_or_excluded(room):
    ours, theirs = room_of(lamella, room), room_of(keras, room)
    missing = {}
    for _, name in (pair for pair in EVERY if pair[0] == room and hasattr(ours, pair[1])):
        try:
            wanted = list(inspect.signature(getattr(theirs, name)).parameters)
            found = inspect.signature(getattr(ours, name)).parameters
        except (TypeError, ValueError):  # a number, a type without a signature
            continue
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in found.values()):
            continue
        lacks = [a for a in wanted if a not in found and a not in ("args", "kwargs")]
        lacks = [argument for argument in lacks if (room, f"{name}({argument})") not in excluded()]
        if lacks:
            missing[name] = lacks
    assert not missing


def test_at_least_97_percent_of_the_names():
    here = [(room, name) for room, name in EVERY if hasattr(room_of(lamella, room), name)]
    assert len(here) >= 0.97 * len(EVERY)


def test_no_exclusion_is_out_of_date():
    for room, name in excluded():
        name, _, argument = name.rstrip(")").partition("(")
        if room == "keras":
            assert hasattr(keras, name)
            assert not hasattr(lamella, name)
            continue
        assert hasattr(room_of(keras, room), name), (room, name)
        if not argument:
            assert not hasattr(room_of(lamella, room), name), (room, name)
        else:
            assert argument not in inspect.signature(getattr(room_of(lamella, room), name)).parameters


def test_the_top_level():
    names = [n for n in dir(keras) if not n.startswith("_")]
    missing = [n for n in names if not hasattr(lamella, n) and ("keras", n) not in excluded()]
    assert not missing
