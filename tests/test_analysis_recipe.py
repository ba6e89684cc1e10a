"""What was trained, told from the records; and claims about nets that are good."""

import dataclasses

import pytest
import synthetic

from keras16.analysis import cells, claims, contrasts, recipe
from keras16.report.study import contents, evidence, headline, markdown
from keras16.statistics import several

DEFAULTS = {
    ("sgd", "16-plain"): {"learning_rate": 0.01, "momentum": 0.9},
    ("sgd", "32"): {"learning_rate": 0.01, "momentum": 0.9},
    ("adam", "16-plain"): {"learning_rate": 0.001, "epsilon": 1e-4},
    ("adam", "32"): {"learning_rate": 0.001, "epsilon": 1e-7},
}


def of_two_optimizers():
    """A study, and its records with the optimizers' defaults filled in."""
    plan = synthetic.study(rows=2, arms=("16-plain", "32"), seeds=2)
    rows = tuple(
        dataclasses.replace(row, fields={"optimizer": optimizer})
        for row, optimizer in zip(plan.rows, ("sgd", "adam"), strict=True)
    )
    plan = dataclasses.replace(plan, rows=rows)
    found = [
        changed(one, **DEFAULTS[one.run.optimizer, one.arm])
        for one in synthetic.records(plan)
    ]
    return plan, found


def changed(record, **fields):
    return dataclasses.replace(record, run=dataclasses.replace(record.run, **fields))


def section(plan, found):
    text = markdown.rendered(contents.document(cells.grid(plan, found), {}))
    return text.partition("## What was trained\n")[2].partition("\n## ")[0]


def test_fields_stand_where_they_differ():
    found = recipe.recipe(cells.grid(*of_two_optimizers()))
    assert found.by_row == {
        "optimizer": {"cnn, Adam": ("sgd",), "resnet14": ("adam",)},
        "learning_rate": {"cnn, Adam": (0.01,), "resnet14": (0.001,)},
        "momentum": {"cnn, Adam": (0.9,), "resnet14": ()},
        "epsilon": {"cnn, Adam": (), "resnet14": (1e-4, 1e-7)},
    }
    assert found.by_arm == {
        "precision": {"16-plain": ("16-plain",), "32": ("32",)},
        "epsilon": {"16-plain": (1e-4,), "32": (1e-7,)},
    }
    assert found.shared["dataset"] == ("cifar10",)
    assert found.shared["weight_decay"] == (0.0,)
    assert not {"seed", "loss", "nesterov", "batch_norm"} & set(found.shared)


def test_a_recipe_is_that_of_the_runs_not_of_the_plan():
    plan, found = of_two_optimizers()
    longer = [changed(one, epochs=6 if one.pair else 2) for one in found]
    assert recipe.recipe(cells.grid(plan, longer)).shared["epochs"] == (2, 6)
    nothing = recipe.Recipe({}, {}, {})
    assert recipe.recipe(cells.grid(plan, [])) == nothing


def test_what_no_row_or_arm_explains_stands_with_both():
    plan, found = of_two_optimizers()
    places = {("cnn, Adam", "16-plain"), ("resnet14", "32")}
    told = recipe.recipe(
        cells.grid(plan, [r for r in found if (r.row, r.arm) in places])
    )
    assert told.by_row["epsilon"] == {"cnn, Adam": (), "resnet14": (1e-7,)}
    assert told.by_arm["epsilon"] == {"16-plain": (), "32": (1e-7,)}


def test_the_report_says_what_was_trained():
    said = section(*of_two_optimizers())
    assert "| resnet14 | adam | 0.001 | - | 0.0001 or 1e-07 |" in said
    assert 'In what the rows differ; "or": by the arm.' in said
    assert "In what the arms differ.\n" in said
    assert "| 16-plain | 0.0001 |" in said
    assert "precision the name of the arm, model cnn, dataset cifar10" in said
    assert "epochs 6, batch size 64, validation 0.1." in said


def test_those_that_are_alike_share_a_line_and_names_are_not_repeated():
    arms = ("16", "32", "32, other seeds")
    plan = synthetic.study(rows=3, arms=arms, seeds=1)
    rows = (dataclasses.replace(plan.rows[0], name="cnn"), *plan.rows[1:])
    run = dataclasses.replace(plan.run, optimizer="sgd", nesterov=True)
    plan = dataclasses.replace(plan, rows=rows, run=run)
    said = section(plan, synthetic.records(plan))
    assert "| 32; 32, other seeds | 32 |" in said
    assert "model the name of the row" in said
    assert "In what the rows differ" not in said
    assert "nesterov yes" in said


# McNemar's p-values


def test_p_values_of_examples_are_corrected_for_the_rows_that_have_one():
    plan = synthetic.study(rows=3, seeds=2)
    found = synthetic.records(plan, {"16": 0.004})
    rows = contrasts.contrasts(cells.grid(plan, found), "16", "32").rows
    plain = [row.examples.p_value for row in rows]
    assert [row.p_examples_holm for row in rows] == several.holm(plain)
    bare = [
        dataclasses.replace(one, correct="") if one.row == "resnet14" else one
        for one in found
    ]
    rows = contrasts.contrasts(cells.grid(plan, bare), "16", "32").rows
    first, none, last = (row.p_examples_holm for row in rows)
    assert none == 1.0
    assert [first, last] == several.holm([plain[0], plain[2]])


# Claims about nets that are good


def judged(least, rows=2, **fields):
    """A claim of equivalence; nets come to 0.8, those of the second row to 0.7."""
    plan = synthetic.study(rows=rows, seeds=6)
    found = [
        dataclasses.replace(one, test_accuracy=one.test_accuracy - 0.1)
        if one.row == "resnet14"
        else one
        for one in synthetic.records(plan, examples=20_000)
    ]
    grid = cells.grid(plan, found)
    claim = synthetic.claim("equivalent", least=least, **fields)
    return claims.judge(grid, claim), grid


@pytest.mark.parametrize("least", [None, 0.6])
def test_nets_as_good_as_a_claim_supposes_test_it(least):
    judgement, grid = judged(least)
    assert judgement.verdict == claims.CONFIRMED
    assert judgement.short == {}
    assert "is at" not in evidence.sentences(judgement, grid)


def test_a_claim_about_better_nets_is_not_tested():
    judgement, grid = judged(0.9)
    assert (judgement.verdict, judgement.rows) == (claims.NOT_TESTED, {})
    assert [judgement.rows_of(verdict) for verdict in claims.VERDICTS] == [[]] * 5
    assert evidence.verdict(judgement, grid) == "not tested"
    told = [f"{100 * mean:.2f} % ({row})" for row, mean in judgement.short.items()]
    assert evidence.sentences(judgement, grid) == (
        f"32 is at {told[0]} and {told[1]}, below 90 %."
    )
    assert "As accurate as 32: 16 not tested (" in headline.verdict(grid, [judgement])
    assert "0 of 1 claims confirmed, 1 not tested." in headline.verdict(
        grid, [judgement]
    )


def test_a_claim_is_judged_by_the_rows_that_are_good_enough():
    judgement, grid = judged(0.75)
    assert judgement.rows == {"cnn, Adam": claims.CONFIRMED}
    assert evidence.verdict(judgement, grid) == "confirmed (1 of 2 rows tested)"
    assert list(judgement.short) == ["resnet14"]
    assert evidence.sentences(judgement, grid).endswith(
        " % (resnet14), below 75 %: not tested there."
    )


def test_the_method_tells_of_it_where_a_claim_has_it():
    plan = synthetic.study(claims=(synthetic.claim("equivalent", least=0.9),))
    said = markdown.rendered(contents.document(cells.grid(plan, []), {}))
    assert "A claim about good nets is not tested by a row in which" in said
    plain = markdown.rendered(contents.document(cells.grid(synthetic.study(), []), {}))
    assert "A claim about good nets" not in plain


def test_without_a_net_to_compare_with_it_is_as_any_claim():
    plan = synthetic.study(seeds=3)
    failed = [
        synthetic.failed(one) if one.arm == "32" else one
        for one in synthetic.records(plan)
    ]
    claim = synthetic.claim("equivalent", least=0.9)
    judgement = claims.judge(cells.grid(plan, failed), claim)
    assert judgement.short == {}
    assert judgement.verdict == claims.NOT_CONFIRMED
