"""Boston housing: the price of houses in 506 parts of a city, from thirteen numbers."""

from __future__ import annotations

from lamella.datasets.files import STORE, find, read_npz
from lamella.datasets.parts import Pair, check_share, divided, shuffled

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Pair, Pair]:
    """The parts of the city, as in many older tutorials.

    One of the numbers encodes the share of Black residents, on the assumption that it moves prices: for work of your
    own take `california_housing`.

    Args:
        path: The name of the file in the cache.
        test_split: The share of the test part.
        seed: Of the order.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: numbers (n, 13), and the median price in thousands of dollars (n,).

    Raises:
        ArgumentError: A share that is not in [0, 1).
        DownloadError: It is neither here nor to be had; the message says where to put it.

    Source: Harrison and Rubinfeld, 1978.
    """
    check_share(test_split)
    arrays = read_npz(find("boston_housing", path, STORE + "boston_housing.npz", _SHA256))
    return divided(*shuffled(arrays["x"], arrays["y"], seed), test_split)
