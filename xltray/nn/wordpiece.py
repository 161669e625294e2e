"""A WordPiece tokenizer of our own.

Training a tokenizer gives other ids from run to run, and other pieces where counts are equal:
``train_tokenizer`` sees to both.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from xltray.nn.masked_words import CLS, SEP, SPECIALS
from xltray.spec import PretrainSpec


def train_tokenizer(text: Sequence[str], spec: PretrainSpec) -> PreTrainedTokenizerFast:
    """Train a cased WordPiece tokenizer whose ids do not depend on the run."""
    trained = _wordpiece({})
    # Pieces with equal counts are merged in the order of their letters' ids, which the trainer gives out
    # in another order in every process, unless they are named beforehand.
    letters = [f"##{letter}" for letter in _inner_letters(text, trained)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=spec.vocabulary, special_tokens=[*SPECIALS, *letters], show_progress=False
    )
    trained.train_from_iterator(text, trainer)
    pieces = sorted(piece for piece in trained.get_vocab() if piece not in SPECIALS)
    tokenizer = _wordpiece({piece: number for number, piece in enumerate([*SPECIALS, *pieces])})
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=spec.max_positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    )


def _inner_letters(text: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Return the characters that occur in a word after its first, sorted."""
    letters: set[str] = set()
    for sentence in text:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(sentence))
        letters.update(*(word[1:] for word, _ in words))
    return sorted(letters)


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    # Chinese has no spaces: as in BERT, each character stands alone, else a clause would be a word.
    alone = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), alone])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
