import gzip
import io
import tarfile
import zipfile

import pytest

from recmeta.datasets.archive import FLOOR, open_members
from recmeta.types import UserError


@pytest.fixture
def tar(tmp_path):
    """``tar(info, ...)``: a compressed tar of members given as `tarfile.TarInfo`, each with its size in zeros."""

    def tar(*members):
        path = tmp_path / "data.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for member in members:
                archive.addfile(member, io.BytesIO(bytes(member.size)))
        return path

    return tar


def member(name, kind=tarfile.REGTYPE, size=0, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, target
    return made


def test_members_are_found_by_the_end_of_their_name_the_shallowest_first(pack):
    members = open_members(pack({"set/samples/rows.csv": "few", "set/rows.csv": "all", "set/other-rows.csv": "no"}))
    assert members.find("rows.csv") == "set/rows.csv"
    assert members.read("rows.csv") == b"all"
    assert members.read("samples/rows.csv") == b"few"
    assert (members.has("rows.csv"), members.has("ows.csv")) == (True, False)


def test_a_folder_a_tar_a_gz_and_a_plain_file_read_alike(tmp_path, pack):
    folder = tmp_path / "unpacked"
    (folder / "set").mkdir(parents=True)
    plain = folder / "set" / "rows.csv"
    plain.write_bytes(b"all")
    with tarfile.open(tmp_path / "data.tgz", "w:gz") as archive:
        archive.add(folder, "data")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"all"))
    for path in (folder, tmp_path / "data.tgz", tmp_path / "rows.csv.gz", plain, pack({"set/rows.csv": "all"})):
        assert open_members(path).read("rows.csv") == b"all"


def test_files_that_a_mac_leaves_behind_are_none(pack, tmp_path):
    names = ("set/a.inter", "__MACOSX/set/._a.inter", "set/.DS_Store", "set/._b.inter")
    assert open_members(pack(dict.fromkeys(names, "x"))).names == ("set/a.inter",)
    for name in names:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert open_members(tmp_path / "folder").names == ("set/a.inter",)


def test_what_is_missing_is_named_with_what_is_there(pack, tmp_path):
    path = pack({"a.csv": ""})
    with pytest.raises(UserError, match=r"data.zip: no file 'b.csv' in it; there are a.csv"):
        open_members(path).read("b.csv")
    with pytest.raises(UserError, match=r"nowhere: no such file or folder"):
        open_members(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "set/../../evil", "..\\evil", "C:\\evil", "C:/evil"])
def test_a_member_that_leads_out_of_its_archive_is_refused(pack, tar, name):
    for path in (pack({"fine": "", name: ""}), tar(member("fine"), member(name))):
        with pytest.raises(UserError, match="leads out of the archive; fetch it from another source"):
            open_members(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.FIFOTYPE, "device"), (tarfile.CHRTYPE, "device")],
)
def test_a_link_or_a_device_in_a_tar_is_refused(tar, kind, said):
    with pytest.raises(UserError, match=f"member 'odd' is a {said}"):
        open_members(tar(member("odd", kind, target="/etc/passwd")))


def test_a_link_in_a_zip_is_refused(pack):
    link = zipfile.ZipInfo("odd")
    link.external_attr = 0o120777 << 16
    with pytest.raises(UserError, match="member 'odd' is a link"):
        open_members(pack({link: "/etc/passwd"}))


def test_a_bomb_is_refused(pack, tar, tmp_path):
    with pytest.raises(UserError, match="unpacks to more than 100 times its size"):
        open_members(pack({"zeros": bytes(FLOOR + 1)}))
    with pytest.raises(UserError, match="unpacks to more than 100 times its size"):
        open_members(tar(member("zeros", size=FLOOR + 1)))
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(b"0" * (FLOOR + 1)))
    bomb = open_members(tmp_path / "zeros.gz")
    with pytest.raises(UserError, match="unpacks to more than 100 times its size"):
        bomb.read("zeros")


def test_text_that_compresses_well_is_no_bomb(pack):
    assert len(open_members(pack({"text": "the same line\n" * 1_000_000})).read("text")) == 14_000_000
