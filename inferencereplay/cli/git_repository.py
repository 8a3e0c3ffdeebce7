"""Reads a git repository by `git` itself: revisions, the files in them, and many contents at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from inferencereplay.errors import InferenceReplayError

_REGULAR = (b"100644", b"100755")
"""The modes of files that are neither links nor other repositories."""


def _environment() -> dict[str, str]:
    """Return the environment without the `GIT_DIR` that git gives to a hook of a linked working tree.

    With it, git would take the folder that it is run in for the top of the working tree.
    """
    return {name: value for name, value in os.environ.items() if name != "GIT_DIR" or "GIT_WORK_TREE" in os.environ}


class Repository:
    """The repository that a place belongs to.

    Args:
        place: a file or folder in it; it need not exist.

    Attributes:
        root: its top folder.

    Raises:
        InferenceReplayError: if there is no git, or no repository.
    """

    def __init__(self, place: Path) -> None:
        real = place.resolve()
        self._folder = next(folder for folder in (real, *real.parents) if folder.is_dir())
        self.root = Path(os.fsdecode(self.ask("rev-parse", "--show-toplevel").removesuffix(b"\n")))

    def ask(self, *arguments: str) -> bytes:
        """Return what a command of git prints.

        Raises:
            InferenceReplayError: if it fails, with git's reason.
        """
        done = self._run(arguments)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
            message = f"git {arguments[0]} failed in {self._folder}: {reason or f'exit status {done.returncode}'}"
            raise InferenceReplayError(message)
        return done.stdout

    def own_file(self, name: str) -> Path:
        """Return the path of a file of this clone, such as `info/attributes`."""
        path = self.ask("rev-parse", "--git-path", name).removesuffix(b"\n")
        return (self._folder / os.fsdecode(path)).resolve()

    def has_section(self, section: str) -> bool:
        """Whether the settings of this clone have a section, such as `diff.name`."""
        return not self._run(("config", "--local", "--get-regexp", f"^{section}[.]")).returncode

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--literal-pathspecs", "-C", str(self._folder), *arguments]
        try:
            return subprocess.run(  # noqa: S603 - no shell
                command, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=_environment()
            )
        except OSError as error:
            message = f"git cannot be run: {error.strerror}. Install it, or give two directories."
            raise InferenceReplayError(message) from error

    def commit(self, revision: str) -> str:
        """Return the id of a revision's commit.

        Raises:
            InferenceReplayError: if there is no such revision.
        """
        done = self._run(("rev-parse", "--quiet", "--verify", "--end-of-options", f"{revision}^{{commit}}"))
        if done.returncode:
            message = f"{revision!r} is no revision of {self.root}: `git branch --all` and `git log` list them."
            raise InferenceReplayError(message)
        return done.stdout.decode().strip()

    def commits(self, revisions: str) -> tuple[str, str]:
        """Return the ids of two revisions, given as `A..B`, or `A...B` for what B changed since they parted; and `A`.

        The second id is empty for a single revision. A side that is left out is `HEAD`.

        Raises:
            InferenceReplayError: if there is no such revision.
        """
        first, dots, second = revisions.partition("..")
        if not dots:
            return self.commit(revisions), ""
        is_since = second.startswith(".")
        one, other = self.commit(first or "HEAD"), self.commit(second.removeprefix(".") or "HEAD")
        return (self._parting(revisions, one, other) if is_since else one), other

    def _parting(self, revisions: str, one: str, other: str) -> str:
        done = self._run(("merge-base", one, other))
        if done.returncode:
            mend = "Compare them with two dots, or complete a shallow clone: git fetch --unshallow"
            message = f"{revisions}: the two have no common commit in {self.root}. {mend}."
            raise InferenceReplayError(message)
        return done.stdout.decode().strip()

    def path(self, place: Path) -> str:
        """Return the path of a place in the repository, relative to its top folder; empty for that folder.

        Raises:
            InferenceReplayError: if it is outside.
        """
        try:
            found = place.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            message = f"{place} is outside of the repository {self.root}. Give a path in it."
            raise InferenceReplayError(message) from None
        return "" if found == "." else found

    def files(self, commit: str, path: str) -> dict[str, str]:
        """Return the ids of the files below a path, or of the file there, by their paths in the repository."""
        listed = self.ask("ls-tree", "-r", "-z", "--full-tree", commit, "--", *((path,) if path else ()))
        found = {}
        for line in listed.split(b"\0")[:-1]:
            mode, _, rest = line.partition(b" ")
            about, _, name = rest.partition(b"\t")
            if mode in _REGULAR:
                found[os.fsdecode(name)] = about.split(b" ")[1].decode()
        return found


class Blobs:
    """The contents of files, by their ids, through one process; to be used in a `with` block.

    Args:
        repository: where they are.
    """

    def __init__(self, repository: Repository) -> None:
        self._command = ["git", "-C", str(repository.root), "cat-file", "--batch"]

    def __enter__(self) -> Blobs:  # noqa: PYI034 - typing has Self from 3.11 on
        self._process = subprocess.Popen(  # noqa: S603 - no shell
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()
        )
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        self._process.communicate()

    def read(self, blob: str) -> bytes:
        """Return a content.

        Raises:
            InferenceReplayError: if the repository does not hold it, as a partial clone may not.
        """
        source, answers = self._process.stdin, self._process.stdout
        assert source is not None  # noqa: S101 - as it was started
        assert answers is not None  # noqa: S101 - as it was started
        source.write(f"{blob}\n".encode())
        source.flush()
        head = answers.readline().split()
        if len(head) != 3:  # noqa: PLR2004 - id, kind and size
            message = f"git does not have the content {blob}. Fetch it: git fetch --refetch."
            raise InferenceReplayError(message)
        data = answers.read(int(head[2]))
        answers.read(1)  # the line end after it
        return data
