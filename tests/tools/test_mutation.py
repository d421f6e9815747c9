"""The mutation tester (tools/mutate.py): what it changes, how it names it, and whether it notices.

The files that it reads are checked too: an explained survivor has to be a mutant that exists.
"""

from __future__ import annotations

import ast
import functools
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.mutation import mutants as module
from tools.mutation import report
from tools.mutation.mutants import Mutant, by_hand, mutants, mutated, read
from tools.mutation.patching import Importer, exchange, module_name
from tools.mutation.session import SURVIVED, in_a_child
from tools.mutation.survivors import explained, why
from tools.mutation.targets import targets

LINE = report.MutantLine("f.py", "g", 1, "a", "b", 1, report.CAUGHT, "t", 0.1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the tool looks for source files."""
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "BY_HAND", tmp_path / "by_hand.toml")
    (tmp_path / "by_hand.toml").write_text("mutant = []")
    return tmp_path


def changes(folder: Path, source: str) -> set[str]:
    """The changed lines of every mutant of some source."""
    (folder / "one.py").write_text(source)
    return {mutant.after for mutant in mutants("one.py")}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = (a <= b)"}),
        ("x = a == b", {"x = (a != b)"}),
        ("x = a not in b", {"x = (a in b)"}),
        ("x = a < b <= c", {"x = (a <= b <= c)", "x = (a < b < c)"}),
        ("x = a and b", {"x = (a or b)", "x = (b)", "x = (a)"}),
        ("x = not a", {"x = (a)"}),
        ("x = a + b", {"x = (a - b)"}),
        ("x = a << b | c", {"x = ((a << b) & c)", "x = (a >> b) | c"}),
        ("x = 5", {"x = 6", "x = 4"}),
        ("x = 0", {"x = 1"}),
        ("x = 0x3100", {"x = 12288", "x = 4352"}),
        ("x = True", {"x = False"}),
        ("x = a if b else c", {"x = (a)", "x = (c)"}),
        ("x = (a, b)", {"x = (b,)", "x = (a,)"}),
        ("x = {a: 'b', c: 'd'}", {"x = {c: 'd'}", "x = {a: 'b'}"}),
        ("def f():\n    g()", {"pass"}),
        ("def f():\n    return g()", {"return None"}),
        ("def f():\n    if a:\n        raise B", {"if False:", "if True:", "pass"}),
        ("x: int = 1  # why", {"x: int = 2"}),
        ("assert a < b", set()),
        ("x = f'{a + 1}'", set()),
        ("'''A docstring: 1 < 2'''", set()),
        ("__all__ = ['a', 'b']", set()),
        ("def f():\n    return -1", {"return None"}),
        ("def f():\n    return -2", {"return None", "return -3", "return -1"}),
        ("if TYPE_CHECKING:\n    x = 1", set()),
        ("def __repr__(self):\n    return a + b", set()),
        ("def f(a: list[3]) -> tuple[4]: ...", set()),
    ],
)
def test_what_is_changed(folder: Path, source: str, expected: set[str]) -> None:
    assert changes(folder, source) == expected


def test_templates_lose_lines_words_and_bits(folder: Path) -> None:
    source = 'T = """\n    test eax, 0x3100    | eax, done\non: popfd\n"""\n'
    assert changes(folder, source) == {
        "",
        "test eax, 0x3100 | done",
        "test eax, 0x3100 | eax",
        "test eax, 0x3000 | eax, done",
        "test eax, 0x1100 | eax, done",
    }


def test_a_mutant_is_named_by_what_it_is_and_not_by_where(folder: Path) -> None:
    source = "class A:\n    def f(self):\n        return g(1)\n"
    (folder / "one.py").write_text(source)
    before = {mutant.key for mutant in mutants("one.py")}
    (folder / "one.py").write_text("# moved\n\n" + source.replace("g(1)", "g(1)  # a comment"))
    assert {mutant.key for mutant in mutants("one.py")} == before
    assert {mutant.function for mutant in mutants("one.py")} == {"A.f"}


def test_the_mutated_source_differs_where_it_says(folder: Path) -> None:
    source = "def f(a):\n    é = 1; return a < 2\n"
    (folder / "one.py").write_text(source)
    for mutant in mutants("one.py"):
        lines = mutated(mutant, source).splitlines()
        assert (lines[0], lines[1].strip()) == ("def f(a):", mutant.after)
        ast.parse(mutated(mutant, source))


def test_a_sample_is_the_same_every_time() -> None:
    first = [mutant.key for mutant in mutants("bt/cache.py", 20)]
    assert [mutant.key for mutant in mutants("bt/cache.py", 20)] == first
    assert len(set(first)) == len(first) == 20 + len(by_hand("bt/cache.py"))


def test_mutants_by_hand_are_where_they_say() -> None:
    target_files = {file for target in targets() for file in target.files}
    found = {file: by_hand(file) for file in target_files}
    entries = module.tomllib.loads(module.BY_HAND.read_text())["mutant"]
    assert sum(map(len, found.values())) == len(entries), "each in a file of targets.toml"
    for file, made in found.items():
        for mutant in made:
            ast.parse(mutated(mutant, read(file)))


# --- putting a mutant in --------------------------------------------------------------------------

SOURCE = '''
import functools
def plain(a): return a + 1
@functools.cache
def kept(a): return a + 1
class A:
    def method(self): return 1
    @property
    def value(self): return 1
    @staticmethod
    def still(): return 1
    @classmethod
    def whole(cls): return 1
    def closing(self): return super().__init__
'''


@pytest.fixture
def victim() -> Iterator[types.ModuleType]:
    made = types.ModuleType("victim_of_mutation")
    exec(compile(SOURCE, "victim", "exec"), made.__dict__)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


def test_functions_are_exchanged_in_place(victim: types.ModuleType) -> None:
    """Whoever holds them runs the new code: no reference is left to the old one."""
    plain, one = victim.plain, victim.A()
    method = one.method
    assert victim.kept(1) == 2
    changed = SOURCE.replace("a + 1", "a - 1").replace("return 1", "return 2")
    for name in ("plain", "kept", "A.method", "A.value", "A.still", "A.whole"):
        assert exchange("victim_of_mutation.py", name, changed), name
    assert (plain(1), victim.kept(1)) == (0, 0), "what was cached is forgotten"
    assert (method(), one.value, one.still(), one.whole()) == (2, 2, 2, 2)


def test_what_cannot_be_exchanged_says_so(victim: types.ModuleType) -> None:
    changed = SOURCE.replace("return super().__init__", "return 1")
    assert not exchange("victim_of_mutation.py", "A.closing", changed)
    assert not exchange("victim_of_mutation.py", "A.nothing", SOURCE)


def test_a_module_is_imported_with_other_source(tmp_path: Path) -> None:
    importer = Importer("no_such_module_yet.py", "value = 2")
    importer.install()
    try:
        import no_such_module_yet  # type: ignore[import-not-found]

        assert no_such_module_yet.value == 2
    finally:
        sys.meta_path.remove(importer)
        sys.modules.pop("no_such_module_yet", None)


def test_module_names() -> None:
    assert module_name("bt/cache.py") == "bt.cache"
    assert module_name("monitor/loaders/__init__.py") == "monitor.loaders"


# --- a child --------------------------------------------------------------------------------------

MUTANT = Mutant("f.py", "g", 1, "a", "b", 1, (1, 0, 1, 1), "b", frozenset({1}))


def raising() -> str | None:
    raise KeyError("x")


def spinning() -> str | None:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "caught", "by"),
    [
        (lambda: None, False, ""),
        (lambda: "tests/test_it.py::test_it", True, "tests/test_it.py::test_it"),
        (raising, True, "KeyError outside of any test"),
        (functools.partial(sys.exit, 0), True, "SystemExit outside of any test"),
    ],
)
def test_how_a_child_ends(work: types.FunctionType, caught: bool, by: str) -> None:
    result = in_a_child(MUTANT, work, 0.0)
    assert (result.caught, result.by) == (caught, by)
    assert SURVIVED == 0


def test_a_child_that_goes_on_for_ever_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.mutation.session.SECONDS_MORE", 1)
    result = in_a_child(MUTANT, spinning, 0.0)
    assert result.caught and result.by in ("ended by SIGXCPU", "ended by SIGKILL")


# --- the files it reads ---------------------------------------------------------------------------


def test_targets_name_files_and_tests_that_exist() -> None:
    for target in targets():
        assert target.files
        for test in target.tests:
            assert Path(test.partition("::")[0]).exists(), test


def test_every_explained_survivor_is_a_mutant_that_exists() -> None:
    """Else the code has changed, and what the entry says holds for nothing."""
    known = {
        file: {(m.function, m.before, m.after) for m in mutants(file)}
        for file in {entry.file for entry in explained()}
    }
    for entry in explained():
        names = {(function, after) for function, before, after in known[entry.file]
                 if before == entry.before and entry.function in ("*", function)}  # fmt: skip
        assert names, f"no such line in {entry.file}: {entry.before}"
        for after in entry.after:
            assert after == "*" or after in {name[1] for name in names}, (entry.before, after)


def test_an_entry_that_is_not_complete_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "survivors.toml"
    text = 'file = "a.py"\nfunction = "*"\nbefore = "x"\nafter = ["y", "z"]\n'
    file.write_text(f'[[survivor]]\n{text}why = "because"\n')
    entry = explained(file)[0]
    assert why("a.py", "f", "x", "z", [entry]) == "because"
    assert why("a.py", "f", "x", "w", [entry]) is None
    for rest in ("", 'why = " "\n'):
        file.write_text(f"[[survivor]]\n{text}{rest}")
        with pytest.raises(ValueError, match="survivor 1"):
            explained(file)


def test_results_come_back_as_they_were_saved(tmp_path: Path) -> None:
    report.save([LINE], tmp_path / "out" / "mutants.json")
    assert report.load(tmp_path / "out" / "mutants.json") == {LINE.key: LINE}
    assert report.load(tmp_path / "none.json") == {}


def test_the_table_counts_by_file() -> None:
    other = report.MutantLine("f.py", "g", 2, "a", "c", 1, report.SURVIVED, "", 0.1)
    text = report.table([LINE, other])
    assert text.splitlines()[1].split() == ["f.py", "2", "1", "0", "1", "50.0%"]
    assert text.splitlines()[-1].split() == ["all", "2", "1", "0", "1", "50.0%"]
