"""What the tests of metrics share."""

import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def keras_may_warn():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="keras")
        yield
