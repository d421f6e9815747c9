"""The layout of a folder of submissions: what is whose, and what is refused unread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.grading.submissions import Rejected, Submission, find
from monitor.vmm.errors import UserError

MOST = 100


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def found(folder: Path, *labs: int) -> list[tuple[str, int, list[str]]]:
    return [
        (each.student, each.lab, [place.name for place in each.places])
        for each in find(folder, labs).submissions
    ]


def test_folders_and_files_in_order(tmp_path: Path) -> None:
    write(tmp_path, "eve/lab2.py", "lab2-bob.py", "ada/lab1.py", "ada/lab2.py", "lab2-de la-x.py")
    assert found(tmp_path, 2) == [
        ("ada", 2, ["lab2.py"]), ("bob", 2, ["lab2-bob.py"]), ("de la-x", 2, ["lab2-de la-x.py"]),
        ("eve", 2, ["lab2.py"]),
    ]  # fmt: skip


def test_without_a_number_every_lab_that_somebody_handed_in(tmp_path: Path) -> None:
    write(tmp_path, "ada/lab1.py", "bob/lab3.py")
    assert found(tmp_path) == [
        ("ada", 1, ["lab1.py"]), ("ada", 3, []), ("bob", 1, []), ("bob", 3, ["lab3.py"]),
    ]  # fmt: skip


def test_a_missing_file_tells_what_is_there_instead(tmp_path: Path) -> None:
    write(tmp_path, "ada/Lab1.PY", "ada/notes.txt", "bob/lab1.py")
    ada = find(tmp_path, [1]).submissions[0]
    assert ada.missing and ada.others == ("Lab1.PY",)


def test_what_is_no_submission_is_named(tmp_path: Path) -> None:
    write(tmp_path, "ada/lab1.py", "readme.md", ".hidden/lab1.py", "__MACOSX/lab1.py", "lab1.py")
    found = find(tmp_path)
    assert found.ignored == [".hidden", "__MACOSX", "readme.md"]
    assert [each.shown for each in found.strays] == ["lab1.py"]  # it may be somebody's


def test_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "ada/lab1.py", "lab1-ada.py")
    [ada] = find(tmp_path).submissions
    with pytest.raises(Rejected, match=r"handed in twice: ada/lab1\.py and .*lab1-ada\.py"):
        ada.read(MOST)


def test_a_link_to_a_folder_is_nobody(tmp_path: Path) -> None:
    write(tmp_path, "ada/lab1.py")
    (tmp_path / "bob").symlink_to("ada")
    assert [student for student, _, _ in found(tmp_path)] == ["ada"]
    assert find(tmp_path).ignored == ["bob"]


@pytest.mark.parametrize("kind", ["pipe", "link", "loop", "folder", "device"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lab1.py"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": "/etc/passwd", "loop": "lab1.py", "device": "/dev/zero"}[kind])
    with pytest.raises(Rejected, match="no regular file"):
        Submission("ada", 1, (path,)).read(MOST)


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab1.py"
    path.write_bytes(bytes(MOST))
    assert len(Submission("ada", 1, (path,)).read(MOST)) == MOST
    os.truncate(path, 1 << 40)
    with pytest.raises(Rejected, match="larger than"):
        Submission("ada", 1, (path,)).read(MOST)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"cannot be read \(no such file or directory\)"):
        Submission("ada", 1, (tmp_path / "lab1.py",)).read(MOST)


@pytest.mark.parametrize(
    ("name", "message"),
    [("in", "no submissions in it; name them"), ("gone", "cannot read the folder (no such file")],
)
def test_folders_that_hold_nothing(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError) as caught:
        find(tmp_path / name)
    assert message in str(caught.value)
