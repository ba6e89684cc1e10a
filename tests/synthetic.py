"""Studies and records that nobody trained, drawn from a seed."""

import dataclasses

import numpy as np

from keras16.results import Epoch, Record, packed
from keras16.study import Arm, Claim, Published, Row, Run, Study

MACHINE = {
    "cpu": "AMD EPYC 9R45",
    "cores": "2",
    "memory": "23.4 GiB",
    "native_float16": "no",
    "gpu": "",
    "keras": "3.15.1",
    "tensorflow": "2.21.0",
}
BYTES = {"16": 2, "16-plain": 2, "32": 4, "mixed": 4}


def claim(kind, **fields):
    text = f"16 bits are {kind} to 32"
    return Claim(text=text, source="arXiv 2305.10947", kind=kind, **fields)


def study(rows=2, arms=("16", "32"), seeds=5, claims=(), **fields):
    published = {"16": Published(accuracy=0.809, deviation=0.003, seconds=413.0)}
    published |= {"32": Published(accuracy=0.809, seconds=551.0)}
    return Study(
        name="synthetic",
        title="A study that nobody trained",
        question="Does pure 16-bit training reach the accuracy of 32 bits?",
        run=Run(dataset="cifar10", epochs=6),
        rows=tuple(
            Row(name=f"resnet{6 * n + 8}", fields={"model": f"resnet{6 * n + 8}"})
            if n
            else Row(name="cnn, Adam", fields={}, published=published)
            for n in range(rows)
        ),
        arms=tuple(
            Arm(name=name, fields={"precision": name.split(",")[0]}) for name in arms
        ),
        seeds=seeds,
        margin=0.005,
        claims=claims or tuple(claim(kind) for kind in ("equivalent", "smaller")),
        **fields,
    )


def records(plan, lead=None, spread=0.001, seed=0, examples=2000, **fields):
    """A finished record for every run of the plan.

    `lead` adds to the accuracy of an arm; `fields` are set in every record.
    """
    random = np.random.default_rng(seed)
    luck = random.normal(0, 3 * spread, (len(plan.rows), plan.seeds))
    places = {row.name: number for number, row in enumerate(plan.rows)}
    return [
        record(
            one,
            0.8
            + luck[places[one.row], one.seed]
            + (lead or {}).get(one.arm, 0.0)
            + random.normal(0, spread),
            places[one.row],
            random,
            examples,
            fields,
        )
        for one in plan.runs()
    ]


def record(planned, accuracy, place, random, examples, fields):
    # The easy examples are the same for every net; the borderline is its own luck.
    right = random.permutation(examples // 10) < examples * (accuracy - 0.75)
    correct = np.concatenate([np.arange(examples - len(right)) % 20 < 17, right])
    short = round(accuracy * examples) - correct.sum()
    wrong = np.flatnonzero(correct != (short > 0))
    correct[wrong[: abs(short)]] ^= True
    width = BYTES.get(planned.run.precision, 4)
    seconds = (3.0 if width == 2 else 2.0) * (1 + place) * random.normal(1, 0.02)
    return Record(
        study="synthetic",
        row=planned.row,
        arm=planned.arm,
        pair=planned.seed,
        run=planned.run,
        status="finished",
        **{
            "test_accuracy": float(correct.mean()),
            "test_loss": 0.6,
            "correct": packed(correct),
            "median_epoch_seconds": seconds,
            "weight_bytes": 100_000 * (1 + place) * width,
            "optimizer_bytes": 200_000 * (1 + place) * width,
            "peak_memory_bytes": 1_500_000_000,
            "parameters": 100_000 * (1 + place),
            "wide_tensors": 0 if width == 2 else 400,
            "tensors": 2000,
            "code": "0123abcd",
            "fingerprint": MACHINE,
            "epochs": curve(planned.run.epochs, accuracy, seconds, random),
            **fields,
        },
    )


def curve(epochs, accuracy, seconds, random):
    return tuple(
        Epoch(
            epoch=number,
            loss=2.0 / number,
            accuracy=accuracy * (1 - 0.5 / number),
            val_loss=2.2 / number,
            val_accuracy=accuracy * (1 - 0.5 / number) + random.normal(0, 0.003),
            epoch_seconds=seconds,
            learning_rate=1e-3,
        )
        for number in range(1, epochs + 1)
    )


def failed(one, status="failed"):
    """The record of a run that diverged in its second epoch, or crashed."""
    nothing = dict.fromkeys(
        ("test_accuracy", "test_loss", "median_epoch_seconds", "peak_memory_bytes")
    )
    cause = "loss is NaN at step 40" if status == "failed" else "killed by signal 9"
    return dataclasses.replace(
        one,
        status=status,
        cause=cause,
        correct="",
        epochs=one.epochs[:1],
        **nothing,
    )
