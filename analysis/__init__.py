"""Figures, verdicts and a report from the results of a sweep.

Reads the Parquet files that a sweep wrote and nothing else: pandas and matplotlib, no torch, no
ray, none of the sweep's code, so it runs on a laptop on a copy of the results. Start it with
``python -m analysis RESULTS_DIR``.

    tables      Parquet files as one table; the errors
    read        the results: which cells, checked, with scores relative to the bilingual model
    learned     cells with an endpoint that did not learn
    gaps        what is missing from them, in words
    statistics  bootstrap band, largest drop, straightness
    choice      which encoders and tasks to take
    counts      of how many cells or seeds each line of a figure is the mean
    names       languages, tasks and metrics as people call them
    style       colours, page layout, saving with the same bytes every time
    panels      score against alpha: the panels that lines, scopes, variances and pairs share
    ranges      which part of the curves a panel shows
    lines       Figures 2 and 6 to 9 of the paper: normalised scores, over all, by task and by pair
    variances   Figure 5: variance over seeds along the lines
    scopes      the encoder and the task layer alone beside the whole (footnote 2)
    trajectories  third languages on the way, where they were scored
    grids       scores laid out on the plane's axes
    planes      Figures 3 and 10: the plane through the three models
    geometry    Figure 4: norm ratio against angle
    layers      norms and angles by layer
    pairs       the lines for one language pair, raw scores
    figures     the registry: a new figure is one module and one line there
    summary     one row of numbers per encoder, task and pair
    findings    what those numbers say, in sentences
    shape       barriers, straightness and flatness, a row a cell
    examples    Table 1: examples by language, task and split
    baselines   what one constant answer scores
    seeds       how many seeds a claim would need
    table_files  tables as CSV, LaTeX and Markdown
    bootstrap   intervals by resampling language pairs and seeds, and rows
    measures    the numbers behind the paper's claims, one a cell
    claims      the claims, and the range of a measure that supports each (docs/verdicts.md)
    verdicts    supported, not supported, cannot tell; the same against a control
    verdict_words  those in words, and as verdicts.csv
    texts       tables of text that the summary and the page share
    report      summary.md, summary.csv and verdicts.csv
    pictures    figures as parts of a page, and captions
    captions    captions.md: what each figure shows
    provenance  what the files say of how they were made; corpora and licences
    page        report.html, from the template report.html.jinja

The paper: Wu, Van Durme and Dredze, "Zero-shot Cross-lingual Transfer is Under-specified
Optimization", RepL4NLP 2022, https://arxiv.org/abs/2207.05666.
"""
