"""What the summary's numbers say, in sentences, for and against the paper's claim.

A pair *shows the effect* when the source score stays (falls by at most 3 points below the
source-only model's on the way to the bilingual model) while the target score rises (by at least 5
points); both are means over seeds. Randomly initialised controls are held to the same rule: where
they show it too, the shape says nothing about pretraining, and the sentences say so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import pandas as pd

from analysis import names
from analysis.gaps import listing

FLAT = 0.03
RISE = 0.05
STRAIGHT = 0.9
EVEN = 0.005
"""Means that differ by less are called equal."""
CLEAR = 1.5
"""So many times the other a variance is to be before it is called clearly larger for a pair."""

RULE = (
    "A language pair shows the effect when, from the source-only to the bilingual model, the source "
    f"score falls by at most {100 * FLAT:g} points while the target score rises by at least {100 * RISE:g} "
    "(means over seeds)."
)


def findings(
    table: pd.DataFrame,
    controls: Collection[str],
    unchosen: Collection[str] = (),
    baselines: Mapping[tuple[str, str], float] | None = None,
) -> list[str]:
    """Return the sentences for a table of ``summary.summarise``.

    Args:
        table: the table.
        controls: encoders never trained.
        unchosen: those of them that ``--encoders`` left out.
        baselines: what the best constant answer scores, by task and language, where it is known.
    """
    if table.empty:
        return ["No evaluated models yet, so nothing can be said about scores."]
    sentences = [RULE]
    for task in names.in_order(set(table["task"])):
        of_task = table[table["task"] == task]
        for encoder in sorted(set(of_task["encoder"])):
            rows = of_task[of_task["encoder"] == encoder]
            sentences += [
                f"{names.task(task)}, {encoder}: {part}"
                for part in (_shape(rows), _floor(rows, baselines or {}), _variance(rows), _way(rows))
                if part
            ]
    return [*sentences, *_sizes(table, controls), *_controls(table, controls, unchosen)]


def shows_effect(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return for each row whether it shows the effect; False where the curve is missing."""
    return (rows["source_drop_mean"] <= FLAT) & (rows["target_rise_mean"] >= RISE)


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _pairs(rows: pd.DataFrame) -> str:
    return listing([names.pair(*pair) for pair in zip(rows["source"], rows["target"], strict=True)])


def _shape(rows: pd.DataFrame) -> str:
    measured = rows[rows["source_drop_mean"].notna() & rows["target_rise_mean"].notna()]
    if measured.empty:
        return "the line from the source-only to the bilingual model is missing, so its shape is unknown."
    showing = shows_effect(measured)
    drops, rises = measured["source_drop_mean"], measured["target_rise_mean"]
    text = (
        f"the effect shows in {showing.sum()} of {names.count(len(measured), 'pair')}. "
        f"On the way the source score falls by {_points(drops.mean())} points where it is lowest (pairs: "
        f"{_points(drops.min())} to {_points(drops.max())}; worst single seed "
        f"{_points(measured['source_drop_max'].max())}) and the target score rises by "
        f"{_points(rises.mean())} (pairs: {_points(rises.min())} to {_points(rises.max())})."
    )
    text += _source_rise(measured)
    falling = measured[drops > FLAT]
    if not falling.empty:
        text += f" It does not show where the source score falls too: {_pairs(falling)}."
    level = measured[rises < RISE]
    if not level.empty:
        text += f" It does not show where the target score hardly rises: {_pairs(level)}."
    straight = measured.loc[rises >= RISE, "target_linearity_mean"].dropna()
    if not straight.empty:
        text += (
            f" The rise is close to a straight line (R² at least {STRAIGHT:g}) in "
            f"{(straight >= STRAIGHT).sum()} of {names.count(len(straight), 'pair')}; lowest "
            f"R² {straight.min():.2f}."
        )
    return text


def _source_rise(rows: pd.DataFrame) -> str:
    """Name the pairs whose source score rises: their source-only models could have learned more."""
    gains = rows["bilingual_on_source_mean"] - rows["source_only_on_source_mean"]
    rising = rows[gains > FLAT]
    if rising.empty:
        return ""
    return (
        f" The source score rises as well, by up to {_points(gains.max())} points ({_pairs(rising)}): there "
        "the source-only models had not learned all that more training teaches."
    )


def _floor(rows: pd.DataFrame, baselines: Mapping[tuple[str, str], float]) -> str:
    """Name the pairs whose zero-shot score a constant answer reaches: they rise from nothing."""
    columns = ["task", "source", "target", "source_only_on_target_mean"]
    found = []
    for task, source, target, score in rows[columns].dropna().to_numpy(dtype=object):
        constant = baselines.get((task, target))
        if constant is not None and score <= constant:
            found.append(f"{names.pair(source, target)} ({_points(score)} against {_points(constant)})")
    if not found:
        return ""
    return f"zero-shot, the target score is no better than that of one constant answer: {listing(found)}."


def _way(rows: pd.DataFrame) -> str:
    """Say how long the two ways from the bilingual model are, and the angle between them."""
    known = rows[["norm_ratio_mean", "angle_mean"]].dropna()
    if known.empty:
        return "norms and angle are missing."
    ratios, angles = known["norm_ratio_mean"], known["angle_mean"]
    return (
        f"the ways from the bilingual model to the other two have a norm ratio of {_range(ratios, '.2f')} "
        f"and an angle of {_range(angles, '.0f')}° (means over seeds)."
    )


def _range(values: pd.Series[float], digits: str) -> str:
    low, high = format(values.min(), digits), format(values.max(), digits)
    return low if low == high else f"{low} to {high}"


def _variance(rows: pd.DataFrame) -> str:
    several = rows[rows["zero_shot_variance_target"].notna() & rows["zero_shot_variance_source"].notna()]
    if several.empty:
        return "one seed only, so nothing about variance over seeds."
    on_source, on_target = several["zero_shot_variance_source"], several["zero_shot_variance_target"]
    larger = int((on_target > CLEAR * on_source).sum())
    verdict = "larger" if on_target.mean() > on_source.mean() else "not larger"
    text = (
        f"the source-only model's variance over seeds is {verdict} on the target than on the source "
        f"language: standard deviation {_points(on_target.mean() ** 0.5)} against "
        f"{_points(on_source.mean() ** 0.5)} points, clearly larger (variance at least {CLEAR:g} "
        f"times as large) in {larger} of {names.count(len(several), 'pair')}."
    )
    seeds = int(several["seeds"].max())
    return f"{text} With {seeds} seeds this is a rough estimate." if seeds < 5 else text


def _sizes(table: pd.DataFrame, controls: Collection[str]) -> list[str]:
    """Compare the planes of larger and smaller encoders, two at a time, on the pairs that both have."""
    trained = table[~table["encoder"].isin(list(controls))]
    by_size = trained.groupby("encoder")["parameters"].max().dropna().sort_values()
    sentences = []
    for small, large in combinations(by_size.index, 2):
        if by_size[small] == by_size[large]:
            continue
        both = trained[trained["encoder"] == large].merge(
            trained[trained["encoder"] == small], on=["task", "source", "target"], suffixes=("", "_small")
        )
        for task in names.in_order(set(both["task"])):
            rows = both[both["task"] == task]
            on_large, on_small = rows["target_plane_mean"], rows["target_plane_mean_small"]
            if (known := on_large.notna() & on_small.notna()).any():
                flatter = int((on_large > on_small)[known].sum())
                gain = on_large[known].mean() - on_small[known].mean()
                verdict = (
                    "flatter than" if gain >= EVEN else "less flat than" if gain <= -EVEN else "as flat as"
                )
                sentences.append(
                    f"{names.task(task)}: the larger encoder {large} is {verdict} {small} on the target "
                    f"language: over the plane its models keep {_points(on_large[known].mean())}% of the "
                    f"bilingual model's score on average, those of {small} "
                    f"{_points(on_small[known].mean())}%; flatter in {flatter} of "
                    f"{names.count(int(known.sum()), 'pair')}."
                )
    return sentences


def _controls(table: pd.DataFrame, controls: Collection[str], unchosen: Collection[str]) -> list[str]:
    encoders = sorted(set(table["encoder"]))
    untrained = [encoder for encoder in encoders if encoder in controls]
    if not untrained:
        lack = names.left_out(unchosen) or "There is no randomly initialised control in these results."
        return [
            f"{lack} An untrained encoder can show the "
            "same shape, so the shape alone is no evidence of what pretraining taught."
        ]
    sentences = []
    for control in untrained:
        for encoder in encoders:
            if encoder not in controls:
                sentences += _against(table, control, encoder)
    return sentences or ["Only randomly initialised controls here: nothing to compare them with."]


def _against(table: pd.DataFrame, control: str, encoder: str) -> list[str]:
    """Compare a control with an encoder on the pairs that both have, task by task."""
    key = ["task", "source", "target"]
    both = table[table["encoder"] == encoder].merge(
        table[table["encoder"] == control], on=key, suffixes=("", "_control")
    )
    sentences = []
    for task in names.in_order(set(both["task"])):
        rows = both[both["task"] == task]
        trained = shows_effect(rows)
        control_rows = rows[["source_drop_mean_control", "target_rise_mean_control"]]
        untrained = shows_effect(control_rows.rename(columns=lambda name: name.removesuffix("_control")))
        shared = names.count(len(rows), "pair")
        if (trained & untrained).any():
            text = (
                f"the randomly initialised control {control} behaves the same as {encoder} in "
                f"{(trained & untrained).sum()} of {shared}: source flat, target rising. There the shape is "
                "no evidence of what pretraining taught."
            )
        elif untrained.any():
            text = (
                f"the randomly initialised control {control} shows the effect in {untrained.sum()} of "
                f"{shared}, where {encoder} does not."
            )
        else:
            text = f"the randomly initialised control {control} does not show the effect in any of {shared}."
        sentences.append(f"{names.task(task)}: {text} {_zero_shot(rows, control, encoder)}".strip())
    return sentences


def _zero_shot(rows: pd.DataFrame, control: str, encoder: str) -> str:
    trained = rows["source_only_on_target_mean"].mean()
    untrained = rows["source_only_on_target_mean_control"].mean()
    if pd.isna(trained) or pd.isna(untrained):
        return ""
    text = f"Zero-shot target score: {_points(trained)} for {encoder}, {_points(untrained)} for {control}"
    if trained <= untrained:
        return f"{text}: no gain over an untrained encoder."
    if trained - untrained < RISE:
        return f"{text}: no clear gain over an untrained encoder."
    return f"{text}, a difference of {_points(trained - untrained)} points."
