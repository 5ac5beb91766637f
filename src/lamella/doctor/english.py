"""The doctor's texts in English."""

ENGLISH: dict[str, dict[str, str]] = {
    "labels": {
        "seen": "Seen:    ",
        "meaning": "Meaning: ",
        "advice": "Try:     ",
        "page": "More:    ",
    },
    "non_finite": {
        "name": "The loss is no number",
        "seen": "the loss became NaN or infinite (after {epoch} whole epochs).",
        "seen.weights": "the weights of layer '{layer}' are NaN or infinite (after {epoch} whole epochs).",
        "seen.outputs": "'{layer}' is the first layer whose output is NaN or infinite (after {epoch} whole epochs).",
        "seen.loss": "every layer's output is finite, but the loss is not (after {epoch} whole epochs).",
        "meaning": "Something was divided by 0, the logarithm or the root of 0 was taken, or numbers outgrew float32.",
        "meaning.weights": "A gradient was NaN or infinite: it was made behind the last layer with such weights.",
        "advice": (
            "If the loss grew first, take a tenth of the learning rate. If not, look for log, sqrt or a division "
            "and add a small number inside: log(x + 1e-7)."
        ),
    },
    "output_does_not_fit_loss": {
        "name": "The last activation does not fit the loss",
        "seen": "the last layer '{layer}' ends in {activation}, the loss is {loss}.",
        "seen.probabilities_as_logits": (
            "'{layer}' ends in {activation}, and {loss} with from_logits=True applies it again."
        ),
        "seen.logits_as_probabilities": (
            "{loss} takes probabilities, but '{layer}' ({activation}) gives numbers from {low:.3g} to {high:.3g}."
        ),
        "seen.not_a_distribution": (
            "{loss} takes probabilities that sum to 1, but those of '{layer}' ({activation}) sum to {low:.3g} to "
            "{high:.3g}."
        ),
        "seen.softmax_of_one": "'{layer}' is a softmax over one unit, which always gives 1.",
        "seen.out_of_reach": (
            "'{layer}' ({activation}) gives numbers from {low:g} to {high:g}, but {outside:.0%} of the targets lie "
            "outside."
        ),
        "meaning": "The loss computes something else than you mean; training is slow, or ends in a wrong place.",
        "advice": (
            "For one of several classes: softmax, or no activation with from_logits=True. For yes or no: one unit "
            "with sigmoid and binary_crossentropy. For any number: no activation with 'mse'."
        ),
    },
    "unscaled_inputs": {
        "name": "The inputs are not scaled",
        "seen": "what layer '{layer}' is given has a size (root mean square) of up to {largest:.3g}.",
        "seen.apart": (
            "the inputs of layer '{layer}' have sizes far apart: feature {feature} {largest:.3g}, a typical one "
            "{typical:.3g} (root mean squares)."
        ),
        "seen.small": (
            "what layer '{layer}' is given is almost 0: its size (root mean square) is at most {largest:.3g}."
        ),
        "meaning": (
            "Initial weights and learning rates are made for inputs of a size of about 1. With others some "
            "directions learn in leaps and others hardly at all."
        ),
        "advice": (
            "Pictures: layers.Rescaling(1 / 255) first. Tables: layers.Normalization(), adapted to the training data."
        ),
    },
    "exploding_activations": {
        "name": "A layer's weights start too large",
        "seen": (
            "before training the output of layer '{layer}' was {gain:.3g} times as large as its input (weights of "
            "size {weight:.3g})."
        ),
        "meaning": "Each such layer multiplies signals and gradients: the loss starts huge, and steps go anywhere.",
        "advice": (
            "Take 'he_normal' for ReLU, 'glorot_uniform' (the default) for others, or BatchNormalization after it."
        ),
    },
    "exploding_gradients": {
        "name": "Gradients explode through time",
        "seen": "the output of layer '{layer}' is {ratio:.3g} times as large as its input (after epoch {epoch}).",
        "meaning": "From step to step of a sequence the numbers grow, forwards and backwards: the gradient explodes.",
        "advice": "clipnorm=1.0 in the optimizer, an orthogonal recurrent_initializer, or an LSTM or GRU.",
        "seen.back": (
            "the gradient of the weights of layer '{layer}' is {ratio:.3g} times that of '{other}' (after epoch "
            "{epoch})."
        ),
    },
    "rate_too_large": {
        "name": "The learning rate is too large",
        "seen": "the loss is {loss:.3g} after epoch {epoch}.",
        "seen.raises": (
            "one step along the gradient took the loss on the same samples from {before:.3g} to {after:.3g}; after "
            "epoch {epoch} the loss is {loss:.3g}."
        ),
        "seen.jumps": (
            "one step changes the weights of layer '{layer}' by {ratio:.0%} of their size, and the loss does not "
            "fall (after epoch {epoch}: {loss:.3g})."
        ),
        "meaning": "Steps go beyond the valley that they should go down into: the loss jumps, grows, or stays high.",
        "advice": (
            "A tenth of the rate, then again a tenth. lamella.study.learning_rates shows the loss for many rates "
            "at once."
        ),
    },
    "dead_units": {
        "name": "ReLU units are dead",
        "seen": "{share:.0%} of the units of layer '{layer}' gave 0 for every sample looked at (after epoch {epoch}).",
        "meaning": "Where a ReLU gives 0 its gradient is 0 too: a unit that is 0 for all samples never learns again.",
        "advice": (
            "A smaller learning rate, biases that start at 0, scaled inputs; or LeakyReLU, ELU, BatchNormalization "
            "before the activation."
        ),
    },
    "saturated_units": {
        "name": "Units are saturated",
        "seen": (
            "{share:.0%} of the outputs of layer '{layer}' lie on the flat ends of its curve (after epoch {epoch})."
        ),
        "meaning": "There the slope is below 5 % of the greatest, so hardly any gradient comes through.",
        "advice": (
            "Smaller initial weights ('glorot_uniform'), scaled inputs, a smaller rate, BatchNormalization before "
            "the activation; or ReLU."
        ),
    },
    "vanishing_gradients": {
        "name": "Gradients vanish on their way back",
        "seen": (
            "the gradient of the weights of layer '{layer}' is {ratio:.2g} times that of '{other}' (after epoch "
            "{epoch})."
        ),
        "meaning": (
            "Each layer makes the gradient smaller (a sigmoid by 4 or more): the first layers stay as they began."
        ),
        "advice": "ReLU in place of sigmoid or tanh, 'he_normal', BatchNormalization, or residual connections.",
    },
    "rate_too_small": {
        "name": "The learning rate is too small",
        "seen": (
            "in {epoch} epochs the loss fell by {change:.2%}. A single step {times:.0e} times as long as the last "
            "would take it from {before:.3g} to {best:.3g}."
        ),
        "seen.rose": (
            "in {epoch} epochs the loss rose by {change:.2%}. A single step {times:.0e} times as long as the last "
            "would take it from {before:.3g} to {best:.3g}."
        ),
        "meaning": (
            "The way down is straight and long, and steps are short: training would take many times as long as it "
            "needs."
        ),
        "advice": "Ten times the rate, then again. lamella.study.find_learning_rate finds one in a single short run.",
    },
    "attention_collapse": {
        "name": "Attention looks at one place only",
        "seen": (
            "the attention of layer '{layer}' is spread over {entropy:.1%} of what is possible (after epoch {epoch}"
            "; entropy relative to even attention)."
        ),
        "meaning": (
            "Its softmax is saturated: nearly all weight lies on one place, and queries and keys get no gradient."
        ),
        "advice": "LayerNormalization before attention, smaller initial weights, a warm-up of the learning rate.",
    },
    "leaked_rows": {
        "name": "Validation rows are training rows",
        "seen": (
            "{count} validation rows ({share:.0%}) are in the training data, too; row {row} is training row "
            "{training_row}."
        ),
        "meaning": "The validation figures are too good: the model has seen these rows.",
        "advice": (
            "Remove duplicates before splitting, and split by person, day or document where several rows belong "
            "together."
        ),
    },
    "under_fitting": {
        "name": "The model under-fits",
        "seen": (
            "the loss has stopped at {loss:.3g} (epoch {epoch}); always giving the same answer would reach "
            "{constant:.3g}."
        ),
        "meaning": "The model is too simple for these data, or the inputs do not tell the targets.",
        "advice": (
            "More units or layers, a non-linear activation, less regularization, better features. Check that x and "
            "y still belong together."
        ),
    },
    "over_fitting": {
        "name": "The model over-fits",
        "seen": (
            "after epoch {epoch} the loss is {training:.3g} on the training data and {validation:.3g} on the "
            "validation data."
        ),
        "seen.rises": (
            "the validation loss was {best:.3g} after epoch {best_epoch} and is {validation:.3g} after epoch "
            "{epoch}, while the training loss is {training:.3g}."
        ),
        "meaning": "The model learns the training samples by heart, not what they have in common with new ones.",
        "advice": (
            "EarlyStopping(restore_best_weights=True), Dropout, L2, a smaller model, augmentation; best of all: "
            "more data."
        ),
    },
    "label_imbalance": {
        "name": "The classes are unbalanced",
        "seen": "class {common} has {most} samples, class {rare} has {least}.",
        "meaning": "Ignoring the rare class costs little loss and hardly any accuracy, so the model may do just that.",
        "advice": (
            "fit(class_weight=...), more samples of the rare class, and figures such as F1 or AUC in place of accuracy."
        ),
    },
    "constant_features": {
        "name": "Some features never change",
        "seen": "{count} of {of} features are the same in every row: {columns}.",
        "meaning": "They tell nothing. Often a file was read wrongly, or a column was filled in.",
        "advice": "Look at these columns; leave them out if they are meant to be so.",
    },
    "loss_spike": {
        "name": "The loss leapt up and came back",
        "seen": "in epoch {epoch} the loss rose from {before:.3g} to {loss:.3g}.",
        "meaning": "A few samples with huge gradients, or a rate at the edge of what is possible.",
        "advice": "clipnorm=1.0 in the optimizer, a somewhat smaller rate; look for outliers in the data.",
    },
}
