"""Trees from bracket strings, as in the Penn and the Stanford Sentiment Treebank."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lamella.errors import DataError
from lamella.trees.tree import Label, Tree

# Only these are spaces: a no-break space is part of a word (the Sentiment Treebank has some).
_TOKEN = re.compile(r"[()]|[^() \t\r\n]+")


def read_trees(path: str | Path) -> list[Tree]:
    """The trees of a file of bracket strings in UTF-8; a tree may go over several lines, or share one with others.

    Args:
        path: The file.

    Raises:
        DataError: Brackets that do not fit one another, a node with neither children nor a word, no tree at all; the
            message names the line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "trees.txt"
        >>> _ = file.write_text("(3 (2 a) (4 gem))\\n(1 (2 a) (0 bore))\\n")
        >>> read_trees(file)
        [Tree((3 (2 a) (4 gem))), Tree((1 (2 a) (0 bore)))]
    """
    text = Path(path).read_text(encoding="utf-8-sig")
    trees = list(_parsed(text, str(path)))
    if not trees:
        raise DataError(f"{path}: there is no tree in it.")
    return trees


def parse_one(text: str) -> Tree:
    """The one tree of a text."""
    trees = list(_parsed(text, None))
    if len(trees) != 1:
        found = "is empty" if not text.strip() else f"holds {len(trees)} trees" if trees else "has no brackets"
        raise DataError(
            f"The bracket string {found}; one tree is wanted, such as '(3 (2 a) (4 gem))'. Position 0: {text[:40]!r}."
        )
    return trees[0]


def _parsed(text: str, file: str | None) -> Iterator[Tree]:
    """The trees one after the other. `open_nodes` takes the place of recursion."""
    parents: list[int] = []
    words: list[str | None] = []
    labels: list[Label] = []
    open_nodes: list[int] = []
    starts: list[int] = []  # where each node begins in the text
    bare: list[list[int]] = []  # of each open node: the leaves that are bare words, one after the other

    def add(parent: int, word: str | None, label: Label, start: int) -> None:
        parents.append(parent)
        words.append(word)
        labels.append(label)
        starts.append(start)

    just_opened = False
    for match in _TOKEN.finditer(text):
        token, place = match.group(), match.start()
        if token == "(":
            add(open_nodes[-1] if open_nodes else -1, None, None, place)
            open_nodes.append(len(parents) - 1)
            bare.append([])
        elif not open_nodes:
            found = "')' without '(' before it" if token == ")" else f"{token!r:.40} outside brackets"
            raise DataError(f"{_where(text, place, file)}: {found}.")
        elif token != ")":
            if just_opened:  # the first word after a bracket is its label
                labels[open_nodes[-1]] = int(token) if token.isdecimal() else token
            else:
                bare[-1].append(len(parents))
                add(open_nodes[-1], token, None, place)
        else:
            node, leaves = open_nodes.pop(), bare.pop()
            children = len(parents) - 1 - node
            if children == 0:
                label = labels[node]
                found = "empty brackets" if label is None else f"the node {label!r} has neither children nor a word"
                raise DataError(f"{_where(text, starts[node], file)}: {found}. A leaf is written (label word).")
            if children == 1 and leaves:  # (label word): the word is the node's own
                words[node] = words[leaves[0]]
                for column in (parents, words, labels, starts):
                    column.pop()  # type: ignore[attr-defined]
            if not open_nodes:
                yield Tree(parents, words, labels)
                parents, words, labels, starts = [], [], [], []
        just_opened = token == "("
    if open_nodes:
        raise DataError(
            f"{_where(text, starts[open_nodes[-1]], file)}: this '(' is never closed; {len(open_nodes)} ')' are "
            f"missing at the end."
        )


def _where(text: str, place: int, file: str | None) -> str:
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place) - 1
    shown = text[place : place + 30].split("\n")[0]
    if file is None:
        return f"Bracket string, position {place} ({shown!r})"
    return f"{file}, line {line}, position {column} ({shown!r})"
