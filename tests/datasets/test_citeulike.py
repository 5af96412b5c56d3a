import pytest

from recmeta.datasets.citeulike import citeulike

FILES = {
    "citeulike-a-master/users.dat": "2 0 3\n1 3\n0\n3 0 1 3\n",
    "citeulike-a-master/item-tag.dat": "2 1 2\n0\n1 1\n1 3\n",
    "citeulike-a-master/tags.dat": "unused\nnetworks\nsmall-world\nbiology\n",
    "citeulike-a-master/citations.dat": "1 3\n0\n0\n1 0\n",
}
TEXTS = (
    '"doc.id","title","citeulike.id","raw.title","raw.abstract"\r\n'
    '1,"the world",42,"The world of caf\xe9s","An abstract, with\na line end"\r\n4,"other",7,"Other ""things""",""\r\n'
)


def test_lines_are_users_and_articles_counted_from_zero(pack):
    data = citeulike(path=pack(FILES))
    assert data.users.ids.tolist() == ["0", "1", "3"]
    assert data.items.ids.tolist() == ["0", "1", "3"]
    assert (data.user.tolist(), data.item.tolist()) == ([0, 0, 1, 2, 2, 2], [0, 2, 2, 0, 1, 2])
    assert (set(data.label.tolist()), data.label_range, data.like, data.time) == ({1}, (0, 1), 1, None)
    assert data.notes[0] == "every label is 1: a protocol must draw negatives (articles not kept)"


@pytest.mark.parametrize(
    ("tag_items", "tags"), [(1, [("networks", "small-world"), (), ("biology",)]), (2, [("networks",), (), ()])]
)
def test_rare_tags_are_left_out(pack, tag_items, tags):
    assert citeulike(path=pack(FILES), tag_items=tag_items).items.features["tags"].values.tolist() == tags


def test_citations_are_a_relation_in_both_directions(pack):
    data = citeulike(path=pack(FILES))
    cites = data.relations["cites"]
    assert (cites.sides, cites.source.tolist(), cites.target.tolist()) == (("item", "item"), [0, 2], [2, 0])


def test_titles_and_abstracts_are_texts_where_they_are_there(pack):
    data = citeulike(path=pack({**FILES, "citeulike-a-master/raw-data.csv": TEXTS.encode("latin-1")}))
    title, abstract = (data.items.features[name] for name in ("title", "abstract"))
    assert (title.kind, abstract.kind) == ("text", "text")
    assert title.values.tolist() == ["The world of caf\xe9s", "", 'Other "things"']
    assert abstract.values.tolist() == ["An abstract, with\na line end", "", ""]
    bare = citeulike(path=pack(FILES))
    assert list(bare.items.features) == ["tags"]
    assert bare.notes[1] == "there is no raw-data.csv in data.zip: articles have no title and no abstract"
