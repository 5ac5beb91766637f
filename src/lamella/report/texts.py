"""What the report says, by language."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape

from lamella.doctor.catalogue import chosen
from lamella.report.chinese import CHINESE
from lamella.report.english import ENGLISH

TEXTS: dict[str, dict[str, str]] = {"en": ENGLISH, "zh": CHINESE}


class Words:
    """The texts of one language.

    Args:
        language: `"en"` or `"zh"`; by default `LAMELLA_LANG`, else the system's.

    Raises:
        ArgumentError: A language that there are no texts in.

    Example:
        >>> say = Words("en")
        >>> say("epoch_of", epoch=3, epochs=10)
        Markup('3 of 10')
    """

    def __init__(self, language: str | None = None) -> None:
        self.language = chosen(language)
        self._texts = TEXTS[self.language]
        self.gap = Markup(self._texts["gap"])
        """What stands between two sentences."""

    def __call__(self, key: str, **values: Any) -> Markup:
        """A text with its values, which are escaped; what stands between backticks is code."""
        template = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(self._texts[key])))
        return Markup(template).format(**values)

    def plain(self, key: str, **values: Any) -> str:
        """A text without markup, for an attribute or for inside a picture."""
        return self._texts[key].replace("`", "").format(**values)

    def metric(self, name: str) -> str:
        """What people call a metric: its own name where there is no other.

        Example:
            >>> Words("en").metric("val_loss"), Words("en").metric("my_score")
            ('validation loss', 'my_score')
        """
        own = name.removeprefix("val_")
        known = self._texts.get(f"metric.{own}", own)
        return self.plain("of_validation", metric=known) if name.startswith("val_") else known

    def name(self, name: str) -> str:
        """What people call a setting or a part of the environment: its own name where there is no other.

        Example:
            >>> Words("en").name("batch_size"), Words("en").name("momentum")
            ('batch size', 'momentum')
        """
        return self._texts.get(f"name.{name}", name)

    def seconds(self, value: float) -> str:
        """A duration.

        Example:
            >>> Words("en").seconds(4.25), Words("en").seconds(3700)
            ('4.2 s', '1 h 1 min')
        """
        if value < 60:
            return self.plain("seconds", n=f"{value:.2g}" if value < 10 else f"{value:.0f}")
        minutes, rest = divmod(round(value), 60)
        if minutes < 60:
            return self.plain("minutes", m=minutes, n=rest)
        return self.plain("hours", h=minutes // 60, m=minutes % 60)
