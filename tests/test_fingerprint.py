"""Fingerprints are the same everywhere, ignore what changes no number, and refuse what they cannot name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from xltray.fingerprint import RUNTIME, canonical, file_fingerprint, fingerprint, short
from xltray.spec import EncoderSpec, FinetuneSpec, PretrainSpec

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Before(BaseModel):
    rate: float = 0.1


class After(BaseModel):
    added: tuple[int, ...] = ()
    rate: float = 0.1
    where: Annotated[str, RUNTIME] = "here"


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (FinetuneSpec(), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        (
            {"b": [1, 2.5, None, True], "a": "é"},
            "0c187fb652afca8017b5ef38178eeef09a9dfef844316f80ba4207cdf1995ee5",
        ),
        (
            FinetuneSpec(epochs=3, learning_rate=3e-5),
            "8b0ea50bbc7eff4d9dcae552a0904d2d40676d332511d112d86dde6d6f8270e7",
        ),
        (
            [Fraction(1, 10), Fraction(-1, 2)],
            "26f6d52a585fa1c293cba02e04484df0996364e0d9ffdcad5a171f39f3a936db",
        ),
    ],
    ids=["empty", "defaults", "plain", "recipe", "fractions"],
)
def test_pinned(value: Any, digest: str) -> None:
    # Results are stored under these names: a change here orphans everybody's results.
    assert fingerprint(value) == digest


def test_short_is_the_beginning() -> None:
    assert short("0123456789abcdef") == "01234567"


def test_defaults_are_left_out_so_that_a_new_field_changes_no_id() -> None:
    assert canonical(FinetuneSpec()) == {}
    assert canonical(FinetuneSpec(epochs=7)) == {"epochs": 7}
    assert fingerprint(Before(rate=0.2)) == fingerprint(After(rate=0.2))
    assert fingerprint(After(rate=0.2)) != fingerprint(After(rate=0.2, added=(1,)))


def test_runtime_fields_are_left_out_at_every_depth() -> None:
    assert fingerprint(After(where="there")) == fingerprint(After())
    assert fingerprint([After(where="there")]) == fingerprint([After()])
    encoder = EncoderSpec(checkpoint="x")
    assert fingerprint(encoder.model_copy(update={"parameters": 5})) == fingerprint(encoder)
    assert fingerprint(encoder.model_copy(update={"revision": "abc"})) != fingerprint(encoder)


def test_nested_models_are_named_by_content() -> None:
    one = EncoderSpec(pretrain=PretrainSpec(languages=("en",)))
    other = EncoderSpec(pretrain=PretrainSpec(languages=("en",), steps=0))
    assert canonical(one) == {"pretrain": {"languages": ["en"]}}
    assert fingerprint(one) != fingerprint(other)


def test_fractions_are_exact() -> None:
    assert canonical(Fraction(1, 10)) == "1/10"
    assert fingerprint(Fraction(1, 10)) != fingerprint(Fraction(0.1))


@pytest.mark.parametrize(
    "value",
    [{1, 2}, frozenset(), float("nan"), float("inf"), object(), print, Path("x"), 1j],
    ids=["set", "frozenset", "nan", "inf", "object", "function", "path", "complex"],
)
def test_what_has_no_stable_text_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot fingerprint"):
        fingerprint({"deep": [value]})


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=5))
def test_key_order_is_irrelevant(value: dict[str, Any]) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


@settings(deadline=None)
@given(st.lists(st.integers(), min_size=2, unique=True))
def test_list_order_matters_and_tuples_are_lists(values: list[int]) -> None:
    assert fingerprint(values) == fingerprint(tuple(values))
    assert fingerprint(values[::-1]) != fingerprint(values)


def test_file_fingerprint_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_fingerprint(tmp_path / "a") == expected
