"""Models by name, and what a misspelt name or option says."""

import pytest
import torch

from reidlib.models import MGN, Baseline, build


def test_build_makes_models_by_name():
    with torch.device("meta"):
        mgn = build("mgn", parts=[1, 2, 3, 4], num_classes=7)
        baseline = build("baseline", backbone="resnet18", num_classes=7)
    assert isinstance(mgn, MGN) and mgn.feature_dim == 3328
    assert isinstance(baseline, Baseline) and baseline.feature_dim == 512


def test_same_seed_same_weights():
    def weights():
        torch.manual_seed(3)
        return build("mgn", backbone="resnet18_ibn", width=0.125).state_dict()

    assert all(torch.equal(a, b) for a, b in zip(weights().values(), weights().values(), strict=True))


@pytest.mark.parametrize("name, options, message", [
    ("mgm", {}, "name: 'mgm' is no model; there are mgn, baseline"),
    ("mgn", {"part": (1, 2)}, "part: mgn has no such option; did you mean 'parts'?"),
    ("mgn", {"backbon": "resnet18"}, "did you mean 'backbone'?"),
    ("mgn", {"ibn": True}, "ibn: mgn has no such option"),
    ("baseline", {"xyzzy": 1}, "xyzzy: baseline has no such option; it has num_classes, backbone"),
])
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(ValueError) as error:
        build(name, **options)
    assert message in str(error.value)
