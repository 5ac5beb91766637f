import sys
from pathlib import Path

import pytest

from lamella.engine import masking

sys.path.insert(0, str(Path(__file__).parent))  # for loss_cases


@pytest.fixture(autouse=True)
def no_mask_before(monkeypatch):
    """Each test starts in a process that has seen no mask."""
    monkeypatch.setattr(masking, "in_use", False)
