"""Places of recordings as users name them: paths and URLs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path, PurePosixPath

import pytest

from inferencereplay.errors import InvalidSetting
from inferencereplay.store.location import StoreURL, is_missing, is_url, located, parse_location, real

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("s3://bucket/team/recordings", "s3://bucket/team/recordings"),
        ("s3://bucket/team/recordings/", "s3://bucket/team/recordings"),
        ("s3://bucket", "s3://bucket"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("abfss://box@account.dfs.core.windows.net/a", "abfss://box@account.dfs.core.windows.net/a"),
        ("https://host:8443/recordings", "https://host:8443/recordings"),
        ("memory:///a", "memory:///a"),
    ],
)
def test_a_url_stays_as_it_is(text, parsed):
    """No slash is lost, and no path is made of it; a child process gets the same."""
    found = parse_location(text)
    assert type(found) is StoreURL
    assert found == parsed
    assert found.absolute() == parsed
    copy = pickle.loads(pickle.dumps(found))
    assert (copy, type(copy)) == (parsed, StoreURL)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("recordings", "recordings"),
        (PurePosixPath("a/b"), "a/b"),
        ("s3:bucket", "s3:bucket"),
        ("C://recordings", "C:/recordings"),
        ("file:///tmp/a%20b", "/tmp/a b"),
        ("file://localhost/tmp/a", "/tmp/a"),
    ],
)
def test_what_is_no_url_is_a_path(given, path):
    """So is a URL of a file, which is the directory itself."""
    assert parse_location(given) == Path(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ftp://host/a", r"directory='ftp://host/a': the scheme 'ftp' is not known. Valid are s3, s3a, gs, .*file; "),
        (f"s3://user:{SECRET}@bucket/a", "directory='s3://bucket/a': it comes with a user or a password. Give "),
        (f"https://{SECRET}@host/a", "directory='https://host/a': it comes with a user or a password"),
        (f"az://box/a?sv=1&sig={SECRET}", "directory='az://box/a': it comes with a query or a fragment. Give cred"),
        (f"s3://bucket/a#{SECRET}", "it comes with a query or a fragment"),
        ("s3://bucket/a//b", "a part of its path is empty, or no name"),
        ("s3://bucket/a/../b", "a part of its path is empty, or no name"),
        *(
            (f"s3://bucket/{part}", "a part of its path is empty, or no name")
            for part in ("%2E%2e/b", "a%2F..", "a%00")
        ),
        ("s3://bucket/a\u200bb", "a part of its path is empty, or no name"),
        ("s3:///a", "it names no bucket, container or host. Give s3://NAME/recordings"),
        ("s3://[bucket/a", "directory= is no URL"),
        ("file://elsewhere/a", "it is no file of this machine. Give a path"),
        ("file:///", "it is no file of this machine. Give a path"),
        (Path("s3://bucket/a"), "directory='s3:/bucket/a' is no URL. Give it as a str, with two slashes"),
        ("s3:/bucket/a", "directory='s3:/bucket/a' is no URL"),
        ("S3:/bucket/a", "directory='S3:/bucket/a' is no URL"),
        (
            "a, s3://bucket/a",
            "directory names several places in one text, or a URL after a blank. Give layers as a list",
        ),
        ("", "directory='' is no path of a directory"),
        (5, "directory=5 is no path of a directory"),
    ],
)
def test_what_cannot_be_used_is_told(given, message):
    """One error says what is wrong and what to do, and never shows what may be a secret."""
    with pytest.raises(InvalidSetting, match=message) as told:
        parse_location(given)
    assert SECRET not in str(told.value)


def test_a_place_has_one_name(tmp_path):
    """A URL is its own name, and is there; a directory is known by its path with its links followed."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert real(str(tmp_path / "link")) == os.path.realpath(tmp_path)
    assert real("s3://bucket/a") == "s3://bucket/a"
    assert (located("s3://bucket/a"), located("a")) == (StoreURL("s3://bucket/a"), Path("a"))
    assert (is_url("s3://bucket/a"), is_url("a"), is_url(Path("a"))) == (True, False, False)
    assert (is_missing("s3://bucket/a"), is_missing(str(tmp_path)), is_missing(str(tmp_path / "no"))) == (
        *(False, False, True),
    )
