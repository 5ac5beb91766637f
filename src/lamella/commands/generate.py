"""`lamella train --task generate`: a language model from a text file; `lamella generate`: more text like it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import lamella
from lamella.callbacks import Pace
from lamella.commands.run_folder import leave_behind, new_folder, observers, print_history
from lamella.errors import DataError
from lamella.language import GPT, Perplexity, TokenBlocks, Tokenizer, read_texts
from lamella.optimizers import AdamW

MODELS = ("gpt-mini", "gpt-small")
SIZES = {"gpt-mini": (4, 4, 128), "gpt-small": (6, 6, 384)}  # layers, heads, width
DATA = "a text file"


@dataclass
class Options:
    """What `lamella train --task generate` was asked for."""

    data: str
    model: str = "gpt-mini"
    epochs: int = 10
    minutes: float | None = None
    batch_size: int = 32
    learning_rate: float = 1e-3
    validation_split: float = 0.1
    vocabulary: int | None = None
    context: int = 128
    seed: int = 0
    out: str | None = None
    verbose: int = 1
    doctor: bool = True


def train(options: Options) -> dict[str, float]:
    """Trains on the text but its end, tests on its end, and writes the model and its history; the scores."""
    lamella.utils.set_random_seed(options.seed)
    text = "\n".join(read_texts(options.data, fallback="cp1252"))
    split = int(len(text) * (1 - options.validation_split))
    if options.vocabulary is None:
        tokenizer = Tokenizer.train(text, kind="character")
    else:
        tokenizer = Tokenizer.train(text[:split], kind="byte_bpe", vocabulary_size=options.vocabulary)
    tokens, test = tokenizer.encode(text[:split]), tokenizer.encode(text[split:])
    layers, heads, width = SIZES[options.model]
    model = GPT(tokenizer=tokenizer, context_length=options.context, num_layers=layers, num_heads=heads, width=width)
    optimizer = AdamW(options.learning_rate, weight_decay=0.1, beta_2=0.99, global_clipnorm=1.0)
    model.compile(optimizer, metrics=[Perplexity(from_logits=True)])
    folder = new_folder(f"generate-{options.model}", options.out)
    print(f"{model.count_params():,} weights; {len(tokens):,} tokens to train on")
    start = time.perf_counter()
    history = model.fit(
        TokenBlocks(tokens, options.context, options.batch_size),
        epochs=options.epochs if options.minutes is None else 1_000_000,
        callbacks=[Pace(options.learning_rate, options.minutes), *observers(folder, options.doctor)],
        verbose=options.verbose,
    ).history
    seconds = time.perf_counter() - start
    scores = model.evaluate(TokenBlocks(test, options.context, 64, shuffle=False), verbose=0, return_dict=True)
    print_history(history, scores)
    prompt = text[split : split + min(20, options.context // 2)]
    print(f"\n{model.generate(prompt, 300, temperature=0.8, top_k=40, seed=options.seed)}\n")
    try_it = f'generate {folder / "model.keras"} "How it begins"'
    leave_behind(folder, model, asdict(options), history, scores, seconds, try_it)
    return scores


@dataclass
class Use:
    """What `lamella generate` was asked for."""

    model: str
    prompt: str
    tokens: int = 200
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = 0.95
    beams: int = 1
    seed: int | None = None


def generate(options: Use) -> str:
    """Prints what the model writes after the prompt, while it writes it; the whole text.

    The model is a `.keras` file, or a folder (or a name on the hub of Hugging Face) with a GPT-2.
    """
    if options.model.endswith(".keras"):
        model = lamella.models.load_model(options.model)
    else:
        model = GPT.from_pretrained(options.model)
    if not isinstance(model, GPT) or model.tokenizer is None:
        raise DataError(f"{options.model} is a {type(model).__name__}, not a GPT with a tokenizer.")
    beams = options.beams > 1
    if not beams:
        print(options.prompt, end="", flush=True)
    text = model.generate(
        options.prompt,
        options.tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        num_beams=options.beams,
        stream=None if beams else lambda piece: print(piece, end="", flush=True),
        seed=options.seed,
    )
    print(text if beams else "")
    return str(text)
