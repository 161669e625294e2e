"""Loading encoders from checkpoint folders, and running any family on packed batches."""

from __future__ import annotations

import json
from pathlib import Path

import made_models as made
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertForMaskedLM

from xltray.errors import MissingInputError
from xltray.nn.attention import ATTENTION
from xltray.nn.encoder import LIKE_BERT, build_encoder, encode, encode_at, load_encoder, max_tokens
from xltray.nn.packing import Layout, Tokens, pack
from xltray.tasks.words import split_words

WORDPIECES = ("a", "the", "dog", "##s", "bark", "北", "京")
PIECES = ("▁", "▁the", "▁dog", "s", "bark", "北京", "a", "t", "h", "e", "d", "o", "g")
LENGTHS = [9, 4, 9, 2, 14]


def tokenizer(family: str):
    roberta = family in ("camembert", "roberta", "xlm-roberta")
    return made.sentencepiece(PIECES) if roberta else made.wordpiece(WORDPIECES)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A complete checkpoint, for tests that break it."""
    return made.save(tmp_path, made.encoder("bert"), tokenizer("bert"))


def sequences(lengths=LENGTHS) -> list[Tokens]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randint(5, 50, (length,), generator=generator).tolist() for length in lengths]
    return [Tokens(ids, [0] * len(ids)) for ids in drawn]


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("family", ["bert", "eurobert", "gte", "xlm-roberta", *made.PADDED_FAMILIES])
def test_a_loaded_encoder_gives_what_one_forward_a_sentence_gives(tmp_path, family, layout):
    made.save(tmp_path, made.encoder(family), tokenizer(family))
    encoder = load_encoder(str(tmp_path))
    plain = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    batch = pack(sequences(), layout=layout)
    with torch.inference_mode():
        found = made.unpacked(encode(encoder.model, batch), batch)
        for sequence, hidden_LH in zip(sequences(), found, strict=True):
            torch.testing.assert_close(hidden_LH, made.one_forward(plain, sequence), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", made.ALL_FAMILIES)
def test_the_last_layer_at_some_tokens_is_what_it_is_among_all(family):
    model, place_M = made.encoder(family), torch.tensor([1, 4, 7, 18])
    gradients = []
    for at_places in (True, False):
        batch = pack(sequences(), layout=Layout.RUNS)
        hidden_MH = encode_at(model, batch, place_M) if at_places else encode(model, batch)[place_M]
        assert hidden_MH.shape == (4, 16 if family != "distilbert" else model.config.dim)
        model.zero_grad()
        hidden_MH.square().mul(torch.arange(hidden_MH.shape[1])).sum().backward()
        gradients.append([hidden_MH.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", sorted(LIKE_BERT))
def test_the_last_layers_dense_parts_see_only_these_tokens(family):
    model, seen = made.encoder(family), []
    for layer in model.encoder.layer:
        layer.intermediate.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    batch = pack(sequences(), layout=Layout.RUNS)
    encode_at(model, batch, torch.tensor([1, 4]))
    assert seen == [sum(LENGTHS), 2]
    seen.clear()
    encode(model, batch)  # as before
    assert seen == [sum(LENGTHS)] * 2


@pytest.mark.parametrize("family", made.ALL_FAMILIES)
def test_families_with_full_attention_run_packed(family):
    packed = build_encoder(made.configuration(family)).config._attn_implementation == ATTENTION
    assert packed == (family in made.PACKED_FAMILIES)


def test_segments_reach_a_family_that_pads():
    config = made.configuration("deberta-v2")
    config.type_vocab_size = 2
    model = made.sharpened(build_encoder(config))
    given = [Tokens([5, 6, 7, 8], [0, 0, 1, 1]), Tokens([9, 10], [0, 1])]
    batch = pack(given, layout=Layout.RUNS)
    with torch.inference_mode():
        for sequence, hidden_LH in zip(given, made.unpacked(encode(model, batch), batch), strict=True):
            torch.testing.assert_close(hidden_LH, made.one_forward(model, sequence), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "dtype"),
    [("bert", torch.float16), *((family, torch.bfloat16) for family in made.ALL_FAMILIES)],
)
def test_weights_are_fp32_whatever_the_checkpoint_holds(tmp_path, family, dtype):
    stored = made.encoder(family).to(dtype)
    made.save(tmp_path, stored, tokenizer(family))
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    loaded = load_encoder(str(tmp_path)).model
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for name, parameter in stored.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter.float())


@pytest.mark.parametrize("family", made.ALL_FAMILIES)
def test_there_is_no_pooler(tmp_path, family):
    keywords = {"add_pooling_layer": True} if family == "gte" else {}
    with_pooler = AutoModel.from_config(made.configuration(family), **keywords)
    made.save(tmp_path, with_pooler, tokenizer(family))
    names = {name for name, _ in with_pooler.named_parameters()}
    loaded = {name for name, _ in load_encoder(str(tmp_path)).model.named_parameters()}
    assert loaded == {name for name in names if "pooler" not in name}
    assert loaded == {name for name, _ in build_encoder(made.configuration(family)).named_parameters()}
    have = ("bert", "camembert", "gte", "roberta", "xlm-roberta")
    assert any("pooler" in name for name in names) == (family in have)


def test_a_masked_language_model_without_pooler_is_complete(tmp_path):
    stored = BertForMaskedLM(made.configuration("bert"))
    made.save(tmp_path, stored, tokenizer("bert"))
    loaded = load_encoder(str(tmp_path)).model
    for name, parameter in stored.bert.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter)


def test_missing_weights_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingInputError, match=name):
        load_encoder(str(folder))


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(remove("config.json"), id="no configuration"),
        pytest.param(remove("model.safetensors"), id="no weights"),
        pytest.param(write("config.json", "{"), id="broken configuration"),
        pytest.param(write("model.safetensors", "not tensors"), id="broken weights"),
        pytest.param(write("tokenizer.json", "{"), id="broken tokenizer"),
        pytest.param(lambda f: rewrite(f / "config.json", intermediate_size=20), id="other sizes"),
        pytest.param(lambda f: rewrite(f / "config.json", model_type="unheard-of"), id="unknown family"),
        pytest.param(write("tokenizer.json", "{}"), id="empty tokenizer"),
        pytest.param(write("tokenizer.json", "[]"), id="a list as tokenizer"),
        pytest.param(write("tokenizer_config.json", "[]"), id="a list as tokenizer's settings"),
        pytest.param(lambda f: rewrite(f / "config.json", hidden_act="sharp"), id="unknown activation"),
        pytest.param(lambda f: rewrite(f / "config.json", hidden_size="wide"), id="a word as a number"),
        pytest.param(lambda f: rewrite(f / "config.json", hidden_size=0), id="no size"),
    ],
)
def test_a_broken_checkpoint_is_a_missing_input(folder, damage):
    damage(folder)
    with pytest.raises(MissingInputError, match=str(folder)) as caught:
        load_encoder(str(folder))
    assert caught.value.problems[0].advice


def test_what_is_wrong_in_a_configuration_is_named(folder):
    rewrite(folder / "config.json", hidden_size="wide")
    with pytest.raises(MissingInputError, match=r"field 'hidden_size': .* expected int, got str"):
        load_encoder(str(folder))
    rewrite(folder / "config.json", hidden_size=16, hidden_act="sharp")
    with pytest.raises(MissingInputError, match="found KeyError 'sharp'"):
        load_encoder(str(folder))


@pytest.mark.parametrize("content", [b"", b"not a pickle", [1], None, {"a": Path("of a class of its own")}])
def test_a_pickle_that_holds_no_plain_tensors(folder, content):
    (folder / "model.safetensors").unlink()
    if isinstance(content, bytes):
        (folder / "pytorch_model.bin").write_bytes(content)
    else:
        torch.save(content, folder / "pytorch_model.bin")
    with pytest.raises(MissingInputError, match="no plain tensors, or damaged") as caught:
        load_encoder(str(folder))
    # torch advises to load it all the same, with the code that it holds.
    assert "weights_only" not in str(caught.value)


def test_weights_in_a_file_that_an_id_says_nothing_of(folder):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    rewrite(folder / "config.json", transformers_weights="other.safetensors")
    with pytest.raises(MissingInputError, match=r"transformers_weights 'other\.safetensors'"):
        load_encoder(str(folder))


def test_a_missing_folder_is_a_missing_input(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere") as caught:
        load_encoder(str(tmp_path / "nowhere"))
    assert "a folder with config.json" in caught.value.problems[0].expected


def test_a_slow_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    rewrite(folder / "tokenizer_config.json", tokenizer_class="CanineTokenizer")  # has no fast version
    with pytest.raises(MissingInputError, match="no fast tokenizer"):
        load_encoder(str(folder))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "deberta-v2"])
def test_a_checkpoint_without_tokenizer_is_refused(tmp_path, family):
    # transformers makes up an empty one, for which every word is unknown.
    made.save(tmp_path, made.encoder(family), None)
    with pytest.raises(MissingInputError, match="without vocabulary"):
        load_encoder(str(tmp_path))


def test_code_in_a_checkpoint_is_never_run(folder):
    mark = folder / "ran"
    (folder / "own.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
        "from transformers import BertConfig, BertModel\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )
    auto = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    rewrite(folder / "config.json", model_type="own", auto_map=auto)
    with pytest.raises(MissingInputError, match=r"'own', whose code .* remote code is off"):
        load_encoder(str(folder))
    assert not mark.exists()


# Beyond it: the packed rotary families would go on, to lengths that they were not made for.
@pytest.mark.parametrize("family", ["deberta-v2", "eurobert", "gte", "modernbert"])
def test_a_family_without_position_table_has_the_limit_of_its_configuration(family):
    model = made.encoder(family, positions=20)
    assert max_tokens(model) == 20
    longest = sequences([20])
    with torch.inference_mode():
        found = encode(model, pack(longest, layout=Layout.RUNS))
        expected = made.one_forward(made.plain_twin(model), longest[0])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("family", "expected"), [("bert", 20), ("xlm-roberta", 18), ("distilbert", 20)])
def test_the_longest_sequence_fits_the_position_table(family, expected):
    model = made.encoder(family, positions=20)
    assert max_tokens(model) == expected
    twin = made.plain_twin(model)
    longest = sequences([expected])
    batch = pack(longest, layout=Layout.RUNS)
    with torch.inference_mode():
        torch.testing.assert_close(
            encode(model, batch), made.one_forward(twin, longest[0]), atol=1e-5, rtol=0
        )
        with pytest.raises((IndexError, RuntimeError)):
            encode(model, pack(sequences([expected + 1]), layout=Layout.RUNS))


@pytest.mark.parametrize("prefix_space", [False, True])
def test_a_byte_level_tokenizer_keeps_words_apart(tmp_path, prefix_space):
    text = ["the dog", "a dog", "the cat"] * 5
    made.save(
        tmp_path, made.encoder("roberta", vocabulary=300), made.byte_level(text, prefix_space=prefix_space)
    )
    tokenizer = load_encoder(str(tmp_path)).tokenizer
    (words,) = split_words(tokenizer, [["the", "dog"]])
    assert ["".join(tokenizer.convert_ids_to_tokens(word.pieces)) for word in words] == ["Ġthe", "Ġdog"]
    ids = tokenizer("the dog", add_special_tokens=False)["input_ids"]
    text = "".join(tokenizer.convert_ids_to_tokens(ids))
    assert text == ("ĠtheĠdog" if prefix_space else "theĠdog"), "as it was in pretraining"
