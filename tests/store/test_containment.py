"""What is inside a directory, its links followed."""

from __future__ import annotations

import os

import pytest

from inferencereplay.store.containment import is_inside


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".", True),
        ("chat", True),
        ("chat/completions", True),
        ("chat//completions", True),
        ("chat/missing/file.json", True),
        ("chat/file/below", True),
        ("inwards", True),
        ("inwards/completions", True),
        ("outwards", False),
        ("outwards/completions", False),
        ("chat/outwards", False),
        ("chat/..", True),
        ("chat/../..", False),
        ("..", False),
        ("../kept-beside", False),
    ],
)
def test_links_and_parents_are_followed(tmp_path, path, expected):
    """A link that stays inside is inside; one that leads out is not, nor a directory whose name begins alike."""
    kept = tmp_path / "kept"
    (kept / "chat" / "completions").mkdir(parents=True)
    (kept / "chat" / "file").write_text("")
    (tmp_path / "kept-beside" / "completions").mkdir(parents=True)
    (kept / "inwards").symlink_to("chat")
    (kept / "outwards").symlink_to(tmp_path / "kept-beside")
    (kept / "chat" / "outwards").symlink_to("../../kept-beside")
    for directory in (str(kept), f"{kept}{os.sep}"):
        assert is_inside(os.path.join(kept, path), directory) is expected  # noqa: PTH118 - as a store joins them


def test_a_directory_may_itself_be_reached_by_a_link(tmp_path):
    """Links on the way to the directory count for nothing."""
    (tmp_path / "real" / "chat").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    assert is_inside(str(tmp_path / "link" / "chat"), str(tmp_path / "link"))
    assert is_inside(str(tmp_path / "real" / "chat"), str(tmp_path / "link"))


def test_the_root_has_everything_inside(tmp_path):
    """The root directory ends in its separator."""
    assert is_inside(str(tmp_path), "/")
