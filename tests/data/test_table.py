import pandas as pd
import pytest

from reidlib.data.table import check_table, count_table, make_table, refuse_singles, unmatched_queries


def row(path, person, camera, sequence, frame, split, role, **more):
    return {
        "path": path, "person": person, "camera": camera, "sequence": sequence, "frame": frame,
        "split": split, "role": role, **more,
    }  # fmt: skip


GOOD = [
    row("v/g/1.jpg", 7, 1, 0, 1, "val", "gallery"),
    row("v/q/0.jpg", 7, 0, 0, 0, "val", "query"),
    row("t/b.jpg", 2, 0, 0, 1, "train", "train"),
    row("t/a.jpg", 2, 0, 0, 0, "train", "train"),
    row("t/c.jpg", 1, 0, 3, 0, "train", "train"),
]


def columns(rows):
    return {name: [each[name] for each in rows] for name in rows[0]}


def changed(number, **values):
    rows = [dict(each) for each in GOOD]
    rows[number].update(values)
    return rows


def test_sorted_typed_and_counted_from_zero():
    table = make_table(columns(GOOD))
    assert list(table["path"]) == ["t/c.jpg", "t/a.jpg", "t/b.jpg", "v/g/1.jpg", "v/q/0.jpg"]
    assert list(table.columns) == ["path", "person", "camera", "sequence", "frame", "split", "role"]
    assert (table[["person", "camera", "sequence", "frame"]].dtypes == "int64").all()
    assert list(table.index) == list(range(5))


def test_the_order_given_does_not_matter():
    pd.testing.assert_frame_equal(make_table(columns(GOOD)), make_table(columns(GOOD[::-1])))


def test_unlabelled_images_are_sorted_by_their_numbers():
    rows = [row(f"q/{n}.jpeg", -1, 0, -1, -1, "test", "query") for n in (10, 9, 100)]
    rows += [row("g/1.jpeg", -1, 1, -1, -1, "test", "gallery")]
    assert list(make_table(columns(rows))["path"]) == ["g/1.jpeg", "q/9.jpeg", "q/10.jpeg", "q/100.jpeg"]


@pytest.mark.parametrize(
    "rows, message",
    [
        (changed(0, path="t/a.jpg"), "2 of 5 images are listed twice: t/a.jpg"),
        (changed(2, frame=0), "2 of 5 images share person, camera, sequence and frame .*: t/a.jpg, t/b.jpg"),
        (changed(2, person=-1), "1 of 5 images are for training and have no label: t/b.jpg"),
        (changed(0, person=-2), "have a person below -1: v/g/1.jpg"),
        (changed(0, role="train"), "have a role that their split does not know: v/g/1.jpg"),
        (changed(0, split="dev"), "have a split other than train, val, test: v/g/1.jpg"),
        (GOOD[1:], "the gallery of split val is empty"),
        (GOOD[:1] + GOOD[2:], "the query of split val is empty"),
        ([each | {"visible": 0.5 + 0.2 * n} for n, each in enumerate(GOOD)], "visible fraction outside 0..1"),
        ([each | {"visible": float("nan")} for each in GOOD], "5 of 5 images have a visible fraction outside 0..1"),
    ],
)
def test_a_bad_table_is_refused_by_name(rows, message):
    if "twice" in message:
        message = message.replace("2 of 5", "1 of 5")
    with pytest.raises(ValueError, match=f"^table: .*{message}"):
        make_table(columns(rows))


def test_missing_columns_types_and_emptiness_are_named():
    table = make_table(columns(GOOD))
    with pytest.raises(ValueError, match="^table: no column role"):
        check_table(table.drop(columns="role"))
    with pytest.raises(ValueError, match="^table: column person wants int64, got float64"):
        check_table(table.astype({"person": float}))
    with pytest.raises(ValueError, match="^table: holds no image"):
        check_table(table.iloc[:0])
    with pytest.raises(ValueError, match="^columns: frame, split missing"):
        make_table({name: [] for name in ("path", "person", "camera", "sequence", "role")})


def test_a_training_identity_with_one_image_is_named_with_its_file_and_a_remedy():
    with pytest.raises(ValueError, match=r"^root: 1 of 2 training identities .* \(t/c.jpg\).*pass allow_single=True"):
        refuse_singles(make_table(columns(GOOD)))
    refuse_singles(make_table(columns(GOOD[:-1])))


def test_counts_and_unmatched_queries():
    rows = GOOD + [
        row("v/q/9.jpg", 9, 0, 0, 0, "val", "query"),
        row("s/q/1.jpeg", -1, 0, -1, -1, "test", "query"),
        row("s/g/2.jpeg", -1, 1, -1, -1, "test", "gallery"),
    ]
    table = make_table(columns(rows))
    counts = count_table(table)
    assert counts.loc[("train", "train")].tolist() == [2, 3, 1]
    assert counts.loc[("val", "query")].tolist() == [2, 2, 2]
    assert counts.loc[("test", "gallery")].tolist() == [0, 1, 0]
    assert list(counts.columns) == ["persons", "images", "singles"]
    assert list(unmatched_queries(table)["path"]) == ["v/q/9.jpg"]
    assert len(unmatched_queries(make_table(columns(GOOD[2:])))) == 0
