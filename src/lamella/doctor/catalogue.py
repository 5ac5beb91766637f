"""The doctor's texts, by language and kind of finding."""

from __future__ import annotations

import locale
import os

from lamella.doctor.chinese import CHINESE
from lamella.doctor.english import ENGLISH
from lamella.errors import ArgumentError

Texts = dict[str, dict[str, str]]
CATALOGUE: dict[str, Texts] = {"en": ENGLISH, "zh": CHINESE}


def chosen(language: str | None = None) -> str:
    """`language`, or that of `LAMELLA_LANG`, or the system's: Chinese where it is Chinese, else English.

    Raises:
        ArgumentError: A language that there are no texts in.

    Example:
        >>> chosen("zh")
        'zh'
    """
    asked = language or os.environ.get("LAMELLA_LANG")
    if asked:
        if asked not in CATALOGUE:
            raise ArgumentError(
                f"The doctor speaks {' and '.join(CATALOGUE)}; LAMELLA_LANG or `language` is {asked!r}."
            )
        return asked
    system = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), None)
    return "zh" if (system or locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


def texts(language: str | None = None) -> Texts:
    """The texts in a language: for each kind its `name`, `seen`, `meaning` and `advice`."""
    return CATALOGUE[chosen(language)]
