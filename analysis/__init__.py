"""Figures, verdicts and a report from the results of a sweep.

Reads the Parquet files that a sweep wrote and nothing else: pandas and matplotlib, no torch, no
ray, none of the sweep's code, so it runs on a laptop on a copy of the results. Start it with
``python -m analysis RESULTS_DIR``.

    tables      Parquet files as one table; the errors
    read        the results: which cells, checked, with scores relative to the bilingual model
    learned     cells with an endpoint that did not learn
    gaps        what is missing from them, in words
    statistics  bootstrap band, largest drop, straightness
    names       languages, tasks and metrics as people call them
    style       colours, page layout, saving with the same bytes every time
    panels      score against alpha: the panels that lines and pairs share
    lines       Figure 2 of the paper by task: normalised scores, mean over pairs and seeds
    pairs       the same lines for one language pair, raw scores
    planes      Figure 3: the plane through the three models
    geometry    Figure 4: norm ratio against angle
    figures     the registry: a new figure is one module and one line there
    summary     one row of numbers per encoder, task and pair
    findings    what those numbers say, in sentences
    bootstrap   intervals by resampling language pairs and seeds, and rows
    measures    the numbers behind the paper's claims, one a cell
    claims      the claims, and the range of a measure that supports each (docs/verdicts.md)
    verdicts    supported, not supported, cannot tell; the same against a control
    verdict_words  those in words, and as verdicts.csv
    texts       tables of text that the summary and the page share
    report      summary.md, summary.csv and verdicts.csv
    pictures    figures as parts of a page, and captions
    provenance  what the files say of how they were made; corpora and licences
    page        report.html, from the template report.html.jinja

The paper: Wu, Van Durme and Dredze, "Zero-shot Cross-lingual Transfer is Under-specified
Optimization", RepL4NLP 2022, https://arxiv.org/abs/2207.05666.
"""
