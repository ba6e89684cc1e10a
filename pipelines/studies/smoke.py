"""Does a study work on this machine, from the first run to the report?

    keras16 study run smoke

takes about a minute, needs no network, and proves nothing about precision: two seeds
and two epochs of a small net on 5,000 digits.
"""

from keras16.study import Row, Run, Study

from ._claims import CLAIMS, FULL, PURE

STUDY = Study(
    name="smoke",
    title="A smoke test of studies",
    question="Does a study work on this machine, from the first run to the report?",
    run=Run(model="dnn", dataset="mnist5k", epochs=2, batch_size=64),
    rows=(Row(name="dnn", fields={}),),
    arms=(PURE, FULL),
    seeds=2,
    claims=tuple(
        claim for claim in CLAIMS if (claim.arm, claim.against) == ("16", "32")
    ),
)
