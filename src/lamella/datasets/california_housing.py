"""California housing: the price of houses in 20,640 districts, from eight numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from lamella.datasets.files import STORE, present, read_npz
from lamella.datasets.parts import Pair, check_share, divided, shuffled
from lamella.errors import ArgumentError
from lamella.utils.files import get_file

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"

FEATURES = (
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
)


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Pair, Pair]:
    """The districts, from `LAMELLA_DATA` (the `.npz`, or a `california-housing.csv`), the cache or the web.

    Args:
        version: `"large"` (all) or `"small"` (600 districts).
        path: The name of the file in the cache.
        test_split: The share of the test part.
        seed: Of the order.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: numbers (n, 8), and the median price in dollars (n,).

    Raises:
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Pace and Barry, 1997.
    """
    if version not in ("large", "small"):
        raise ArgumentError(f"`version` must be 'large' or 'small'; got {version!r}.")
    check_share(test_split)
    table = present("tabular/california-housing.csv", "california-housing.csv")
    if table is not None and present(f"california_housing/{path}", path) is None:
        x, y = _from_csv(table)
    else:
        found = present(f"california_housing/{path}", path) or Path(
            get_file(path, STORE + "california_housing.npz", file_hash=_SHA256)
        )
        arrays = read_npz(found)
        x, y = arrays["x"], arrays["y"]
    if version == "small":
        x, y = x[:600], y[:600]
    return divided(*shuffled(x, y, seed), test_split)


def _from_csv(path: Path) -> Pair:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row[name] for name in FEATURES)]
    print(f"california_housing: using the {len(rows):,} districts in {path} whose numbers are all known, in its order.")
    x = np.array([[float(row[name]) for name in FEATURES] for row in rows], "float32")
    return x, np.array([float(row["median_house_value"]) for row in rows], "float32")
