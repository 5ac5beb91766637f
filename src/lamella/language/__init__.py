"""Text: tokens, Transformers that read and write it, pretrained weights, and what measures them."""

from lamella.language.attention import CrossAttention, KeyValueCache, SelfAttention
from lamella.language.bert import BERT
from lamella.language.bert_heads import BERTClassifier, BERTMaskedLanguageModel, BERTTokenClassifier
from lamella.language.generation import beam_search, sample
from lamella.language.gpt import GPT
from lamella.language.luong_attention import LuongAttention
from lamella.language.masked_language import MaskedLanguageData, mask_tokens
from lamella.language.metrics import Bleu, Perplexity
from lamella.language.positions import PositionEncoding
from lamella.language.pretrained import read_checkpoint, write_checkpoint
from lamella.language.recurrent_translator import RecurrentTranslator
from lamella.language.sentence_embeddings import SentenceEncoder
from lamella.language.sequence_to_sequence import SequenceToSequence
from lamella.language.text_classifier import TextClassifier
from lamella.language.text_data import LengthBuckets, TokenBlocks, packed, pad_tokens, read_texts
from lamella.language.tokenization import Tokenizer
from lamella.language.transformer import TransformerBlock
from lamella.language.translator import Translator

__all__ = [
    "BERT",
    "GPT",
    "BERTClassifier",
    "BERTMaskedLanguageModel",
    "BERTTokenClassifier",
    "Bleu",
    "CrossAttention",
    "KeyValueCache",
    "LengthBuckets",
    "LuongAttention",
    "MaskedLanguageData",
    "Perplexity",
    "PositionEncoding",
    "RecurrentTranslator",
    "SelfAttention",
    "SentenceEncoder",
    "SequenceToSequence",
    "TextClassifier",
    "TokenBlocks",
    "Tokenizer",
    "TransformerBlock",
    "Translator",
    "beam_search",
    "mask_tokens",
    "packed",
    "pad_tokens",
    "read_checkpoint",
    "read_texts",
    "sample",
    "write_checkpoint",
]
