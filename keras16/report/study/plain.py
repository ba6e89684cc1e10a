"""A study's outcome as plain values, for JSON: no NaN, None where unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras16.analysis import progress, recipe
from keras16.analysis.cells import Cell, Grid
from keras16.analysis.claims import Judgement
from keras16.analysis.contrasts import Contrast, Contrasts
from keras16.report.study import evidence, headline
from keras16.statistics import counts


def summary(
    grid: Grid, judged: Sequence[Judgement], compared: Sequence[Contrasts]
) -> dict[str, Any]:
    """Everything that the report's tables say.

    Args:
        grid: All runs.
        judged: The study's claims.
        compared: The arms against the baseline.
    """
    study = grid.study
    return {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        "metric": dataclasses.asdict(grid.metric),
        "margin": grid.margin,
        "verdict": headline.verdict(grid, judged),
        "progress": dataclasses.asdict(progress.progress(grid)),
        "recipe": dataclasses.asdict(recipe.recipe(grid)),
        "claims": [_claim(one, grid) for one in judged],
        "cells": [_cell(cell) for cell in grid.cells.values() if cell.records],
        "contrasts": [_contrasts(one) for one in compared],
        "fingerprint": progress.fingerprints(grid),
    }


def _claim(one: Judgement, grid: Grid) -> dict[str, Any]:
    return {
        **dataclasses.asdict(one.claim),
        "verdict": one.verdict,
        "ours": evidence.ours(one, grid),
        "evidence": evidence.sentences(one, grid),
        "row_verdicts": one.rows,
        "rows_not_tested": one.short,
        "rows_planned": len(one.claim.rows or grid.study.rows),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    mean, deviation = cell.score
    numbers = (
        "median_epoch_seconds",
        "weight_bytes",
        "optimizer_bytes",
        "peak_memory_bytes",
    )
    return {
        "row": cell.row,
        "arm": cell.arm,
        "runs": len(cell.records),
        "finished": len(cell.finished),
        "diverged": cell.diverged,
        "crashed": cell.failures - cell.diverged,
        "failure_interval": counts.rate_interval(cell.failures, len(cell.records)),
        "accuracy": mean if cell.metric.is_accuracy else None,
        "score": mean,
        "deviation": deviation,
        **{name: cell.middle(name) for name in numbers},
        "timed_alone": cell.timed_alone,
        "wide_tensors": cell.wide_tensors,
    }


def _contrasts(found: Contrasts) -> dict[str, Any]:
    return {
        "arm": found.arm,
        "against": found.against,
        "pooled": dataclasses.asdict(found.pooled),
        "times_as_fast": evidence.typical_ratio(found.rows),
        "rows": [_contrast(row) for row in found.rows],
    }


def _contrast(one: Contrast) -> dict[str, Any]:
    values = dataclasses.asdict(one)
    tuples = {
        name: found._asdict() if found is not None else None
        for name, found in (("examples", one.examples), ("ratio", one.ratio))
    }
    return {**values, **tuples}
