"""Messages: counts with their nouns, and what others say on one line that nothing is cut from."""

import pytest

from lakehouse.messages.wording import counted, in_one_line


def test_counts_one_and_many() -> None:
    assert [counted(number, "request") for number in (0, 1, 2, 1509)] == [
        *("0 requests", "1 request", "2 requests", "1,509 requests"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("before the earliest version available to\nthis table. Use a later one.\n", None),
        ("ERROR: duplicate key\n  Detail: Key (a)=(1) already exists.", None),
        ("cannot be found.\nSearch path: [`a`].\nVerify it. SQLSTATE: 42P01", None),
        ("Disk full\n\tat org.x.Y.z(Y.scala:1)\n\tat org.x.Y.w(Y.scala:2)", "Disk full"),
        ("Disk full\n\nDriver stacktrace:\n\tat org.x.Y.z(Y.scala:1)", "Disk full"),
        ("Disk full\n\nJVM stacktrace:\norg.x.Y: Disk full", "Disk full"),
        ("\nbad word. (line 1, pos 0)\n\n== SQL ==\nSELEC 1\n^^^\n", "bad word. (line 1, pos 0)"),
        ("no column; line 1 pos 7;\n'Project ['x]\n+- OneRowRelation\n", "no column; line 1 pos 7"),
        ("", ""),
    ],
)
def test_keeps_every_line_of_a_message_and_nothing_behind_it(text: str, line: str | None) -> None:
    assert in_one_line(text) == (" ".join(text.split()) if line is None else line)


def test_a_tree_of_causes_becomes_a_line_without_colours() -> None:
    tree = "Kernel error -> Arrow error\n     \x1b[31m↳\x1b[0m Parser error: bad\n      \x1b[31m↳\x1b[0m at 3\n"
    assert in_one_line(tree) == "Kernel error -> Arrow error -> Parser error: bad -> at 3"
