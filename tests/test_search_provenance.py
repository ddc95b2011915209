"""Which code a sweep says that it ran."""

import re
import subprocess
from pathlib import Path

import pytest

from analysis.results import ResultsError
from search.driver import provenance
from trainable.folder.storage import Folder

DIGEST = re.compile(r"files-[0-9a-f]{12}")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The module as a file in somebody's repository, which has a commit and ignores it."""
    root = Path(provenance.__file__).parents[2]
    file = tmp_path / ".venv" / Path(provenance.__file__).relative_to(root)
    file.parent.mkdir(parents=True)
    file.write_text("# the code\n")
    (tmp_path / ".gitignore").write_text(".venv\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "--quiet", "--message=theirs")
    monkeypatch.setattr(provenance, "__file__", str(file))
    provenance.git_sha.cache_clear()
    provenance.code_digest.cache_clear()
    yield file
    provenance.git_sha.cache_clear()
    provenance.code_digest.cache_clear()


def git(folder, *arguments):
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_git_sha_of_code_inside_a_foreign_repository_is_a_digest(installed):
    assert DIGEST.fullmatch(provenance.git_sha())


def test_digest_is_that_of_every_package_s_code_and_no_other(installed):
    found = set()
    for change in (
        "search/driver/provenance.py",
        "trainable/config.py",
        "spaces/new.py",
        "README.md",
    ):
        file = installed.parents[2] / change
        file.parent.mkdir(exist_ok=True)
        file.write_text("# changed\n")
        provenance.code_digest.cache_clear()
        found.add(provenance.code_digest())
    assert len(found) == 3  # README.md is no code


def test_git_sha_of_tracked_code_is_its_commit_and_tells_changes(installed):
    git(installed.parent, "add", "--force", installed)
    git(installed.parent, "commit", "--quiet", "--message=ours")
    head = git(installed.parent, "rev-parse", "HEAD")
    assert provenance.git_sha() == head
    installed.write_text("# the code, changed\n")
    provenance.git_sha.cache_clear()
    assert provenance.git_sha() == f"{head}-dirty"


@pytest.mark.parametrize(
    "error",
    [
        subprocess.TimeoutExpired("git", 10),
        subprocess.CalledProcessError(128, "git"),
        FileNotFoundError("git"),
    ],
)
def test_git_sha_where_git_does_not_answer_is_a_digest(installed, monkeypatch, error):
    def run(*arguments, **options):
        raise error

    monkeypatch.setattr(provenance.subprocess, "run", run)
    assert DIGEST.fullmatch(provenance.git_sha())


@pytest.mark.parametrize("content", [b"{}", b'{"starts": []}'])
def test_provenance_without_starts_gets_its_first(tmp_path, content):
    folder = Folder.open(tmp_path)
    folder.write("provenance.json", content)
    provenance.record_start(folder, [{"CPU": 2.0}])
    assert len(provenance.starts(folder)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{"starts": 5}',
        b'{"starts": {"at": 1}}',
        b'{"starts": [1]}',
        b"[]",
        b"text",
        b"[" * 99_999,
    ],
)
def test_damaged_provenance_is_named_and_stays(tmp_path, content):
    folder = Folder.open(tmp_path)
    folder.write("provenance.json", content)
    with pytest.raises(ResultsError, match=r"provenance\.json is damaged: it lists no starts"):
        provenance.record_start(folder, [])
    assert folder.read("provenance.json") == content
