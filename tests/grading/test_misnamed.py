"""Hand-ins of another name, or with another lab inside: told, and graded only if asked."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from small_lab import LIMITS, RIGHT, STANDIN

from monitor.cli import main
from monitor.grading import classroom
from monitor.grading.classroom import Classroom
from monitor.grading.misnamed import Found, Guesser
from monitor.grading.submissions import MOST_FILES, HandedIn, Rejected, find
from monitor.vmm.errors import UserError

PARTS = {1: ("add", "double", "greet"), 2: ("handle",), 3: ("STUBS",)}
COURSE = replace(STANDIN, parts=PARTS)
HANDLE = "import os\n\ndef handle(cpu):\n    return False\n"


def put(folder: Path, name: str, source: str = HANDLE) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return folder


def taken(found: HandedIn) -> list[tuple[str, int, str]]:
    """Who has a file for what, and which."""
    return [(each.student, each.lab, each.places[0].name)
            for each in found.submissions if each.places]  # fmt: skip


@pytest.mark.parametrize(("name", "student", "lab", "why"), [
    ("ada/Lab2.py", "ada", 2, "the name says lab 2, it defines lab 2's handle"),
    ("ada/lab2_final.py", "ada", 2, "the name says lab 2, it defines lab 2's handle"),
    ("ada/lab-2.py", "ada", 2, "the name says lab 2"),
    ("ada/lab 2 (1).py", "ada", 2, "the name says lab 2"),
    ("ada/LAB2.PY", "ada", 2, "the name says lab 2"),
    ("ada/homework2.py", "ada", 2, "the name says lab 2"),
    ("ada/src/lab2.py", "ada", 2, "the name says lab 2, it lies in src"),
    ("ada/lab2/handler.py", "ada", 2, "it lies in lab2, which says lab 2"),
    ("ada/a/b/c/d/lab2.py", "ada", 2, "it lies in a/b/c/d"),
    ("ada/trap.py", "ada", 2, "the name says no lab, it defines lab 2's handle"),
    ("ada/lab1.py", "ada", 2, "the name says lab 1, but it defines lab 2's handle"),
    ("ada/lab9.py", "ada", 2, "the name says lab 9, and there is none"),
    ("lab1-ada.py", "ada", 2, "the name says lab 1, but it defines lab 2's handle"),
    ("Lab2-ada.py", "ada", 2, "the name says lab 2"),
    ("ada_lab2.py", "ada", 2, "the name says lab 2"),
    ("lab2_bob_final.py", "bob", 2, "the name says lab 2"),
    ("lab2/carol.py", "carol", 2, "it lies in lab2, which says lab 2"),
    ("dave.py", "dave", 2, "the name says no lab, it defines lab 2's handle"),
    ("lab2.py", "", 2, "nothing says whose it is"),
    ("solution_lab2_final.py", "", 2, "nothing says whose it is"),
])  # fmt: skip
def test_what_it_is_guessed_to_be_and_why(
    tmp_path: Path, name: str, student: str, lab: int, why: str
) -> None:
    put(tmp_path, "ada/lab3.py", "STUBS = {}\n")
    found = find(put(tmp_path, name), parts=PARTS)
    assert taken(found) == [("ada", 3, "lab3.py")], "it was taken for something"
    [stray] = {*found.strays, *(each for one in found.submissions for each in one.strays)}
    assert (stray.student, stray.lab) == (student, lab)
    assert stray.why.startswith(f"{name}: ") and why in stray.why


@pytest.mark.parametrize(("source", "why"), [
    ("print(1)\n", "it defines no handle"),
    ("class add: pass\n", "the name says lab 2, but it defines lab 1's add"),
    ("STUBS: dict = {}\ndef double(): pass\n",
     "but it defines lab 1's double and lab 3's STUBS"),
    ("handle = STUBS = 0\n", "the name says lab 2, it defines lab 2's handle"),
    ("    def add(): pass\nadd == 3\nadd_on = 1\n", "it defines no handle"),
    ("\ufeffdef handle(): pass", "it defines lab 2's handle"),
    ("x = 1\rdef handle(): pass\r", "it defines lab 2's handle"),
    ("def (:\n" + "(" * 100_000, "it defines no handle"),
])  # fmt: skip
def test_sources_are_searched(tmp_path: Path, source: str, why: str) -> None:
    put(tmp_path, "ada/lab3.py", "STUBS = {}\n")
    path = tmp_path / "ada" / "Lab2.py"
    path.write_text(source, newline="")
    found = find(tmp_path, parts=PARTS)
    [stray] = {*found.strays, *(each for one in found.submissions for each in one.strays)}
    assert why in stray.why


def test_without_parts_the_name_alone_counts() -> None:
    guesser = Guesser({})
    assert guesser.labs_in(HANDLE.encode()) == {} and guesser.exists(77)
    assert guesser.guess(Found(Path("Lab77.py"), "x", "ada"), []).lab == 77


def test_nothing_is_taken_for_anything_unless_asked(tmp_path: Path) -> None:
    put(put(tmp_path, "ada/Lab2.py"), "bob/lab2.py", RIGHT)
    put(put(tmp_path, "lab1-bob.py"), "eve-lab2.py")
    assert taken(find(tmp_path, parts=PARTS)) == []
    found = find(tmp_path, parts=PARTS, take_strays=True)
    assert taken(found) == [("ada", 2, "Lab2.py"), ("bob", 1, "lab2.py"), ("bob", 2, "lab1-bob.py"),
                            ("eve", 2, "eve-lab2.py")]  # fmt: skip
    assert found.strays == []


@pytest.mark.parametrize(("names", "said"), [
    (("ada/Lab2.py", "ada/lab2_final.py"), ["ada/Lab2.py", "ada/lab2_final.py"]),  # which of them?
    (("ada/lab2.zip",), ["ada/lab2.zip"]),  # no Python
    (("lab2.py",), ["lab2.py"]),  # nobody's
])  # fmt: skip
def test_what_is_not_clear_is_not_taken(
    tmp_path: Path, names: tuple[str, ...], said: list[str]
) -> None:
    put(tmp_path, "ada/lab3.py", "STUBS = {}\n")
    for name in names:
        put(tmp_path, name)
    found = find(tmp_path, parts=PARTS, take_strays=True)
    assert taken(found) == [("ada", 3, "lab3.py")]
    strays = {*found.strays, *(each for one in found.submissions for each in one.strays)}
    assert sorted(each.shown for each in strays) == said


def test_a_second_file_does_not_replace_the_first(tmp_path: Path) -> None:
    put(put(tmp_path, "ada/lab2.py"), "ada/lab2_final.py")
    put(tmp_path, "ada/lab2-report.pdf")
    for take in (False, True):
        found = find(tmp_path, parts=PARTS, take_strays=take)
        assert taken(found) == [("ada", 2, "lab2.py")]
        assert [each.shown for each in found.strays] == ["ada/lab2_final.py"]
        assert found.strays[0].why.endswith("another file is ada's lab 2")
        assert found.ignored == ["ada/lab2-report.pdf"]


def test_both_rows_tell_of_a_file_with_another_lab_inside(tmp_path: Path) -> None:
    put(put(tmp_path, "ada/lab1.py"), "bob/lab1.py", RIGHT)
    rows = {(each.student, each.lab): each for each in find(tmp_path, parts=PARTS).submissions}
    assert rows["ada", 1].others == rows["ada", 2].others == ("lab1.py",)
    assert rows["bob", 2].others == () and rows["bob", 1].places


def test_a_class_in_which_all_are_misnamed_is_told(tmp_path: Path) -> None:
    found = find(put(tmp_path, "ada/Lab2.py"))
    assert [(each.student, each.lab, each.others) for each in found.submissions] == [
        ("ada", 2, ("Lab2.py",))
    ]
    with pytest.raises(UserError, match="no submissions in it; name them"):
        find(put(tmp_path / "other", "readme.md"))


def test_links_hidden_folders_and_crowds_are_left_alone(tmp_path: Path) -> None:
    put(put(tmp_path, "ada/lab3.py", "STUBS = {}\n"), "ada/.git/lab2.py")
    put(tmp_path, "ada/__pycache__/lab2.py")
    outside = put(tmp_path.parent / "outside", "lab2.py")
    (tmp_path / "ada" / "away").symlink_to(outside)
    (tmp_path / "ada" / "Lab2.py").symlink_to(outside / "lab2.py")
    for number in range(MOST_FILES + 50):
        put(tmp_path, f"crowd/x{number}.py", "")
    found = find(tmp_path, parts=PARTS, take_strays=True)
    linked = [each for each in found.submissions if each.student == "ada" and each.taken]
    assert [each.taken and each.taken.shown for each in linked] == ["ada/Lab2.py"]
    with pytest.raises(Rejected, match="no regular file"):
        linked[0].read(1000)
    assert {each.shown for each in found.strays if "away" in each.shown} <= {"ada/away"}
    assert len(found.strays) <= MOST_FILES


# --- graded ---------------------------------------------------------------------------------------


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("lab1-right.py", "ada/Lab1.py", "carol/lab1.py", "dave/src/lab1.py", "eve_lab1.py",
                 "lab1.py"):  # fmt: skip
        put(folder, name, RIGHT)
    return put(put(folder, "bob/lab1.py"), "carol/lab1_old.py", "")


Rows = dict[str, dict[str, str]]


def grade_all(folder: Path, out: Path, **options: object) -> tuple[Classroom, Rows]:
    found = Classroom(folder, out, COURSE, LIMITS, labs=[1], **options)  # type: ignore[arg-type]
    for _ in found.grade(2):
        pass
    with (out / "grades.csv").open(encoding="utf-8", newline="") as stream:
        return found, {row["student"]: row for row in csv.DictReader(stream)}


def test_a_gradebook_says_who_is_misnamed(handed_in: Path, scratch: Path, tmp_path: Path) -> None:
    found, rows = grade_all(handed_in, tmp_path / "out")
    points = {name: (row["status"], row["score"]) for name, row in rows.items()}
    assert points == {
        "ada": ("misnamed", "0"), "bob": ("misnamed", "0"), "carol": ("graded", "20"),
        "dave": ("misnamed", "0"), "right": ("graded", "20"),
    }  # fmt: skip
    assert {name for name, row in rows.items() if row["flags"]} == {"ada", "bob", "dave"}
    assert "but it defines lab 2's handle" in rows["bob"]["why"]
    assert sorted(each.shown for each in found.strays) == [
        "carol/lab1_old.py", "eve_lab1.py", "lab1.py"]  # fmt: skip
    text = (tmp_path / "out" / "lab1" / "ada.txt").read_text(encoding="utf-8")
    assert "0 of 20 points; misnamed: ada/Lab1.py: the name says lab 1" in text


def test_if_asked_they_are_graded_and_still_looked_at(
    handed_in: Path, scratch: Path, tmp_path: Path
) -> None:
    for expected in (5, 0):  # the second time nothing has to run
        found, rows = grade_all(handed_in, tmp_path / "out", take_strays=True)
        assert len(found.to_run) == expected
        points = {name: (row["status"], row["score"], row["flags"]) for name, row in rows.items()}
        assert points == {
            "ada": ("graded", "20", "misnamed"), "bob": ("misnamed", "0", "misnamed"),
            "carol": ("graded", "20", ""), "dave": ("graded", "20", "misnamed"),
            "eve": ("graded", "20", "misnamed"), "right": ("graded", "20", ""),
        }  # fmt: skip
    ada = next(each for each in found.grades if each.student == "ada")
    assert ada.notes[0].startswith("misnamed: ada/Lab1.py: ") and "taken for it" in ada.notes[0]
    (handed_in / "ada" / "Lab1.py").rename(handed_in / "ada" / "lab1.py")
    assert grade_all(handed_in, tmp_path / "out", take_strays=True)[1]["ada"]["flags"] == ""


def test_the_command_lists_them(
    handed_in: Path, scratch: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(classroom, "LABS", COURSE)
    command = ["lab", "grade", str(handed_in), "--lab", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Lab 1: 2 graded, 3 misnamed; mean 20.0" in told and "To look at: 6" in told
    for name in ("ada/Lab1.py: ", "bob/lab1.py: ", "dave/src/lab1.py: ", "carol/lab1_old.py: ",
                 "eve_lab1.py: ", "? 1 misnamed lab1.py: "):  # fmt: skip
        assert name in told, name
    assert main([*command, "--only", "ada"]) == 0
    assert "carol/lab1_old.py" not in capsys.readouterr().out
    assert main([*command, "--take-misnamed"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Lab 1: 5 graded, 1 misnamed" in told and "taken for it" in told
