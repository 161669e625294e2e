"""Runs a plan's jobs on Ray; the only place that imports it.

    run.py          run_plan: runs the jobs as one Tune experiment and says how it ended
    session.py      connects to Ray or starts one, quietly
    jobgraph.py     which job comes next and which can no longer run; no Ray
    searcher.py     the graph as a Tune search algorithm: a suggestion is a job
    retries.py      how often a job is tried again after an error, after a lost machine; no Ray
    trial.py        a job as a Tune trial: resources, steps, reuse of processes
    server.py       EndpointServer actors, and the pool that hands points to them
    ranks.py        the other processes of a fine-tuning that several share
    trim.py         gives back memory that ended jobs have freed; no Ray
    bundle.py       places the actors of a trial in what it reserved
    jobrunners.py   which function runs which kind of job; imported by workers only
    callback.py     Tune's events as calls of the progress display; what a job failed of
    progress.py     the display in a terminal, plain lines elsewhere, events for machines; no Ray
    startups.py     how long jobs take before they work; no Ray
    running.py      a job under way: how far it is, and its pace; no Ray
    forecast.py     how long the rest of a run takes; no Ray
    metrics.py      what Ray exports for Prometheus
    trackers.py     TensorBoard, MLflow, Weights & Biases by Tune's own loggers
    capacity.py     what a job needs and whether a node is large enough
    split.py        on how many devices a surface is split
    room.py         waits until machines are there, and large enough
    demand.py       asks the autoscaler for machines, and takes that back
    stranded.py     jobs that fit no more since machines were lost
    waiting.py      says now and then that a run waits; no Ray
    committed.py    which running jobs the store has the results of, when a run ends
    sharing.py      does every machine see the store and the data
    interrupt.py    Ctrl-C and SIGTERM end a run in good order
    watch.py        notices that Ray is gone, and says what ended a run
    quiet.py        contexts in which Ray itself says nothing

The driver never imports torch: it starts in a second or two and holds no model.
"""
