"""Encoders of our own: a tokenizer that comes out the same every time, and masked-word training."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import PRETRAIN, Tiny, make_tiny, run_job
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

import xltray.pretrain as pretrain_module
from xltray.corpora.toy import ToyCorpus
from xltray.errors import CorpusError, EndpointError
from xltray.jobs import PRETRAINING_VERSION, PretrainJob, load_job
from xltray.nn.masked_training import MaskedWordTraining
from xltray.nn.masked_words import CLS, MASK, SEP, SPECIALS, Losses
from xltray.nn.wordpiece import train_tokenizer
from xltray.spec import DataSpec, PretrainSpec
from xltray.tasks.words import split_words

SPEC = PretrainSpec.model_validate(PRETRAIN)
LANGUAGES = ("qaa", "qab", "qad")
EASIER = {"vocabulary": 80, "languages": ["qaa"], "hidden_size": 32, "learning_rate": 1e-2}


def texts() -> list[str]:
    corpus = ToyCorpus(DataSpec())
    return [text for language in LANGUAGES for text in corpus.text(language)][:1500]


def folder(tiny: Tiny) -> Path:
    return tiny.root / "encoders" / tiny.encoder().id


def encoder_of(root: Path, **changes: object) -> Tiny:
    """Pretrain with other settings."""
    tiny = make_tiny(root, encoders={"small": {"pretrain": PRETRAIN | changes}})
    run_job(tiny.encoder(), tiny.context)
    return tiny


# The tokenizer.


def vocabularies() -> list[dict[str, int]]:
    """Of many sizes: some end between pieces that are equally frequent."""
    text = texts()
    specs = [SPEC.model_copy(update={"vocabulary": size}) for size in range(150, 700, 50)]
    return [train_tokenizer(text, spec).get_vocab() for spec in specs]


@pytest.mark.slow
def test_two_processes_give_every_piece_the_same_id() -> None:
    program = "import json; from test_pretrain import vocabularies; print(json.dumps(vocabularies()))"
    tests = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert json.loads(printed) == vocabularies()


def test_the_order_of_the_text_does_not_matter() -> None:
    vocabulary = train_tokenizer(texts(), SPEC).get_vocab()
    assert train_tokenizer(texts()[::-1], SPEC).get_vocab() == vocabulary
    assert len(vocabulary) == SPEC.vocabulary


def test_pieces_are_numbered_in_order_after_the_specials() -> None:
    vocabulary = train_tokenizer(texts(), SPEC).get_vocab()
    pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    assert tuple(pieces[: len(SPECIALS)]) == SPECIALS
    assert pieces[len(SPECIALS) :] == sorted(pieces[len(SPECIALS) :])
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))


def test_the_tokenizer_is_cased_composes_accents_and_frames_sequences(tmp_path: Path) -> None:
    train_tokenizer(["Éa éa b a", "b a"] * 3, SPEC).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("e\u0301a")["input_ids"] == tokenizer("éa")["input_ids"]
    assert tokenizer("Éa")["input_ids"] != tokenizer("éa")["input_ids"]
    a, b = tokenizer.convert_tokens_to_ids(["a", "b"])
    assert tokenizer("a")["input_ids"] == [CLS, a, SEP]
    pair = tokenizer("a", "b")
    assert pair["input_ids"] == [CLS, a, SEP, b, SEP]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1]
    assert tokenizer.mask_token_id == MASK
    assert tokenizer.model_max_length == SPEC.max_positions


# What is stored.


def test_plain_transformers_loads_what_is_stored(tiny: Tiny) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder(tiny))
    model, report = AutoModel.from_pretrained(folder(tiny), add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert tokenizer.is_fast
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (16, 1)
    assert model.config.intermediate_size == 64
    text = next(ToyCorpus(tiny.context.data).text("qaa"))
    ids = tokenizer(text, return_tensors="pt")
    assert tokenizer.unk_token_id not in ids["input_ids"]
    assert model(**ids).last_hidden_state.shape == (*ids["input_ids"].shape, 16)


def test_the_numbers_of_this_version(tmp_path: Path) -> None:
    """If this fails on purpose, raise PRETRAINING_VERSION and pin the new loss under it."""
    dice = random.Random(0)
    lines = [" ".join(dice.choices(["ab", "ba", "c", "dd"], k=dice.randint(3, 9))) for _ in range(60)]
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    # With dropout: which numbers are drawn, and in which order, is part of what must not change.
    spec = PRETRAIN | {"languages": [], "text": ["lines.txt"], "vocabulary": 20, "layers": 2, "dropout": 0.1}
    spec |= {"similar_start": 1.4}
    own = make_tiny(tmp_path / "store", data={"root": str(tmp_path)}, encoders={"small": {"pretrain": spec}})
    run_job(own.encoder(), own.context)
    assert {PRETRAINING_VERSION: own.done(own.encoder())["loss"]} == {6: pytest.approx(1.413475, rel=1e-4)}


def test_done_says_how_it_went(tiny: Tiny) -> None:
    done = tiny.done(tiny.encoder())
    model = AutoModel.from_pretrained(folder(tiny), add_pooling_layer=False)
    assert done["sentences"] == 3 * 4 * 40
    assert done["vocabulary"] == model.config.vocab_size == 300
    assert done["parameters"] == sum(p.numel() for p in model.parameters())
    assert 0 < done["loss"] < 10
    assert (done["asked_what_follows"], done["loss_following"]) == (0, None)
    assert done["seconds"] > 0
    assert done["provenance"]["torch"] == torch.__version__
    assert {"config.json", "model.safetensors", "tokenizer.json", "spec.json"} <= set(done["files"])


def test_the_job_is_stored_with_it(tiny: Tiny) -> None:
    stored = load_job((folder(tiny) / "spec.json").read_text(encoding="utf-8"))
    assert stored == tiny.encoder()
    assert stored.id == tiny.encoder().id


def test_training_shows_nothing_but_its_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    transformers_logging.enable_progress_bar()  # as in a new process
    encoder_of(tmp_path)
    assert capfd.readouterr() == ("", "")


# Training.


def test_the_loss_falls_and_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[Losses] = []

    class Observed(MaskedWordTraining):
        def __next__(self) -> Losses:
            losses.append(super().__next__())
            return losses[-1]

    monkeypatch.setattr(pretrain_module, "MaskedWordTraining", Observed)
    tiny = make_tiny(tmp_path, encoders={"small": {"pretrain": PRETRAIN | EASIER | {"steps": 200}}})
    progress = run_job(tiny.encoder(), tiny.context)
    assert [p[:3] for p in progress] == [(done, 200, "steps") for done in (0, 50, 100, 150, 200)]
    words = [loss.words for loss in losses if loss.words is not None]
    assert len(words) == len(losses) == 200
    assert sum(words[-20:]) / 20 < sum(words[:20]) / 20 - 0.2
    assert tiny.done(tiny.encoder())["loss"] == pytest.approx(sum(words[-100:]) / 100)
    assert {loss.following for loss in losses} == {None}


def test_training_twice_gives_the_same_bytes(tiny: Tiny, tmp_path: Path) -> None:
    again = tiny.moved(tmp_path)
    torch.manual_seed(12345)  # what ran before in the process does not matter
    run_job(again.encoder(), again.context)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (folder(again) / name).read_bytes() == (folder(tiny) / name).read_bytes(), name


def test_what_another_has_finished_meanwhile_stays(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, encoders={"small": {"pretrain": PRETRAIN | {"steps": 0}}})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes(b"of another")
    tiny.store.publish_directory(tmp_path / "other", tiny.store.encoder_path(tiny.encoder().id), {})
    run_job(tiny.encoder(), tiny.context)
    assert (folder(tiny) / "model.safetensors").read_bytes() == b"of another"


def test_another_seed_gives_other_weights_and_the_same_tokenizer(tiny: Tiny, tmp_path: Path) -> None:
    other = encoder_of(tmp_path, seed=1)
    for name, same in (("model.safetensors", False), ("tokenizer.json", True)):
        assert ((folder(other) / name).read_bytes() == (folder(tiny) / name).read_bytes()) is same, name


def test_the_control_has_the_tokenizer_and_the_weights_that_training_starts_from(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = encoder_of(tmp_path / "control", steps=0)
    start: dict[str, torch.Tensor] = {}

    class FirstLook(MaskedWordTraining):
        def __init__(self, encoder: torch.nn.Module, *rest: Any) -> None:
            super().__init__(encoder, *rest)
            start.update({name: value.clone() for name, value in encoder.state_dict().items()})

    monkeypatch.setattr(pretrain_module, "MaskedWordTraining", FirstLook)
    encoder_of(tmp_path / "trained")
    assert (folder(control) / "tokenizer.json").read_bytes() == (folder(tiny) / "tokenizer.json").read_bytes()
    weights = AutoModel.from_pretrained(folder(control), add_pooling_layer=False).state_dict()
    trained = AutoModel.from_pretrained(folder(tiny), add_pooling_layer=False).state_dict()
    assert set(weights) == set(start)
    assert all(torch.equal(weights[name], start[name]) for name in start)
    assert not torch.equal(
        weights["embeddings.word_embeddings.weight"], trained["embeddings.word_embeddings.weight"]
    )
    assert control.done(control.encoder())["loss"] is None
    assert control.encoder().id != tiny.encoder().id


def test_at_a_similar_start_queries_are_keys_and_positions_are_smaller(tmp_path: Path) -> None:
    weights = []
    for scale in (0.0, 1.4):
        made = encoder_of(tmp_path / str(scale), steps=0, layers=2, similar_start=scale)
        weights.append(AutoModel.from_pretrained(folder(made), add_pooling_layer=False).state_dict())
    plain, similar = weights
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        query, key = (similar[f"{layer}.attention.self.{name}.weight"] for name in ("query", "key"))
        assert torch.equal(query, key)
        torch.testing.assert_close(query @ query.T, 1.4**2 * torch.eye(16))
    words, positions = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position"))
    assert torch.equal(similar[words], plain[words])
    torch.testing.assert_close(similar[positions], 0.6 * plain[positions])


# Text files.


def test_text_files_are_read_beside_the_languages(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("zzyzzyx quux\n\n  quux zzyzzyx \n", encoding="utf-8")
    changes = PRETRAIN | {"text": ["a.txt"], "languages": ["qaa"], "vocabulary": 2000}
    tiny = make_tiny(
        tmp_path / "store", data={"root": str(tmp_path)}, encoders={"small": {"pretrain": changes}}
    )
    run_job(tiny.encoder(), tiny.context)
    assert tiny.done(tiny.encoder())["sentences"] == 4 * 40 + 2
    assert set(tiny.encoder().text) == {"qaa", "a.txt"}
    assert AutoTokenizer.from_pretrained(folder(tiny)).tokenize("quux zzyzzyx") == ["quux", "zzyzzyx"]


def test_text_files_alone_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c\nc b a\n", encoding="utf-8")
    changes = PRETRAIN | {"text": ["a.txt"], "languages": []}
    tiny = make_tiny(
        tmp_path / "store", data={"root": str(tmp_path)}, encoders={"small": {"pretrain": changes}}
    )
    run_job(tiny.encoder(), tiny.context)
    done = tiny.done(tiny.encoder())
    assert (done["sentences"], done["vocabulary"]) == (2, len(SPECIALS) + 3)


def test_the_same_encoder_from_other_text_has_another_id(tmp_path: Path) -> None:
    def job(content: str) -> PretrainJob:
        (tmp_path / "a.txt").write_text(content, encoding="utf-8")
        encoders = {"small": {"pretrain": PRETRAIN | {"text": ["a.txt"]}}}
        return make_tiny(tmp_path / "store", data={"root": str(tmp_path)}, encoders=encoders).encoder()

    assert job("a b\n").id == job("a b\n").id != job("b a\n").id


def test_text_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b c\n", encoding="utf-8")
    encoders = {"small": {"pretrain": PRETRAIN | {"text": ["a.txt"], "languages": ["qaa"]}}}
    tiny = make_tiny(tmp_path / "store", data={"root": str(tmp_path)}, encoders=encoders)
    (tmp_path / "a.txt").write_text("other text\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"(?s)planned on.*a\.txt.*start it again"):
        run_job(tiny.encoder(), tiny.context)
    assert not tiny.store.exists("encoders")


def test_chinese_characters_stand_alone_and_words_of_several_keep_their_place() -> None:
    text = ["我们在学校，他们也在学校。", "abc学校abc", "ab c"] * 3
    tokenizer = train_tokenizer(text, SPEC)
    assert tokenizer.tokenize("我们在学校") == ["我", "们", "在", "学", "校"]
    assert tokenizer.unk_token_id not in tokenizer(text[0])["input_ids"]
    # No clause is too long to be a word.
    assert tokenizer.tokenize("校" * 200) == ["校"] * 200
    words = split_words(tokenizer, [["我们", "abc"]])[0]
    assert [tokenizer.convert_ids_to_tokens(word.pieces)[0] for word in words] == ["我", "abc"]
    assert len(words[0].pieces) == 2


def test_one_that_diverges_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_tiny(tmp_path / "store", runtime={"checkpoint_seconds": 0})
    step = MaskedWordTraining.__next__

    def diverges(self: MaskedWordTraining) -> Losses:
        losses = step(self)
        return losses._replace(words=float("nan")) if self.steps == 3 else losses

    monkeypatch.setattr(MaskedWordTraining, "__next__", diverges)
    with pytest.raises(EndpointError, match=r"loss of nan at step 3 .*lower encoders.<name>.pretrain"):
        run_job(own.encoder(), own.context)
    assert not own.context.store.is_done(own.encoder())
