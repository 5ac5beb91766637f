"""`lamella run SCRIPT`: a Keras script, run by Lamella."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def run(script: str, arguments: list[str]) -> int:
    """Runs a script with `keras`, `tensorflow` and `tf.keras` answered by Lamella; its exit code."""
    path = Path(script)
    if not path.is_file():
        print(f"lamella run: there is no file {script}", file=sys.stderr)
        return 2
    from lamella import keras_alias

    keras_alias.install()
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except (ImportError, AttributeError) as error:
        hint = keras_alias.hint(error)
        if hint and hint not in str(error):
            error.add_note(hint)
        raise
    return 0
