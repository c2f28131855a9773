"""What is special to sessions in files: what the files hold and are named, who may read them, and how they end."""

import os
import pickle
import shutil
import stat
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.store_places import Payload, eventually

from gateway.backends.base import Backend
from gateway.backends.file import SWEEP_GRACE_SECONDS, FileBackend
from gateway.errors import StoreUnavailable


def entry_file(directory: Path) -> Path:
    (path,) = (directory / "entries").iterdir()
    return path


def rewrite(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a sweep under way finds the old one or the new one."""
    unfinished = path.parent.parent / "unfinished"
    unfinished.write_bytes(content)
    unfinished.replace(path)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def files(directory: Path) -> FileBackend:
    return FileBackend(str(directory))


class TestFiles:
    def test_a_file_holds_its_end_and_the_bytes(self, files: FileBackend, directory: Path) -> None:
        before = int(time.time())
        files.set("k", b"value", 60)
        content = entry_file(directory).read_bytes()
        assert content[4:] == b"value"
        assert before + 60 <= struct.unpack("I", content[:4])[0] <= int(time.time()) + 60

    def test_a_pickle_is_bytes_like_any_other(self, files: FileBackend, directory: Path, tmp_path: Path) -> None:
        trap = tmp_path / "executed"
        payload = pickle.dumps(Payload(trap))
        files.set("k", b"value", 60)
        path = entry_file(directory)
        rewrite(path, path.read_bytes()[:4] + payload)
        assert files.get("k") == payload
        rewrite(path, payload)
        files.get("k")
        files.sweep()
        assert not trap.exists()

    @pytest.mark.parametrize("content", [b"", b"\0", b"\0\0\0"], ids=["empty", "one octet", "three octets"])
    def test_a_damaged_file_is_there_and_cannot_be_read(
        self, files: FileBackend, directory: Path, content: bytes
    ) -> None:
        files.set("k", b"value", 60)
        rewrite(entry_file(directory), content)
        assert files.get("k") == b""
        files.sweep()
        assert files.get("k") == b""
        files.set("k", b"again", 60)
        assert files.get("k") == b"again"

    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        previous = os.umask(0)
        try:
            backend = FileBackend(str(tmp_path / "sessions"))
            backend.set("k", b"value", 60)
            backend.claim("k", 60)
            with backend.lock("k"):
                paths = [tmp_path / "sessions", *(tmp_path / "sessions").rglob("*")]
                modes = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()}
                directories = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
        finally:
            os.umask(previous)
        assert (modes, directories) == ({0o600}, {0o700})

    def test_names_of_files_tell_the_kind_and_nothing_else(self, files: FileBackend, directory: Path) -> None:
        files.set("session:secret", b"1", 60)
        files.set("revoked:secret", b"2", 60)
        assert {path.name.partition("-")[0] for path in (directory / "entries").iterdir()} == {"session", "revoked"}
        assert list(files.scan("session:")) == [b"1"]

    def test_names_of_files_tell_nothing_of_the_keys(self, files: FileBackend, directory: Path) -> None:
        files.set("secret-key", b"value", 60)
        files.claim("secret-key", 60)
        with files.lock("secret-key"):
            assert [path.name for path in directory.rglob("*") if "secret" in path.name] == []

    def test_a_lock_leaves_no_file(self, files: FileBackend, directory: Path) -> None:
        with files.lock("k"):
            assert len(list((directory / "locks").iterdir())) == 1
        assert list((directory / "locks").iterdir()) == []

    def test_what_has_ended_is_swept_and_what_lives_stays(self, files: FileBackend, directory: Path) -> None:
        now = int(time.time())
        entries = directory / "entries"
        for name, ends_at in {
            "living": now + 60,
            "ended": now - SWEEP_GRACE_SECONDS - 5,
            "just ended": now - 5,
        }.items():
            (entries / name.replace(" ", "_")).write_bytes(struct.pack("I", ends_at) + b"value")
        files.sweep()
        assert {path.name for path in entries.iterdir()} == {"living", "just_ended"}

    def test_half_written_files_and_locks_are_swept_after_an_hour(self, files: FileBackend, directory: Path) -> None:
        for folder, suffix in (("entries", ".__wz_cache"), ("locks", "")):
            for name, age in {"old": 3700, "new": 60}.items():
                path = directory / folder / f"{name}{suffix}"
                path.write_bytes(b"")
                os.utime(path, (time.time() - age, time.time() - age))
        files.sweep()
        assert {path.stem for path in directory.rglob("*") if path.is_file()} == {"new"}
        assert len([path for path in directory.rglob("*") if path.is_file()]) == 2

    def test_claims_are_swept_after_their_time(self, files: FileBackend, directory: Path) -> None:
        assert files.claim("ended", 60)
        (path,) = (directory / "claims").iterdir()
        os.utime(path, (time.time() - 5, time.time() - 5))
        assert files.claim("living", 60)
        files.sweep()
        assert len(list((directory / "claims").iterdir())) == 1
        assert not files.claim("living", 60)
        assert files.claim("ended", 60)

    def test_a_claim_that_has_ended_and_is_not_swept_yet_is_none(self, files: FileBackend, directory: Path) -> None:
        assert files.claim("k", 60)
        (path,) = (directory / "claims").iterdir()
        os.utime(path, (time.time() - 5, time.time() - 5))
        assert files.claim("k", 60)
        assert not files.claim("k", 60)

    def test_a_write_sweeps_what_has_ended(self, files: FileBackend, directory: Path) -> None:
        ended = directory / "entries" / "ended"
        ended.write_bytes(struct.pack("I", 1) + b"value")
        files.set("k", b"value", 60)
        assert eventually(lambda: not ended.exists())
        assert files.get("k") == b"value"

    @pytest.mark.parametrize(
        "use",
        [
            pytest.param(lambda backend: backend.get("k"), id="get"),
            pytest.param(lambda backend: backend.set("k", b"value", 60), id="set"),
            pytest.param(lambda backend: backend.get_many(["k"]), id="get_many"),
            pytest.param(lambda backend: backend.replace("k", b"", b"value", 60), id="replace"),
            pytest.param(lambda backend: list(backend.scan("session:")), id="scan"),
            pytest.param(lambda backend: backend.delete("k"), id="delete"),
            pytest.param(lambda backend: backend.claim("k", 60), id="claim"),
            pytest.param(lambda backend: backend.lock("k").__enter__(), id="lock"),
            pytest.param(lambda backend: backend.check(), id="check"),
        ],
    )
    def test_a_directory_that_is_gone_is_a_failure_and_no_missing_session(
        self, files: FileBackend, directory: Path, use: Callable[[Backend], object]
    ) -> None:
        ended = directory / "entries" / "ended"
        ended.write_bytes(struct.pack("I", 1))
        files.set("k", b"value", 60)
        assert eventually(lambda: not ended.exists() and not any((directory / "locks").iterdir()))
        shutil.rmtree(directory)
        with pytest.raises(StoreUnavailable) as error:
            use(files)
        assert error.value.code == "store_down"

    def test_an_entry_that_cannot_be_read_is_a_failure(self, files: FileBackend, directory: Path) -> None:
        files.set("k", b"value", 60)
        path = entry_file(directory)
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreUnavailable) as error:
            files.get("k")
        assert error.value.code == "store_down"

    def test_a_directory_that_cannot_be_made_is_a_failure(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreUnavailable) as error:
            FileBackend(str(tmp_path / "file" / "sessions"))
        assert error.value.code == "store_down"
