"""The part of the sweep file that says how to run (``runtime``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xltray.spec_types import Distinct, Items, NonNegativeInt, PositiveInt, Spec


class RuntimeSpec(Spec):
    """How the sweep runs; nothing here is part of an id.

    Device, threads and processes can still change the last digits of sums, and through them a count; device
    and processes also change the random numbers of dropout.
    """

    address: str | None = Field(
        None,
        description="Ray address; default: RAY_ADDRESS, else what `ray start` began here, else a new one",
    )
    dashboard: bool = Field(True, description="start Ray's dashboard with a new local Ray")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = Field(1, description="CPU threads, and CPUs reserved, of a job or server")
    servers_per_surface: PositiveInt | Literal["auto"] = Field(
        "auto",
        description="EndpointServers that share a surface's points; auto: one, or several where there are "
        "fewer surfaces left than devices",
    )
    processes_per_finetune: PositiveInt = Field(
        1,
        description="processes, each with a device of its own and all on one machine, that share each "
        "batch of a fine-tuning; changes the random numbers of dropout",
    )
    points_per_chunk: PositiveInt = Field(16, description="points handed to a server at a time")
    retries: NonNegativeInt = Field(1, description="how often a job is tried again after an error of its own")
    retries_after_loss: NonNegativeInt = Field(
        5, description="how often a job is tried again after its process or machine was lost"
    )
    callbacks: Annotated[Items[Literal["tensorboard", "mlflow", "wandb"]], Distinct] = Field(
        (), description="trackers that jobs are logged to, by Tune's callbacks; their packages must be here"
    )
    checkpoint_seconds: float = Field(
        60.0,
        ge=0,
        description="a training is saved once so many seconds of it would be lost: pretraining at any step, "
        "fine-tuning at a validation; 0: at each",
    )
