"""`Tree`: words and labels at the nodes of one tree, kept in flat lists, so that depth costs no recursion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamella.errors import DataError

Label = int | str | None


class Tree:
    """One tree. Its nodes are numbered as they are written: the root is 0, a node comes before its children, and
    a subtree is in one piece (pre-order).

    Most trees come from `Tree.from_string`, `Tree.from_nested`, `Tree.from_networkx` or `read_trees`.

    Args:
        parents: The number of each node's parent; -1 for the root.
        words: The word at each node, or None. Every leaf has one; an inner node may.
        labels: A label (a whole number or a string) at each node, or None.

    Raises:
        DataError: No nodes, nodes in another order, or a node with neither children nor a word (named by its number).

    Example:
        >>> tree = Tree.from_string("(4 (2 It) (4 (2 's) (4 lovely)))")
        >>> len(tree), tree.depth, tree.leaves, tree.labels
        (5, 2, ['It', "'s", 'lovely'], [4, 2, 4, 2, 4])
        >>> tree.parents.tolist(), tree.children(2)
        ([-1, 0, 0, 2, 2], [3, 4])
    """

    def __init__(
        self, parents: Sequence[int], words: Sequence[str | None], labels: Sequence[Label] | None = None
    ) -> None:
        self.words = list(words)
        self.labels: list[Label] = [None] * len(self.words) if labels is None else list(labels)
        if not len(parents) == len(self.words) == len(self.labels):
            raise DataError(
                f"Tree: there are {len(parents)} parents, {len(self.words)} words and {len(self.labels)} labels; every "
                f"node has one of each (None for no word or label)."
            )
        self.parents = np.asarray(parents, "int64").reshape(-1)
        self.depths = _depths(self.parents)
        """The number of edges between the root and each node, (nodes,), int64."""
        bare = np.bincount(self.parents[1:], minlength=len(self.words)) == 0
        for node in np.flatnonzero(bare):
            if self.words[node] is None:
                raise DataError(f"Tree: node {node} has neither children nor a word. Give it a word, or leave it out.")

    @classmethod
    def from_string(cls, text: str) -> Tree:
        """The tree that a bracket string describes: `(label word)` for a leaf, `(label child child ...)` otherwise.

        Labels of digits become numbers. In Penn style a bare word among children is a leaf without a label, and
        brackets without a label, as around `( (S ...) )`, are nodes without one.

        Raises:
            DataError: Text that is empty, unbalanced or more than one tree; a node with neither children nor a word.
                The message names the position (from 0) in the text.

        Example:
            >>> Tree.from_string("(S (NP the cat) (VP sat))").leaves
            ['the', 'cat', 'sat']
        """
        from lamella.trees.brackets import parse_one  # brackets make trees, so they import this file

        return parse_one(text)

    @classmethod
    def from_nested(cls, nested: Any) -> Tree:
        """The tree of nested tuples, lists and strings.

        A string is a leaf. A list is a node without a label: its children. A tuple has a label first:
        `(label, child, ...)`; if one string is all that follows, that is the node's own word.

        Raises:
            DataError: Something else, or a node without children; the message names the node by its number.

        Example:
            >>> print(Tree.from_nested(("S", ("NP", "the", "cat"), [("V", "sat")])))
            (S (NP the cat) ( (V sat)))
        """
        parents: list[int] = []
        words: list[str | None] = []
        labels: list[Label] = []
        stack: list[tuple[Any, int]] = [(nested, -1)]
        while stack:
            node, parent = stack.pop()
            label, children, word = _opened(node)
            if word is None and not children:
                raise DataError(
                    f"Tree.from_nested: node {len(parents)}, {node!r:.60}, is neither a string nor a list or tuple "
                    f"with children. A leaf is 'word' or (label, 'word')."
                )
            stack.extend((child, len(parents)) for child in reversed(children))
            parents.append(parent)
            words.append(word)
            labels.append(label)
        return cls(parents, words, labels)

    @classmethod
    def from_networkx(cls, graph: Any, word: str = "word", label: str = "label") -> Tree:
        """The tree of a networkx digraph whose edges lead from parents to children.

        Siblings are in the order of their edges. A node's word and label are its attributes; a leaf without a word
        has the node's name for one.

        Args:
            graph: A `networkx.DiGraph`.
            word: The name of the attribute for words.
            label: That for labels.

        Raises:
            DataError: A graph without nodes or direction, with a cycle, with several roots, or with a node that has
                several parents; the message names the nodes.
        """
        root = _root(graph)
        parents: list[int] = []
        words: list[str | None] = []
        labels: list[Label] = []
        stack: list[tuple[Any, int]] = [(root, -1)]
        while stack:
            node, parent = stack.pop()
            children = list(graph.successors(node))
            stack.extend((child, len(parents)) for child in reversed(children))
            parents.append(parent)
            found = graph.nodes[node]
            words.append(found.get(word, None if children else str(node)))
            labels.append(found.get(label))
        if len(parents) < len(graph):
            raise DataError(f"Tree.from_networkx: {_cycle(graph)}. Take away one of these edges.")
        return cls(parents, words, labels)

    def to_networkx(self) -> Any:
        """A `networkx.DiGraph` with edges from parents to children, and attributes `word` and `label`.

        Raises:
            ImportError: networkx is not installed.
        """
        try:
            import networkx
        except ImportError:
            raise ImportError("Tree.to_networkx needs networkx: pip install networkx") from None
        graph = networkx.DiGraph()
        for node, (word, label) in enumerate(zip(self.words, self.labels, strict=True)):
            graph.add_node(node, word=word, label=label)
        graph.add_edges_from((parent, node) for node, parent in enumerate(self.parents.tolist()) if parent >= 0)
        return graph

    def mapped(self, words: Callable[[str], str] | None = None, labels: Callable[[Any], Label] | None = None) -> Tree:
        """The same tree with other words or labels.

        Args:
            words: From a word to another.
            labels: From a label to another, or to None; a dict's `get` will do.

        Example:
            >>> print(Tree.from_string("(4 (2 A) (4 Gem))").mapped(words=str.lower, labels={4: 1}.get))
            (1 a (1 gem))
        """
        new = [word if word is None or words is None else words(word) for word in self.words]
        marks = self.labels if labels is None else [labels(label) for label in self.labels]
        return Tree(self.parents.tolist(), new, marks)

    @property
    def depth(self) -> int:
        """The number of edges between the root and the node that is farthest from it."""
        return int(self.depths.max())

    @property
    def leaves(self) -> list[str]:
        """The words of the leaves, from left to right."""
        inner = set(self.parents.tolist())
        return [str(word) for node, word in enumerate(self.words) if node not in inner]

    def children(self, node: int) -> list[int]:
        """The numbers of a node's children, from left to right."""
        found: list[int] = np.flatnonzero(self.parents == node).tolist()
        return found

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        same = self.words == other.words and self.labels == other.labels
        return same and self.parents.tolist() == other.parents.tolist()

    def __hash__(self) -> int:
        return hash((tuple(self.words), tuple(self.labels), self.parents.tobytes()))

    def __str__(self) -> str:
        parts: list[str] = []
        last = -1
        inner = set(self.parents.tolist())
        for node, (depth, label, word) in enumerate(zip(self.depths.tolist(), self.labels, self.words, strict=True)):
            parts.append(")" * (last - depth + 1))
            parts.append(" " if node else "")
            bare = node not in inner and label is None and node > 0  # a leaf that is nothing but a word
            shown = [str(each) for each in (label, word) if each is not None]
            parts.append(" ".join(shown) if bare else "(" + " ".join(shown))
            last = depth - bare
        return "".join(parts) + ")" * (last + 1)

    def __repr__(self) -> str:
        text = str(self)
        return f"Tree({text if len(text) <= 80 else text[:77] + '...'!s})"


def _depths(parents: np.ndarray) -> np.ndarray:
    depths: list[int] = []
    path: list[int] = []  # the nodes from the root to the last one
    for node, parent in enumerate(parents.tolist()):
        depth = depths[parent] + 1 if 0 <= parent < node else 0
        if (depth == 0) != (node == 0) or (node == 0 and parent != -1) or (depth and path[depth - 1] != parent):
            raise DataError(
                f"Tree: node {node} has the parent {parent}. Nodes are in pre-order: the root first, with the parent "
                f"-1; then each node after its parent, and all below a node before its next sibling."
            )
        del path[depth:]
        path.append(node)
        depths.append(depth)
    if not depths:
        raise DataError("Tree: there are no nodes.")
    return np.asarray(depths, "int64")


def _opened(node: Any) -> tuple[Label, list[Any], str | None]:
    """The label, the children and the word of a nested node."""
    if isinstance(node, str):
        return None, [], node
    if isinstance(node, tuple) and len(node) == 2 and isinstance(node[1], str):
        return node[0], [], node[1]
    if isinstance(node, tuple):
        return (node[0] if node else None), list(node[1:]), None
    return None, node if isinstance(node, list) else [], None


def _root(graph: Any) -> Any:
    if not getattr(graph, "is_directed", lambda: False)() or len(graph) == 0:
        raise DataError(
            "Tree.from_networkx: give a networkx.DiGraph with nodes, and with edges from parents to children."
        )
    several = [node for node, degree in graph.in_degree() if degree > 1]
    if several:
        mothers = list(graph.predecessors(several[0]))
        raise DataError(
            f"Tree.from_networkx: node {several[0]!r} has {len(mothers)} parents, {mothers!r:.80}; it needs one."
        )
    roots = [node for node, degree in graph.in_degree() if degree == 0]
    if not roots:
        raise DataError(f"Tree.from_networkx: there is no root: {_cycle(graph)}. Take away one of these edges.")
    if len(roots) > 1:
        raise DataError(f"Tree.from_networkx: there are {len(roots)} roots, {roots!r:.80}; a tree has one.")
    return roots[0]


def _cycle(graph: Any) -> str:
    """A cycle of a graph whose nodes have one parent at most, in words."""
    mother = {child: parent for parent, child in graph.edges}
    done: set[Any] = set()
    for start in graph:
        way: dict[Any, None] = {}  # ordered
        node = start
        while node in mother and node not in done and node not in way:
            way[node] = None
            node = mother[node]
        if node in way:
            nodes = list(way)
            round_trip = nodes[nodes.index(node) :][::-1]
            round_trip = [round_trip[-1], *round_trip]
            shown = " -> ".join(map(repr, round_trip[:8])) + (" -> ..." if len(round_trip) > 8 else "")
            return f"there is a cycle, {shown}"
        done.update(way)
    raise AssertionError("a graph without a cycle")
