import pytest

from recmeta.datasets.citeulike import citeulike

FILES = {
    "citeulike-a-master/users.dat": "2 0 3\n1 3\n0\n3 0 1 3\n",
    "citeulike-a-master/item-tag.dat": "2 7 8\n0\n1 7\n1 9\n",
}


def test_lines_are_users_and_articles_counted_from_zero(pack):
    data = citeulike(path=pack(FILES))
    assert data.users.ids.tolist() == ["0", "1", "3"]
    assert data.items.ids.tolist() == ["0", "1", "3"]
    assert (data.user.tolist(), data.item.tolist()) == ([0, 0, 1, 2, 2, 2], [0, 2, 2, 0, 1, 2])
    assert (set(data.label.tolist()), data.label_range, data.like, data.time) == ({1}, (0, 1), 1, None)
    assert data.notes[0] == "every label is 1: a protocol must draw negatives (articles not kept)"


@pytest.mark.parametrize(("tag_items", "tags"), [(1, [("7", "8"), (), ("9",)]), (2, [("7",), (), ()])])
def test_rare_tags_are_left_out(pack, tag_items, tags):
    assert citeulike(path=pack(FILES), tag_items=tag_items).items.features["tags"].values.tolist() == tags
