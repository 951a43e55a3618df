"""Freezing: train the heads on a body that stands still, as the report does for its first 1000 iterations.

A model that can be frozen has `frozen` (bool, False at first), `freezable()`, the list of modules that freezing
concerns, and a `train` that ends with `hold_frozen(self)`.
"""

from torch import nn


def set_frozen(model: nn.Module, frozen: bool) -> None:
    """Freeze or thaw all of `model` but its heads. Costs nothing when that is its state already: call it every step.

    Frozen parameters receive no gradient and have none (so no optimiser moves them, by weight decay or momentum
    neither), and frozen batch normalisation uses its running statistics and does not update them. `model.train()`
    keeps this; only set_frozen(model, False) ends it. A model trained from scratch has the statistics 0 and 1 then:
    its body does not normalise while frozen. The report says so, and FastReID does so.

    Under DistributedDataParallel wrap the model again after a change: it looks at requires_grad only once.
    Source: report 000, Section 2.2 ("freeze the weights of backbone and branch 1-4 for the first 1000 iterations").
    """
    if model.frozen == frozen:
        return
    model.frozen = frozen
    for part in model.freezable():
        part.requires_grad_(not frozen)
        if frozen:
            part.zero_grad(set_to_none=True)    # else the optimiser would apply the last step's gradient once more
    model.train(model.training)


def hold_frozen(model: nn.Module) -> nn.Module:
    """Put what is frozen back into eval mode; for the end of a model's `train` method."""
    if model.frozen:
        for part in model.freezable():
            part.eval()
    return model
