from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from ssl_registry.config.split import Part, SplitConfig
from ssl_registry.data.splits import SplitWarning, make_split, read_split, split_digest, write_split
from ssl_registry.errors import DataError, RunError
from ssl_registry.interfaces.dataset import Sample

BUSI = {"benign": 437, "malignant": 210, "normal": 133}


def labelled(sizes: dict[str, int], **fields: Any) -> list[Sample]:
    return [
        Sample(f"{label} ({number})", label=label, **fields)
        for label, size in sizes.items()
        for number in range(1, size + 1)
    ]


def config(kind: str = "stratified", **fields: Any) -> SplitConfig:
    return SplitConfig.model_validate({"kind": kind, "ratios": (7, 1, 2), **fields})


def table(samples: list[Sample], split: dict[str, str]) -> dict[str, list[int]]:
    """Per label, the numbers of train, val and test samples, counted one by one."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for sample in samples:
        counts[sample.label or ""][("train", "val", "test").index(split[sample.id])] += 1
    return dict(counts)


def test_stratified_sizes_meet_the_totals_and_the_published_table() -> None:
    samples = labelled(BUSI)
    assert table(samples, make_split(samples, config())) == {
        "benign": [306, 44, 87],
        "malignant": [147, 21, 42],
        "normal": [93, 13, 27],
    }


@pytest.mark.parametrize("seed", range(40))
def test_stratified_sizes_of_arbitrary_classes(seed: int) -> None:
    draw = random.Random(seed)
    sizes = {f"class {i}": draw.randint(1, 60) for i in range(draw.randint(1, 12))}
    ratios = (draw.uniform(1, 8), draw.uniform(0.5, 3), draw.uniform(0.5, 3))
    samples = labelled({**sizes, "large": 40})
    counts = table(samples, make_split(samples, config(ratios=ratios)))
    for part, ratio in enumerate(ratios):
        share = ratio / sum(ratios)
        assert abs(sum(row[part] for row in counts.values()) - len(samples) * share) < 1
        for label, size in {**sizes, "large": 40}.items():
            assert abs(counts[label][part] - size * share) < 2


def test_random_sizes_are_rounded_by_largest_remainder() -> None:
    samples = labelled({"a": 11})
    # Shares 7.7, 1.1 and 2.2: the sample left over goes to train.
    assert table(samples, make_split(samples, config("random"))) == {"a": [8, 1, 2]}


def test_ratios_are_decimals_of_any_scale() -> None:
    samples = labelled(BUSI)
    split = make_split(samples, config())
    assert make_split(samples, config(ratios=(0.7, 0.1, 0.2))) == split
    assert make_split(samples, config(ratios=(70, 10, 20))) == split


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_split_depends_on_the_seed_but_not_on_the_order(kind: str) -> None:
    samples = labelled({"a": 60, "b": 40})
    split = make_split(samples, config(kind))
    shuffled = random.Random(1).sample(samples, len(samples))
    again = make_split(shuffled, config(kind))
    assert again == split
    assert list(again) == [sample.id for sample in shuffled]
    assert make_split(samples, config(kind, seed=43)) != split


def test_split_of_a_seed_never_changes() -> None:
    # Recorded once: runs of other releases and machines must get the same split.
    assert split_digest(make_split(labelled(BUSI), config(seed=42))) == (
        "efa78b5f5f120dcf09620e2f611b8d2a0e383b6a41d1e22470bec714329d7d3a"
    )


def test_each_sample_is_as_likely_to_be_tested() -> None:
    samples = labelled({"a": 20, "b": 10})
    times: Counter[str] = Counter()
    for seed in range(400):
        split = make_split(samples, config(seed=seed))
        times.update(name for name, part in split.items() if part == "test")
    # 80 expected of 400, standard deviation 8.
    assert min(times[s.id] for s in samples) > 48
    assert max(times[s.id] for s in samples) < 112


def grouped_samples(seed: int) -> list[Sample]:
    draw = random.Random(seed)
    return [
        Sample(f"g{group}-{i}", label=draw.choice("ab"), group=f"g{group}")
        for group in range(80)
        for i in range(draw.choice((1, 1, 2, 3, 8)))
    ]


def regular_groups() -> list[Sample]:
    """Eighty groups of 1, 2 and 3 samples in turn."""
    return [
        Sample(f"g{group:02}-{i}", label="ab"[group % 2], group=f"g{group:02}")
        for group in range(80)
        for i in range(1 + group % 3)
    ]


@pytest.mark.parametrize("group_by", ["group", "duplicates"])
def test_grouped_split_depends_on_the_seed_but_not_on_the_order(group_by: str) -> None:
    samples = regular_groups()
    clusters = {s.id: str(s.group) for s in samples} if group_by == "duplicates" else None
    split = make_split(samples, config(group_by=group_by), clusters)
    assert make_split(samples[::-1], config(group_by=group_by), clusters) == split
    assert make_split(samples, config(group_by=group_by, seed=43), clusters) != split


def test_grouped_split_of_a_seed_never_changes() -> None:
    # Recorded once, as that of single samples above.
    assert split_digest(make_split(regular_groups(), config(group_by="group", seed=42))) == (
        "6616e737d60da7839f8659e7583d001b1fb4aaf5f4b14203d30a2679ff90919b"
    )


@pytest.mark.parametrize("kind", ["random", "stratified"])
@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_near_the_ratios(kind: str, seed: int) -> None:
    samples = grouped_samples(seed)
    split = make_split(samples, config(kind, group_by="group", seed=seed))
    for group in {sample.group for sample in samples}:
        assert len({split[s.id] for s in samples if s.group == group}) == 1
    counts = table(samples, split)
    for part, share in enumerate((0.7, 0.1, 0.2)):
        assert abs(sum(row[part] for row in counts.values()) - len(samples) * share) <= 1.5
        if kind == "stratified":
            for row in counts.values():
                assert abs(row[part] - sum(row) * share) <= 3


def test_large_groups_go_to_every_part() -> None:
    samples = [Sample(f"{g}-{i}", group=str(g)) for g in range(20) for i in range(5)]
    samples += [Sample(f"single {i}", group=f"single {i}") for i in range(100)]
    split = make_split(samples, config("random", group_by="group"))
    assert Counter(split.values()) == {"train": 140, "val": 20, "test": 40}
    large = Counter(split[f"{g}-0"] for g in range(20))
    assert large["train"] == 14
    assert large["val"] == 2
    assert large["test"] == 4


def test_few_groups_still_reach_every_part() -> None:
    samples = [Sample(f"{g}-{i}", group=g) for g in "abc" for i in range(10)]
    split = make_split(samples, config("random", group_by="group"))
    assert set(split.values()) == {"train", "val", "test"}
    with pytest.raises(DataError, match=r"leaves val empty .* too few groups of samples"):
        make_split(samples[:20], config("random", group_by="group"))


def test_duplicate_clusters_stay_together_and_the_strata_stay_exact() -> None:
    samples = labelled(BUSI)
    ids = [sample.id for sample in samples]
    clusters = dict(zip(ids, ids, strict=True))
    for number in range(1, 120, 3):
        clusters[f"benign ({number + 1})"] = f"benign ({number})"
        clusters[f"malignant ({number})"] = f"benign ({number})"
    split = make_split(samples, config(group_by="duplicates"), clusters)
    assert all(split[name] == split[cluster] for name, cluster in clusters.items())
    assert table(samples, split) == table(samples, make_split(samples, config()))


def test_duplicates_need_clusters_of_all_samples() -> None:
    samples = labelled({"a": 10})
    with pytest.raises(ValueError, match="clusters lack 10 of 10"):
        make_split(samples, config(group_by="duplicates"))
    with pytest.raises(ValueError, match=r"clusters lack 9 of 10 ids: 'a \(10\)'"):
        make_split(samples, config(group_by="duplicates"), {"a (1)": "a (1)"})


def test_group_that_is_not_known_is_named() -> None:
    samples = [*labelled({"a": 10}, group="p"), Sample("lonely")]
    with pytest.raises(DataError, match="1 of 11 samples have no group: 'lonely'"):
        make_split(samples, config("random", group_by="group"))


def test_stratified_needs_labels() -> None:
    with pytest.raises(DataError, match="1 of 11 samples have none: 'lonely'"):
        make_split([*labelled({"a": 10}), Sample("lonely")], config())


def test_parts_without_a_share_stay_empty_and_others_must_not() -> None:
    samples = labelled({"a": 4})
    counts = Counter(make_split(samples, config("random", ratios=(1, 0, 1))).values())
    assert counts == {"train": 2, "test": 2}
    with pytest.raises(DataError, match=r"4 samples leaves val empty \(3/0/1"):
        make_split(samples, config("random"))


def test_no_samples_and_repeated_ids() -> None:
    with pytest.raises(DataError, match="no samples"):
        make_split([], config())
    with pytest.raises(DataError, match=r"not unique: 'a \(1\)'"):
        make_split(labelled({"a": 3}) + labelled({"a": 1}), config())


def test_official_split_is_taken_as_it_is() -> None:
    samples = [Sample("x", split="test"), Sample("y", split="train")]
    assert make_split(samples, config("official")) == {"x": "test", "y": "train"}
    with pytest.raises(DataError, match="1 of 3 samples have no official part: 'z'"):
        make_split([*samples, Sample("z")], config("official"))
    with pytest.raises(DataError, match="leaves train empty"):
        make_split(samples[:1], config("official"))


def test_written_split_is_read_back(tmp_path: Path) -> None:
    samples = [Sample('odd, "name"'), Sample("Größe (1)"), *labelled({"a": 8})]
    split = make_split(samples, config("random"))
    path = tmp_path / "split.csv"
    write_split(path, split)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "id,split"
    assert read_split(path, samples) == split
    assert make_split(samples, config("file", file=path)) == split
    assert [file.name for file in tmp_path.iterdir()] == ["split.csv"]


def test_split_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*split\.csv"):
        write_split(tmp_path / "nowhere" / "split.csv", {"a": "train"})


@pytest.mark.parametrize("folder", ["malignant/", "malignant\\", "/deep/malignant/", ""])
def test_paths_in_the_file_are_matched_by_their_name(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(
        "\ufefffold,original_filepath,split\n"
        f"0,{folder}malignant (52).png,train\n0,{folder}malignant (7).png,Validation \n",
        encoding="utf-8",
    )
    samples = [Sample("malignant (7)"), Sample("malignant (52)")]
    split = read_split(path, samples)
    assert list(split.items()) == [("malignant (7)", "val"), ("malignant (52)", "train")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are none"),
        ("name,split\na,train\n", "needs a column `id` or .* are name, split"),
        ("id,part\na,train\n", "a column `split`"),
        ("id,split\na,train\nb,tset\n", "line 3: the split of 'b' is 'tset'"),
        ("id,split\na,train\nb\n", "line 3: the split of 'b' is ''"),
        ("id,split\na,train\na,test\n", "line 3: 'a' is listed a second time"),
        ("id,split\na,train\n", "lists 1 of the dataset's 2 samples; 1 are missing: 'b'"),
        (
            "id,split\na,train\nb,val\nc,val\nd,val\ne,val\nf,val\n",
            "4 ids that the dataset does not have: 'c', 'd', 'e', ...",
        ),
    ],
)
def test_file_that_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_split(path, [Sample("a"), Sample("b")])
    assert str(path) in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.csv: No such file"):
        read_split(tmp_path / "none.csv", [Sample("a")])
    with pytest.raises(DataError, match="Is a directory"):
        read_split(tmp_path, [Sample("a")])
    (tmp_path / "bytes.csv").write_bytes(b"id,split\n\xff\xfe,train\n")
    with pytest.raises(DataError, match="not a CSV in UTF-8"):
        read_split(tmp_path / "bytes.csv", [Sample("a")])


def test_digest_is_of_the_sorted_lines() -> None:
    expected = hashlib.sha256(b"a:train\nb:test").hexdigest()
    assert split_digest({"b": "test", "a": "train"}) == expected
    assert split_digest({"b": "train", "a": "test"}) != expected


@pytest.mark.data
def test_real_split_file(data_root: Path) -> None:
    path = data_root / "busi" / "split_medimeta_seed42.csv"
    split = make_split(labelled(BUSI), config("file", file=path))
    assert Counter(split.values()) == {"train": 546, "val": 78, "test": 156}
    assert split["malignant (52)"] == "train"


def test_a_divided_release_is_followed_unless_something_else_is_asked_for() -> None:
    parts: list[Part] = ["train", "train", "val", "test"] * 10
    divided = [
        Sample(f"{place:02}", group=str(place // 2), split=part) for place, part in enumerate(parts)
    ]
    official = {sample.id: sample.split for sample in divided}
    assert make_split(divided, SplitConfig()) == official
    for asked in ({"ratios": (8, 1, 1)}, {"group_by": "group"}, {"kind": "random"}):
        assert make_split(divided, SplitConfig.model_validate(asked)) != official
    without_val = [Sample(str(n), split="train" if n % 5 else "test") for n in range(20)]
    assert set(make_split(without_val, SplitConfig()).values()) == {"train", "test"}
    partly = [*divided[:-1], Sample("39", group="19")]
    drawn = make_split(partly, SplitConfig(kind="random"))
    with pytest.warns(SplitWarning, match=r"1 of 40 images have no official part \('39'\)"):
        assert make_split(partly, SplitConfig()) == drawn
