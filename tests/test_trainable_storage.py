import os
import pickle
import threading
from types import SimpleNamespace

import pytest
from pyarrow.fs import LocalFileSystem

from trainable.folder import storage
from trainable.folder.storage import Folder, MissingError, StorageError


@pytest.fixture(params=["path", "file", "mock", "object store"])
def folder(request, tmp_path, monkeypatch):
    """The same folder behind each kind of location; all hold an empty sibling."""
    if request.param == "path":
        return Folder.open(tmp_path / "a b%20c")
    if request.param == "file":
        return Folder.open(f"file://{tmp_path}/a%20b")
    if request.param == "object store":
        monkeypatch.setattr(storage, "OBJECT_STORES", ("mock",))
    folder = Folder.open(f"mock:///{tmp_path.name}")
    folder._filesystem.create_dir(folder._path)
    return folder


def test_write_makes_the_file_readable_and_listed(folder):
    folder.write("b.bin", b"\x00two")
    folder.write("a.bin", b"")
    assert folder.read("b.bin") == b"\x00two"
    assert folder.read("a.bin") == b""
    assert folder.names() == ["a.bin", "b.bin"]


def test_write_replaces_an_earlier_file(folder):
    folder.write("x", b"a long first version")
    folder.write("x", b"short")
    assert folder.read("x") == b"short"
    assert folder.names() == ["x"]


def test_names_of_a_missing_folder_is_empty(folder):
    assert (folder / "nowhere").names() == []


def test_tree_lists_everything_below_and_streams_it(folder):
    below = folder / "one" / "t wo"
    if below._filesystem.type_name == "mock":
        below._filesystem.create_dir(below._path, recursive=True)
    below.write("x.bin", b"12345")
    folder.write("a.bin", b"1")
    entries = {entry.path: entry for entry in folder.tree()}
    assert [e.path for e in folder.tree() if not e.is_folder] == ["a.bin", "one/t wo/x.bin"]
    assert entries["one/t wo"].is_folder
    assert entries["one/t wo/x.bin"].size == 5
    with folder.stream("one/t wo/x.bin") as stream:
        stream.seek(2)
        assert stream.read() == b"345"


def test_tree_of_a_file_is_the_file(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"12")
    folder = Folder.open(tmp_path / "x.npz")
    (entry,) = folder.tree()
    assert (entry.path, entry.is_folder, entry.size) == ("", False, 2)
    assert entry.changed == (tmp_path / "x.npz").stat().st_mtime_ns
    with folder.stream("") as stream:
        assert stream.readall() == b"12"


def test_tree_of_nothing_says_where(tmp_path):
    with pytest.raises(MissingError, match=f"cannot list {tmp_path}/none: No such file"):
        Folder.open(tmp_path / "none").tree()


def test_subfolder_survives_its_location_and_pickle(folder):
    below = folder / "study=a%2Fb c"
    if below._filesystem.type_name == "mock":
        below._filesystem.create_dir(below._path)
    below.write("x", b"1")
    assert Folder.open(below.location).read("x") == b"1"
    assert pickle.loads(pickle.dumps(below)).read("x") == b"1"
    assert folder.names() == ["study=a%2Fb c"]
    assert Folder.open(below) is below
    assert Folder.open(below.location) == below
    assert len({below, Folder.open(below.location), folder}) == 2


def test_read_of_a_missing_file_says_what_and_where(folder):
    with pytest.raises(MissingError, match=r"cannot read .*/absent: No such file") as caught:
        folder.read("absent")
    assert isinstance(caught.value, FileNotFoundError)
    assert "\n" not in str(caught.value)


def test_delete_removes_files_folders_and_minds_nothing_missing(folder):
    folder.write("file", b"1")
    below = folder / "below"
    below._filesystem.create_dir(below._path)
    below.write("x", b"1")
    for name in ("file", "below", "absent"):
        folder.delete(name)
        assert not folder.exists(name)
    assert folder.names() == []


def test_exists_of_files_and_folders(folder):
    folder.write("file", b"1")
    assert folder.exists("file")
    assert not folder.exists("other")


def test_check_writable_leaves_nothing(folder):
    folder.check_writable()
    assert folder.names() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b"])
def test_names_that_leave_the_folder_are_refused(folder, name):
    with pytest.raises(ValueError, match="not the name of a file"):
        folder.write(name, b"")
    with pytest.raises(ValueError, match="not the name of a file"):
        _ = folder / name


def test_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    folder = Folder.open(tmp_path)
    folder.write("x", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*/x: No space left on device"):
        folder.write("x", b"new")
    assert folder.read("x") == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_write_replaces_no_device_and_no_pipe(tmp_path):
    """As root, a rename over ``/dev/null`` would make it a file for everybody."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(StorageError, match=f"cannot write .*/{name}: it is no regular file"):
            Folder.open(tmp_path).write(name, b"data")
    assert sorted(os.listdir(tmp_path)) == ["null", "pipe"]


def test_write_through_a_link_replaces_what_it_leads_to(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("elsewhere/file")
    Folder.open(tmp_path).write("link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_readers_see_whole_files_while_one_is_rewritten(tmp_path):
    folder = Folder.open(tmp_path)
    versions = [bytes([k]) * 50_000 for k in range(40)]
    folder.write("x", versions[0])
    writer = threading.Thread(target=lambda: [folder.write("x", v) for v in versions])
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(folder.read("x"))
    writer.join()
    assert seen <= set(versions)
    assert folder.read("x") == versions[-1]


def test_leftovers_are_hidden_and_removed_but_nothing_else(tmp_path):
    folder = Folder.open(tmp_path)
    folder.write("x", b"1")
    (tmp_path / ".x.0123abcd.tmp").write_bytes(b"half")
    (tmp_path / ".keep").write_bytes(b"")
    assert folder.names() == [".keep", "x"]
    folder.remove_leftovers()
    assert sorted(os.listdir(tmp_path)) == [".keep", "x"]


def test_relative_and_home_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Folder.open("results").location == str(tmp_path / "results")
    assert Folder.open("~/results").location == "/home/somebody/results"


@pytest.mark.parametrize(
    ("path", "message"),
    [("", "an empty path names no folder"), ("~nobody-of-this-name/x", r"write \./~nobody")],
)
def test_path_of_nobody_and_of_nothing_is_refused(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match=message):
        Folder.open(path)
    assert Folder.open("./~x").location == str(tmp_path / "~x")


def test_unwritable_folder_says_where_and_why(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=rf"^cannot write in {tmp_path}/file/x: Not a dir"):
        (Folder.open(tmp_path / "file") / "x").check_writable()


def test_unknown_scheme_is_one_clear_line():
    with pytest.raises(StorageError, match=r"^cannot open nfs://host/x: Unrecognized"):
        Folder.open("nfs://host/x")


def test_signs_in_a_uri_stay_in_its_path():
    folder = Folder.open("mock:///a%23b#c") / "d#e?f"
    assert str(folder) == "mock:///a#b#c/d#e?f"
    assert Folder.open(folder.location)._path == folder._path == "a#b#c/d#e?f"


def test_a_google_store_that_does_not_answer_is_an_error_soon(monkeypatch):
    asked = []
    opener = SimpleNamespace(from_uri=lambda uri: asked.append(uri) or (None, ""))
    monkeypatch.setattr(storage, "fs", SimpleNamespace(FileSystem=opener))
    for query in ("", "?retry_limit_seconds=5", "?scheme=http"):
        storage._connect.__wrapped__(f"gs://bucket/{query}")
    assert asked == [
        "gs://bucket/?retry_limit_seconds=60",
        "gs://bucket/?retry_limit_seconds=5",
        "gs://bucket/?scheme=http&retry_limit_seconds=60",
    ]


def test_messages_hide_the_keys_in_a_uri():
    location = "s3://key:secret@bucket/a?region=x&scheme=http&endpoint_override=localhost:1"
    folder = Folder.open(location) / "b c"
    assert str(folder) == "s3://bucket/a/b c"
    assert "secret" not in repr(folder)
    assert folder.location == location.replace("/a?", "/a/b%20c?")


@pytest.mark.parametrize(
    ("location", "word"),
    [
        ("/data/my sweeps/a", "'/data/my sweeps/a'"),
        ("/data/a", "/data/a"),
        ("mock://bucket/a%20b", "mock://bucket/a%20b"),
        (
            "mock://user:secret@bucket/a?scheme=http&endpoint_override=h:1&secret_key=x",
            "'mock://bucket/a?scheme=http&endpoint_override=h:1'",
        ),
    ],
)
def test_argument_is_one_word_for_a_shell_without_secrets(location, word):
    folder = Folder(location, LocalFileSystem(), "/")
    assert folder.argument == word
