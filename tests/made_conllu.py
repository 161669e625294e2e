"""CoNLL-U files made by hand, and random trees."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st


def row(id_: object, form: str, upos: str, head: object, deprel: str, misc: str = "_") -> str:
    return f"{id_}\t{form}\t_\t{upos}\t_\t_\t{head}\t{deprel}\t_\t{misc}"


GOOD = [
    "# sent_id = a",
    "# text = Dogs bark.",
    row(1, "Dogs", "NOUN", 2, "nsubj"),
    row(2, "bark", "VERB", 0, "root", "SpaceAfter=No"),
    row(3, ".", "PUNCT", 2, "punct"),
    "",
]


def write(folder: Path, *lines: str, name: str = "xx_test-ud-dev.conllu") -> Path:
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    """Draw the heads of a tree: in a random order, every word but the first hangs on an earlier one."""
    order = draw(st.permutations(range(1, draw(st.integers(1, 12)) + 1)))
    heads = {word: order[draw(st.integers(0, i - 1))] if i else 0 for i, word in enumerate(order)}
    return [heads[word] for word in sorted(heads)]
