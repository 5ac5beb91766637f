"""Finds people, places and dates in generated sentences: a tag for each word.

    python examples/tag_words.py --architecture lstm

Surnames and towns share their words ("Halborg" may be either), and many of those in the test were never seen, so a
word alone does not tell: its neighbours and its spelling do. The figures stand beside those of the simplest rule, the
most frequent tag of each word.
"""

import argparse
import time
from collections import Counter, defaultdict

import numpy as np

import lamella
from lamella.callbacks import Pace
from lamella.sequences import SequenceTagger, find_spans

TEMPLATES = """
P came to T on D .|on D , P left T for T .|T is a town near T .|P and P met in T .|in T it rained on D .
the mayor of T , P , spoke on D .|P lives in T .|P wrote to P on D from T .|since D nobody has seen P .
may P see T ?|P saw T from the train .|P saw P on the train in the month of M .|the people of T like P .
trains from T to T stop on D .|the road to T was closed in M .|P of T won .|T won against T on D .
a letter from P came .|a letter for P is in T .
""".strip().replace("\n", "|")
MONTHS = "January February March April May June July August September October November December".split()
FIRST_NAMES = (
    "Ada Ben Carla Dan Eva Finn Gina Hugo Ida Jan Kim Lea Max Nina Otto Pia Rosa Sam Tess Uwe April June May".split()
)
SYLLABLES = "hal bor dan mer tor vel gra sun kel fin ros lin ash wil ber nor".split()
ENDINGS = "borg ton field wick sen man stad ley".split()
RATES = {"lstm": 5e-3, "gru": 5e-3, "transformer": 2e-3}


def word(rng: np.random.Generator) -> str:
    """A surname or a town: of which of them it is the name, it does not tell."""
    return "".join(rng.choice(SYLLABLES, rng.integers(1, 4))).capitalize() + str(rng.choice(ENDINGS))


def filled(slot: str, rng: np.random.Generator) -> tuple[list[str], str]:
    """The words of a slot of a template, and what they are."""
    if slot == "P":
        names = [str(rng.choice(FIRST_NAMES)), word(rng)]
        return names[rng.integers(0, 2) :] if rng.random() < 0.5 else names, "person"
    if slot == "T":
        return [word(rng)] if rng.random() < 0.8 else ["New", word(rng)], "town"
    month = str(rng.choice(MONTHS))
    if slot == "M":
        return [month], "date"
    day, year = str(rng.integers(1, 32)), str(rng.integers(1900, 2030))
    return [[day, month], [day, month, year], [month, day, ",", year]][rng.integers(0, 3)], "date"


def sentences(count: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Lists of words and lists of tags."""
    rng = np.random.default_rng(seed)
    templates = [template.split() for template in TEMPLATES.split("|")]
    all_words, all_tags = [], []
    for i in rng.integers(0, len(templates), count):
        words: list[str] = []
        tags: list[str] = []
        for part in templates[i]:
            new, kind = filled(part, rng) if part in "PTDM" else ([part], "")
            words += new
            tags += [f"B-{kind}", *[f"I-{kind}"] * (len(new) - 1)] if kind else ["O"]
        all_words.append(words)
        all_tags.append(tags)
    return all_words, all_tags


def most_frequent_tags(training: tuple, words: list[list[str]]) -> list[list[str]]:
    """What each word was most often; for unknown words, what words that occurred once were most often."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for row, tags in zip(*training, strict=True):
        for each, tag in zip(row, tags, strict=True):
            counts[each][tag] += 1
    rare = Counter(tag for found in counts.values() if found.total() == 1 for tag in found)
    best = {each: found.most_common(1)[0][0] for each, found in counts.items()}
    return [[best.get(each, rare.most_common(1)[0][0]) for each in row] for row in words]


def tell(name: str, found: list[list[str]], true: list[list[str]]) -> None:
    """Prints the accuracy and the F1 of whole spans."""
    right = [a == b for x, y in zip(found, true, strict=True) for a, b in zip(x, y, strict=True)]
    spans, marked = ({(i, *span) for i, row in enumerate(rows) for span in find_spans(row)} for rows in (found, true))
    f1 = 2 * len(spans & marked) / (len(spans) + len(marked))
    print(f"{name:<34} accuracy {np.mean(right):.4f}  span F1 {f1:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=("lstm", "gru", "transformer"), default="lstm")
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a .keras file for the model that also reads the spelling")
    options = parser.parse_args()

    training, (words, tags) = sentences(options.sentences, options.seed), sentences(1000, options.seed + 1)
    known = {each for row in training[0] for each in row}
    unknown = np.mean([each not in known for row in words for each in row])
    print(f"{len(words)} sentences to test on; {unknown:.0%} of their words were never seen")
    tell("the most frequent tag of a word", most_frequent_tags(training, words), tags)

    for name, changes in (
        ("words, from left to right", {"bidirectional": False}),
        ("words, both ways", {}),
        ("words and spelling, both ways", {"characters": True}),
    ):
        lamella.utils.set_random_seed(options.seed)
        model = SequenceTagger.from_data(*training, min_count=2, architecture=options.architecture, units=64, **changes)
        model.compile(lamella.optimizers.AdamW(weight_decay=1e-3))
        started = time.perf_counter()
        model.fit(*training, epochs=options.epochs, verbose=0, callbacks=[Pace(RATES[options.architecture])])
        tell(f"{name} ({time.perf_counter() - started:.0f} s)", model.predict(words), tags)
    if options.out:
        model.save(options.out)
        print(f"{options.out}: lamella.models.load_model(...).predict([['Ada', 'saw', 'Wickfield', '.']])")


if __name__ == "__main__":
    main()
