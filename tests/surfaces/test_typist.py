"""When --type types: at the byte that completes its cue, and never at an echo."""

from __future__ import annotations

from monitor.host.typist import TypedLine, Typist


class Script:
    """A typist, and what it typed when."""

    def __init__(self, *lines: TypedLine) -> None:
        self.typed: list[bytes] = []
        self.typist = Typist(lines, self.typed.append)

    def hears(self, output: bytes) -> list[bytes]:
        self.typed.clear()
        self.typist(output)
        return list(self.typed)


def test_a_prompt_is_the_end_of_the_output() -> None:
    script = Script(TypedLine(b"ls\n"))
    assert script.hears(b"# of disks: 2\r\n/ #") == [b"ls\n"]  # "# " was its end for a moment


def test_a_prompt_byte_by_byte() -> None:
    script = Script(TypedLine(b"a"))
    assert [script.hears(bytes((byte,))) for byte in b"/ # "] == [[], [], [], [b"a"]]
    assert script.typist.done


def test_an_echo_is_no_prompt() -> None:
    script = Script(TypedLine(b"echo # \n"), TypedLine(b"next\n"))
    assert script.hears(b"/ # ") == [b"echo # \n"]
    assert script.hears(b"echo # ") == []
    assert script.hears(b"\r\n") == []
    assert script.hears(b"\r\n/ # ") == [b"next\n"]


def test_a_cue_may_come_in_pieces_and_in_the_middle_of_a_line() -> None:
    script = Script(TypedLine(b"root\n", b"login: "), TypedLine(b"x", b"word: "))
    assert script.hears(b"debian log") == []
    assert script.hears(b"in: Password: ") == [b"root\n", b"x"]


def test_output_before_the_last_text_was_typed_is_no_cue() -> None:
    script = Script(TypedLine(b"1", b"ready"), TypedLine(b"2", b"ready"))
    assert script.hears(b"ready") == [b"1"]
    assert script.hears(b"!") == []
    assert script.hears(b"ready") == [b"2"]
