"""Every mistake has a message that says what was expected, what was found and how to mend it."""

import pytest
import torch

from lamella import metrics
from lamella.errors import ArgumentError, LamellaError, NotBuiltError, ShapeError, UnknownNameError

ones = torch.ones


class Forgetful(metrics.Metric):
    def __init__(self):
        self.total = self.add_variable(())


REFUSED = [
    (lambda: metrics.Precision(thresholds=1.5), ArgumentError, r"thresholds must lie from 0 to 1; got \[1.5\]"),
    (lambda: metrics.TruePositives([0.2, -1]), ArgumentError, r"thresholds must lie from 0 to 1; got \[-1\]"),
    (lambda: metrics.Recall(thresholds=[None]), ArgumentError, r"got \[None\]"),
    (lambda: metrics.AUC(curve="ROCK"), ArgumentError, "`curve` must be 'ROC', 'PR' or 'PRGAIN'; got 'ROCK'"),
    (lambda: metrics.AUC(summation_method="some"), ArgumentError, "`summation_method` must be one of"),
    (lambda: metrics.AUC(num_thresholds=1), ArgumentError, "must be more than 1; got 1"),
    (lambda: metrics.AUC(num_labels=3), ArgumentError, "`num_labels` is for `multi_label=True`"),
    (lambda: metrics.AUC(label_weights=[1.0, 2.0])(ones(4, 3), ones(4, 3)), ShapeError, r"2 label_weights.*\(4, 3\)"),
    (lambda: metrics.AUC(multi_label=True)(ones(4), ones(4)), ShapeError, r"predictions of shape \(batch, labels\)"),
    (lambda: metrics.AUC(multi_label=True, name="a").result(), NotBuiltError, r"a: there is no result yet.*update_st"),
    (lambda: metrics.SensitivityAtSpecificity(1.5), ArgumentError, "`specificity` must lie from 0 to 1; got 1.5"),
    (lambda: metrics.PrecisionAtRecall(-0.1), ArgumentError, "`recall` must lie from 0 to 1; got -0.1"),
    (lambda: metrics.RecallAtPrecision(0.5, 0), ArgumentError, "`num_thresholds` must be 1 or more; got 0"),
    (lambda: metrics.Recall(class_id=9)(ones(1, 2), ones(1, 2)), ArgumentError, "`class_id` is 9.*have 2 classes"),
    (lambda: metrics.Recall(class_id=1)(ones(4), ones(4)), ShapeError, r"`class_id` needs.*got \(4,\)"),
    (lambda: metrics.Recall(top_k=3)(ones(1, 2), ones(1, 2)), ArgumentError, "`top_k` is 3.*have 2 classes"),
    (
        lambda: metrics.Precision(name="p")(ones(4), ones(4, 3)),
        ShapeError,
        r"p: targets of shape \(4,\).*to_categorical",
    ),
    (lambda: metrics.Precision()(ones(3), ones(3), ones(4)), ShapeError, r"\(4,\) does not fit.*one weight a sample"),
    (lambda: metrics.Mean()(ones(3), ones(3, 4)), ShapeError, r"mean: sample_weight of shape \(3, 4\) does not fit"),
    (lambda: metrics.Mean()(ones(3), ones(4)), ShapeError, r"give one weight a sample, shape \(3,\)"),
    (lambda: metrics.MeanSquaredError()(ones(3), ones(3, 4)), ShapeError, r"\(3,\).*\(3, 4\).*must be equal"),
    (lambda: metrics.RootMeanSquaredError()(ones(3), ones(4)), ShapeError, "root_mean_squared_error.*must be equal"),
    (lambda: metrics.SparseCategoricalAccuracy()(ones(3, 4), ones(3, 4)), ShapeError, "'categorical_accuracy'"),
    (lambda: metrics.CategoricalAccuracy()(ones(3), ones(3, 4)), ShapeError, "'sparse_categorical_accuracy'"),
    (lambda: metrics.BinaryAccuracy()(ones(3), ones(3, 4)), ShapeError, r"binary_accuracy: targets of shape \(3,\)"),
    (lambda: metrics.F1Score()(ones(3), ones(3)), ShapeError, "to_categorical"),
    (lambda: metrics.F1Score()(ones(3, 2), ones(3, 4)), ShapeError, r"one shape \(batch, classes\); got \(3, 2\)"),
    (lambda: metrics.F1Score(name="f").result(), NotBuiltError, "f: there is no result yet"),
    (lambda: metrics.F1Score(average="mean"), ArgumentError, "`average` must be None, 'micro'"),
    (lambda: metrics.FBetaScore(beta=1), ArgumentError, "`beta` must be a positive float; got 1"),
    (lambda: metrics.FBetaScore(beta=-1.0), ArgumentError, "`beta` must be a positive float; got -1.0"),
    (lambda: metrics.FBetaScore(threshold=2.0), ArgumentError, "`threshold` must be a float above 0 and at most 1"),
    (lambda: metrics.IoU(2, [5]), ArgumentError, "`target_class_ids` has 5, but there are 2 classes"),
    (lambda: metrics.MeanIoU(3)(ones(2, 4), ones(2, 4, 3)), ShapeError, "pass sparse_y_pred=False"),
    (lambda: metrics.MeanIoU(3)(ones(2, 4), ones(2, 4), ones(3)), ShapeError, r"sample_weight of shape \(3,\)"),
    (lambda: metrics.R2Score("mean"), ArgumentError, "`class_aggregation` must be one of"),
    (lambda: metrics.R2Score(num_regressors=-1), ArgumentError, "`num_regressors` must be 0 or more; got -1"),
    (lambda: metrics.R2Score()(ones(4), ones(4)), ShapeError, r"\(batch, outputs\); got \(4,\)"),
    (lambda: metrics.R2Score().result(), NotBuiltError, "there is no result yet"),
    (lambda: metrics.get("acuracy"), UnknownNameError, "Did you mean 'accuracy'"),
    (lambda: metrics.get(5), ArgumentError, "Cannot make a metric of 5"),
    (lambda: metrics.deserialize({"class_name": "Nothing", "config": {}}), UnknownNameError, "metric 'Nothing'"),
    (lambda: metrics.Mean().stateless_result([torch.zeros(())]), ArgumentError, "each of the 2 variables.*got 1"),
    (lambda: Forgetful(), NotBuiltError, r"Forgetful: call super\(\).__init__\(name=name\)"),
]


@pytest.mark.parametrize(("mistake", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_mistake_is_explained(mistake, error, message):
    with pytest.raises(error, match=message) as raised:
        mistake()
    assert isinstance(raised.value, LamellaError)
    assert isinstance(raised.value, ValueError)


def test_the_base_has_nothing_to_say():
    with pytest.raises(NotImplementedError, match=r"Metric has no update_state\(\)"):
        metrics.Metric().update_state(1)
    with pytest.raises(NotImplementedError, match=r"Metric has no result\(\)"):
        metrics.Metric().result()


def test_a_refused_batch_changes_nothing():
    metric = metrics.Precision()
    metric.update_state(ones(2), ones(2))
    before = [state.clone() for state in metric.variables]
    for wrong in ((ones(3), ones(3, 4)), (ones(3), ones(3), ones(5))):
        with pytest.raises(ShapeError):
            metric.update_state(*wrong)
    assert [state.tolist() for state in metric.variables] == [state.tolist() for state in before]
