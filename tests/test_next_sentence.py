"""Texts of which the encoder is asked whether one follows the other: which, how many, and what is learned."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError
from tiny import PRETRAIN, Tiny, make_tiny, passages_of, run_job
from transformers import AutoTokenizer, BertConfig, PreTrainedModel

import xltray.nn.masked_words as masked_words_module
from xltray.corpora.base import Corpus, neighbours_in
from xltray.corpora.toy import ToyCorpus
from xltray.nn.encoder import build_encoder
from xltray.nn.masked_training import MaskedWordTraining
from xltray.nn.masked_words import CLS, MASK, SEP, Losses, Passage, encode_at
from xltray.nn.packing import PackedBatch, Tokens
from xltray.plan import DataId
from xltray.spec import DataSpec, PretrainSpec
from xltray.spec_types import Role

LANGUAGES = ("qaa", "qab", "qad")
LINES = 3 * 4 * 40
KEYS = ("input_ids", "token_type_ids")
Halves = tuple[tuple[int, ...], tuple[int, ...]]


def asking(root: Path, share: float, **changes: Any) -> Tiny:
    pretrain = PRETRAIN | {"next_sentence": share, "max_length": 128} | changes
    data = {"root": str(root), "corpora": {"pos": "toy", "parsing": "toy"}, "toy": {"train": 40, "dev": 30}}
    return make_tiny(root / "store", data=data, encoders={"small": {"pretrain": pretrain}})


def folder(tiny: Tiny) -> Path:
    return tiny.root / "encoders" / tiny.encoder().id


def halves(sequence: Tokens) -> Halves:
    words = [(id_, type_) for id_, type_ in zip(*sequence, strict=True) if id_ not in (CLS, SEP)]
    return tuple(id_ for id_, type_ in words if not type_), tuple(id_ for id_, type_ in words if type_)


def asked(passages: list[Passage]) -> list[Passage]:
    return [passage for passage in passages if passage.follows is not None]


# Which texts.


class Lines(Corpus):
    """A corpus of five sentences."""

    name: ClassVar[str] = "lines"

    def __init__(self, data: DataSpec) -> None:
        pass

    def languages(self) -> tuple[str, ...]:
        return ("en",)

    def identify(self, language: str, role: Role) -> DataId:
        return DataId("lines", 5)

    def text(self, language: str) -> Iterator[str]:
        return (f"{language} {number}" for number in range(5))


def test_of_any_corpus_every_two_sentences_follow_each_other() -> None:
    assert list(Lines(DataSpec()).neighbours("en")) == [("en 0", "en 1"), ("en 2", "en 3")]


def test_pairs_in_a_row_are_not_of_one_passage() -> None:
    pairs = list(neighbours_in(str(number) for number in range(14)))
    assert [int(first) // 2 for first, _ in pairs] == [0, 4, 1, 5, 2, 6, 3]
    assert all(int(second) == int(first) + 1 for first, second in pairs)
    assert list(neighbours_in([])) == []


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_so_many_sequences_are_asked_about(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = asking(tmp_path, share)
    passages = passages_of(tiny, monkeypatch)
    count = len(asked(passages))
    assert len(passages) - count == LINES
    assert count / len(passages) == pytest.approx(share, abs=0.002)
    assert tiny.done(tiny.encoder())["asked_what_follows"] == count


def test_translations_count_among_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages = passages_of(asking(tmp_path, 0.3, parallel=0.5), monkeypatch)
    assert len(passages) - len(asked(passages)) == 2 * LINES
    assert len(asked(passages)) / len(passages) == pytest.approx(0.3, abs=0.002)


def test_half_of_the_second_texts_follow_and_the_others_are_of_another_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = asking(tmp_path, 0.5)
    passages = asked(passages_of(tiny, monkeypatch))
    assert mean(bool(passage.follows) for passage in passages) == 0.5
    tokenizer = AutoTokenizer.from_pretrained(folder(tiny))
    language_of: dict[Halves, str] = {}
    for language in LANGUAGES:
        for one, other in islice(ToyCorpus(tiny.context.data).neighbours(language), LINES // 3):
            language_of[halves(Tokens(*(tokenizer(one, other)[key] for key in KEYS)))] = language
    firsts, seconds = (set(some) for some in zip(*language_of, strict=True))
    for passage in passages:
        found = halves(passage.tokens)
        assert passage.follows == (found in language_of)
        assert found[0] in firsts
        assert found[1] in seconds
    following = [halves(passage.tokens) for passage in passages if passage.follows]
    assert set(Counter(map(language_of.get, following)).values()) == {LINES // 6}


def test_lines_of_a_text_file_follow_each_other_and_are_repeated_where_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"w{letter}" for letter in "abcdefghijk"]
    (tmp_path / "a.txt").write_text("\n\n".join(names), encoding="utf-8")
    tiny = asking(tmp_path, 0.8, languages=[], text=["a.txt"], vocabulary=100)
    passages = asked(passages_of(tiny, monkeypatch))
    assert len(passages) == 44
    tokenizer = AutoTokenizer.from_pretrained(folder(tiny))
    seen = {True: set(), False: set()}
    for passage in passages:
        seen[bool(passage.follows)].add(tuple(tokenizer.decode(half) for half in halves(passage.tokens)))
    lines = set(zip(names[0:10:2], names[1:10:2], strict=True))
    assert seen[True] == lines
    assert not seen[False] & lines
    assert {one for one, _ in seen[False]} == set(names[0:10:2])
    assert {other for _, other in seen[False]} <= set(names[1:10:2])


def test_languages_and_files_have_equal_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("zzyz\nquux\nquux zzyz\nzzyz zzyz quux\n" * 5, encoding="utf-8")
    tiny = asking(tmp_path, 0.5, languages=["qaa"], text=["a.txt"], vocabulary=2000)
    passages = asked(passages_of(tiny, monkeypatch))
    own = set(AutoTokenizer.from_pretrained(folder(tiny)).convert_tokens_to_ids(["zzyz", "quux"]))
    of_file = [own.issuperset(halves(passage.tokens)[0]) for passage in passages]
    assert len(passages) == 4 * 40 + 20
    assert mean(of_file) == 0.5


def test_two_texts_are_one_sequence_cut_to_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = asking(tmp_path, 0.5, max_length=16)
    sequences = [passage.tokens for passage in asked(passages_of(tiny, monkeypatch))]
    assert max(len(sequence.ids) for sequence in sequences) == 16
    for ids, types in sequences:
        assert (ids[0], ids[-1], list(ids).count(SEP)) == (CLS, SEP, 2)
        assert list(types) == sorted(types)
        assert set(types) == {0, 1}
    # The cut is the training's, not the tokenizer's.
    tokenizer = AutoTokenizer.from_pretrained(folder(tiny))
    assert len(tokenizer("ba " * 40, "ba " * 40)["input_ids"]) > 16


def test_without_it_the_sequences_are_those_that_there_are_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = passages_of(asking(tmp_path / "without", 0.0), monkeypatch)
    beside = passages_of(asking(tmp_path / "with", 0.5), monkeypatch)
    assert asked(without) == []
    assert beside[: len(without)] == without


def test_only_pretraining_that_asks_has_another_id(tmp_path: Path) -> None:
    plain = make_tiny(tmp_path, encoders={"small": {"pretrain": PRETRAIN | {"max_length": 128}}})
    ids = [asking(tmp_path, share).encoder().id for share in (0.0, 0.3, 0.5)]
    assert ids[0] == plain.encoder().id
    assert len(set(ids)) == 3


def test_not_everything_can_be_asked_about() -> None:
    with pytest.raises(ValidationError, match="next_sentence"):
        PretrainSpec(languages=("qaa",), next_sentence=1.0)


# What is trained.


def encoder() -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return build_encoder(BertConfig(vocab_size=50, **sizes))


def sequence(length: int, start: int, follows: bool | None = None) -> Passage:
    ids = [CLS, *range(start, start + length), SEP, *range(start, start + length), SEP]
    return Passage(Tokens(ids, [0] * (length + 2) + [1] * (length + 1)), follows)


def trained(
    passages: list[Passage], monkeypatch: pytest.MonkeyPatch, **spec: Any
) -> tuple[list[Losses], list[PackedBatch], list[torch.Tensor]]:
    """Train; return the losses, what the encoder saw, and at which tokens it was read."""
    batches: list[PackedBatch] = []
    places: list[torch.Tensor] = []

    def observed(model: PreTrainedModel, batch: PackedBatch, place: torch.Tensor) -> torch.Tensor:
        batches.append(batch)
        places.append(place)
        return encode_at(model, batch, place)

    monkeypatch.setattr(masked_words_module, "encode_at", observed)
    settings = PretrainSpec(languages=("qaa",), mask_rate=0.9, **spec)
    return list(MaskedWordTraining(encoder(), passages, settings, "cpu")), batches, places


def test_words_of_what_is_asked_about_are_not_masked_and_its_first_token_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = [sequence(length, 5) for length in (3, 5, 9)]
    questions = [sequence(length, 25, follows=length % 2 == 0) for length in (2, 6, 7, 8)]
    losses, batches, places = trained([*plain, *questions], monkeypatch, steps=8, batch_size=7)
    asked_ids = {tuple(passage.tokens.ids) for passage in questions}
    for loss, batch, place in list(zip(losses, batches, places, strict=True))[2:]:
        assert loss.words is not None
        assert loss.following is not None
        rows = [
            (start, tuple(row.tolist()))
            for start, row in zip(batch.starts, batch.ids_T.tensor_split(batch.starts[1:]), strict=True)
        ]
        unchanged = [start for start, ids in rows if ids in asked_ids]
        assert len(unchanged) == len(questions)
        assert sum(MASK in ids for _, ids in rows) == len(plain)
        assert place[-len(questions) :].tolist() == unchanged
        named = torch.isin(batch.sequence_T[place[: -len(questions)]], batch.sequence_T[unchanged])
        assert not bool(named.any())


def test_a_batch_may_have_only_one_of_the_objectives(monkeypatch: pytest.MonkeyPatch) -> None:
    short = [sequence(2, 5) for _ in range(4)]
    long = [sequence(9, 25, follows=number % 2 == 0) for number in range(4)]
    losses, *_ = trained([*short, *long], monkeypatch, steps=8, batch_size=4)
    kinds = Counter((loss.words is None, loss.following is None) for loss in losses)
    # Two steps with the questions alone, then three passes over both.
    assert kinds == {(True, False): 2 + 3, (False, True): 3}


@pytest.mark.parametrize(("steps", "alone"), [(40, 4), (8, 2), (3, 0)])
def test_questions_come_first_in_two_passes_or_a_quarter_of_the_steps(
    steps: int, alone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [sequence(2, 5) for _ in range(3)]
    questions = [sequence(9, 25, follows=number % 2 == 0) for number in range(4)]
    losses, batches, _ = trained([*plain, *questions], monkeypatch, steps=steps, batch_size=2)
    assert len(losses) == steps
    asked = [loss.words is None for loss in losses]
    assert all(asked[:alone])
    # All of them come in each pass; after that, they are half of the sequences.
    assert [batch.sequences for batch in batches[:alone]] == [2] * alone
    if steps == 40:
        assert 0.4 < sum(asked[alone:]) / (steps - alone) < 0.6
    else:
        assert not all(asked[alone:])


def test_without_questions_there_is_no_second_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    passages = [sequence(length, 5) for length in (2, 4, 9)]
    losses, *_ = trained(passages, monkeypatch, steps=3, batch_size=3)
    assert {loss.following for loss in losses} == {None}
    assert all(loss.words is not None for loss in losses)


def test_what_follows_what_is_learned_where_it_is_easy(tmp_path: Path) -> None:
    """Neighbours have one subject; of the words of a subject, each is in many lines."""
    dice = random.Random(0)
    lines = []
    for _ in range(1000):
        subject = dice.choice("abcdef")
        lines += [" ".join(subject + dice.choice("wxyz") for _ in range(dice.randint(2, 5))) for _ in "12"]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    small = {"vocabulary": 40, "hidden_size": 32, "layers": 2, "similar_start": 1.4, "dropout": 0.0}
    text = {"languages": [], "text": ["lines.txt"], "max_length": 32, "steps": 500, "batch_size": 32}
    tiny = asking(tmp_path, 0.5, **small, **text)
    run_job(tiny.encoder(), tiny.context)
    done = tiny.done(tiny.encoder())
    assert done["asked_what_follows"] == 2000
    assert done["loss_following"] < 0.6 * math.log(2)
    assert 0 < done["loss"] < math.log(40)


def test_the_encoder_is_the_same_every_time(tiny: Tiny, tmp_path: Path) -> None:
    stored = []
    for name in ("a", "b"):
        made = asking(tmp_path / name, 0.4, max_length=PRETRAIN["max_length"])
        torch.manual_seed(len(stored))  # what ran before in the process does not matter
        run_job(made.encoder(), made.context)
        stored.append(folder(made))
        assert 0 < made.done(made.encoder())["loss_following"] < 3
    for name, as_without in (("model.safetensors", False), ("tokenizer.json", True), ("config.json", True)):
        content = [(one / name).read_bytes() for one in (*stored, folder(tiny))]
        assert content[0] == content[1], name
        assert (content[1] == content[2]) is as_without, name


def test_a_control_is_asked_nothing(tmp_path: Path) -> None:
    tiny = asking(tmp_path, 0.5, steps=0)
    run_job(tiny.encoder(), tiny.context)
    done = tiny.done(tiny.encoder())
    assert (done["asked_what_follows"], done["loss_following"], done["loss"]) == (0, None, None)
