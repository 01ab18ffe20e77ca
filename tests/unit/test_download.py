"""Downloads against a local server that cuts, lies, changes its mind and stalls."""

import errno
import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.errors import CheckpointError
from zoo.weights import download, transfer
from zoo.weights.catalogue import Known
from zoo.weights.download import cache_folder, cached, fetch
from zoo.weights.download_bar import download_bar, fetch_with_bar

CONTENT = random.Random(0).randbytes(400_000)
OTHER = random.Random(1).randbytes(400_000)
FILE = "weights.pth"


@dataclass
class Site:
    """What the server does. Lists are used up one request at a time; their last entry holds for all that follow."""

    address: str = ""
    content: list[bytes] = field(default_factory=lambda: [CONTENT])
    cut_after: list[int | None] = field(default_factory=lambda: [None])
    """Bytes of the body after which the connection ends."""
    tag: list[str | None] = field(default_factory=lambda: ['"one"'])
    status: list[int] = field(default_factory=lambda: [200])
    has_ranges: bool = True
    obeys_if_range: bool = True
    announces: int | None = None
    """Another Content-Length than the true one; 0: none at all."""
    content_type: str = "application/octet-stream"
    redirect: str | None = None
    pause: float = 0.0
    """Seconds between pieces of 50 kB."""
    stall_after: list[int | None] = field(default_factory=lambda: [None])
    """Bytes after which nothing more comes, though the connection stays."""
    requests: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def turn(self, values: list[Any]) -> Any:
        return values[min(len(self.requests) - 1, len(values) - 1)]


class Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site = self.site
        site.requests.append(dict(self.headers))
        content, tag, status = site.turn(site.content), site.turn(site.tag), site.turn(site.status)
        if site.redirect is not None and self.path != "/moved":
            self.send_response(302)
            self.send_header("Location", site.redirect)
            self.end_headers()
            return
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"sorr")
            return
        start, wanted = 0, self.headers.get("Range")
        if wanted and site.has_ranges and (not site.obeys_if_range or self.headers.get("If-Range") == tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if tag is not None:
            self.send_header("ETag", tag)
        self.send_header("Content-Type", site.content_type)
        if site.announces != 0:
            self.send_header("Content-Length", str(site.announces or len(content) - start))
        self.end_headers()
        self.send_body(content[start:])

    def send_body(self, body: bytes) -> None:
        site = self.site
        cut, stall = site.turn(site.cut_after), site.turn(site.stall_after)
        try:
            for at in range(0, len(body), 50_000):
                self.wfile.write(body[at : at + 50_000][: None if cut is None else max(0, cut - at)])
                if cut is not None and at + 50_000 >= cut:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if stall is not None and at + 50_000 >= stall:
                    site.released.wait(10)
                    return
                time.sleep(site.pause)
        except OSError:  # the client has gone
            self.close_connection = True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.address = f"http://127.0.0.1:{server.server_port}"
        yield site
        site.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _away_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(transfer, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(download, "_WAIT_SECONDS", 0.01)


def known_at(site: Site, **fields: Any) -> Known:
    address = f"{site.address}/{FILE}"
    entry = {"name": "sample", "family": "ast", "file": FILE, "url": address, "own": {}, "values": 100_000}
    return Known.model_validate({**entry, **fields})


def one_line(raised: pytest.ExceptionInfo[CheckpointError]) -> str:
    text = str(raised.value)
    assert "\n" not in text
    assert text.count(" - ") == 2  # found - expected - what to do
    return text


def only_the_file_and_its_record(folder: Path) -> bool:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")} == {FILE, f"{FILE}.json"}


def test_a_download_is_whole_and_recorded(site: Site) -> None:
    seen: list[tuple[int, int | None]] = []
    path = fetch(known_at(site), on_progress=lambda done, total: seen.append((done, total)))
    assert path == cache_folder() / FILE
    assert path.read_bytes() == CONTENT
    assert only_the_file_and_its_record(path.parent)
    record = json.loads(path.with_name(f"{FILE}.json").read_text())
    assert record == {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_a_cut_connection_is_gone_on_with(site: Site) -> None:
    site.cut_after = [100_000, 1, 70_000, 123_456, None]
    seen: list[int] = []
    path = fetch(known_at(site), on_progress=lambda done, _: seen.append(done))
    assert path.read_bytes() == CONTENT
    ranges = [request.get("Range") for request in site.requests]
    assert ranges == [None, "bytes=100000-", "bytes=100001-", "bytes=170001-", "bytes=293457-"]
    assert all(request["If-Range"] == '"one"' for request in site.requests[1:])
    assert seen == sorted(seen)
    assert only_the_file_and_its_record(path.parent)


def test_without_ranges_it_starts_over(site: Site) -> None:
    site.has_ranges = False
    site.cut_after = [300_000, 100_000, None]
    assert fetch(known_at(site)).read_bytes() == CONTENT
    assert len(site.requests) == 3


@pytest.mark.parametrize("has_ranges", [True, False])
def test_it_gives_up_when_nothing_more_arrives(site: Site, has_ranges: bool) -> None:
    site.has_ranges = has_ranges
    site.cut_after = [100_000, 0] if has_ranges else [100_000]
    with pytest.raises(CheckpointError, match=r"cut at 100,000|connection broke") as raised:
        fetch(known_at(site))
    assert f"{site.address}/{FILE} by hand" in one_line(raised)
    assert len(site.requests) == 6
    assert (cache_folder() / f"{FILE}.part").read_bytes() == CONTENT[:100_000]
    assert cached(known_at(site)) is None


def test_another_day_it_goes_on_where_it_stopped(site: Site) -> None:
    site.cut_after = [250_000, 0]
    with pytest.raises(CheckpointError):
        fetch(known_at(site))
    site.requests.clear()
    site.cut_after = [None]
    assert fetch(known_at(site)).read_bytes() == CONTENT
    assert [request.get("Range") for request in site.requests] == ["bytes=250000-"]


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_a_file_that_changed_meanwhile_starts_anew(site: Site, obeys_if_range: bool) -> None:
    site.content, site.tag, site.cut_after = [CONTENT, OTHER], ['"one"', '"two"'], [200_000, None]
    site.obeys_if_range = obeys_if_range
    assert fetch(known_at(site)).read_bytes() == OTHER


@pytest.mark.parametrize("tag", [None, 'W/"one"'])
def test_without_a_version_nothing_is_pieced_together(site: Site, tag: str | None) -> None:
    site.content, site.tag, site.cut_after = [CONTENT, OTHER], [tag], [200_000, None]
    site.obeys_if_range = False
    assert fetch(known_at(site)).read_bytes() == OTHER
    assert "Range" not in site.requests[1]


def test_a_part_of_another_address_is_not_used(site: Site) -> None:
    site.cut_after = [200_000, 0]
    with pytest.raises(CheckpointError):
        fetch(known_at(site))
    site.requests.clear()
    site.cut_after = [None]
    fetch(known_at(site, url=f"{site.address}/moved/{FILE}"))
    assert "Range" not in site.requests[0]


def test_a_whole_part_is_only_moved(site: Site) -> None:
    site.cut_after = [300_000, 0]
    with pytest.raises(CheckpointError):
        fetch(known_at(site))
    part = cache_folder() / f"{FILE}.part"
    part.write_bytes(CONTENT)  # as when the process died between the last byte and the renaming
    assert fetch(known_at(site)).read_bytes() == CONTENT
    assert not part.exists()


def test_a_part_longer_than_the_file_starts_anew(site: Site) -> None:
    site.cut_after = [300_000, 0]
    with pytest.raises(CheckpointError):
        fetch(known_at(site))
    (cache_folder() / f"{FILE}.part").write_bytes(CONTENT + b"more")
    site.cut_after = [None]
    assert fetch(known_at(site)).read_bytes() == CONTENT


def test_a_part_whose_note_is_damaged_starts_anew(site: Site) -> None:
    cache_folder().mkdir()
    (cache_folder() / f"{FILE}.part").write_bytes(b"from somewhere")
    (cache_folder() / f"{FILE}.part.json").write_text("[1")
    assert fetch(known_at(site)).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1_000, 4_000_000])
def test_a_wrong_length_is_refused_before_it_is_fetched(site: Site, length: int) -> None:
    site.content = [bytes(length)]
    with pytest.raises(
        CheckpointError, match=f"a file of {length:,} bytes is there, where one of 400,000 to"
    ) as raised:
        fetch(known_at(site))
    one_line(raised)
    assert not list(cache_folder().glob(f"{FILE}*"))


def test_a_wrong_length_that_nobody_announced_is_refused(site: Site) -> None:
    site.content, site.announces = [CONTENT[:-1]], 0
    with pytest.raises(CheckpointError, match="found 399,999 bytes, where it has 400,000 to 3,400,000") as raised:
        fetch(known_at(site))
    one_line(raised)
    assert not list(cache_folder().glob(f"{FILE}*"))


def test_more_announced_than_sent_is_a_cut(site: Site) -> None:
    site.announces, site.has_ranges = len(CONTENT) + 10, False
    with pytest.raises(CheckpointError, match="cut at 400,000 of 400,010 bytes"):
        fetch(known_at(site))


def test_a_size_that_nobody_knows_is_not_verified(site: Site) -> None:
    site.content = [b"small"]
    assert fetch(known_at(site, values=None)).read_bytes() == b"small"


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_told(site: Site, content_type: str) -> None:
    site.content, site.content_type = [b"\n<!DOCTYPE html><html>expired" + bytes(400_000)], content_type
    with pytest.raises(CheckpointError, match="a web page") as raised:
        fetch(known_at(site))
    one_line(raised)
    assert not (cache_folder() / FILE).exists()


@pytest.mark.parametrize("page", ["<html>Sign in</html>", "<!-- saved --><HTML>", "\ufeff<body>", "<script>go()"])
def test_a_web_page_saved_by_hand_is_told(site: Site, page: str) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints", FILE).write_text(page, "utf-8")
    with pytest.raises(CheckpointError, match=r"found a web page - expected weights\.pth"):
        fetch(known_at(site))
    assert not site.requests


def test_a_missing_file_says_how_to_get_it_by_hand(site: Site) -> None:
    site.status = [404]
    with pytest.raises(CheckpointError, match="HTTP 404") as raised:
        fetch(known_at(site))
    text = one_line(raised)
    for words in (f"{site.address}/{FILE} by hand", str(cache_folder() / FILE), str(Path.cwd() / "checkpoints" / FILE)):
        assert words in text
    assert len(site.requests) == 1


def test_a_mirror_is_tried_next(site: Site) -> None:
    site.status = [404, 200]
    path = fetch(known_at(site, mirrors=[f"{site.address}/mirror/{FILE}"]))
    assert path.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site: Site) -> None:
    site.status = [503, 429, 200]
    assert fetch(known_at(site)).read_bytes() == CONTENT


def test_a_redirect_is_followed(site: Site) -> None:
    site.redirect = "/moved"
    site.cut_after = [None, 100_000, None]
    assert fetch(known_at(site)).read_bytes() == CONTENT
    assert site.requests[-1]["Range"] == "bytes=100000-"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/weights.pth"])
def test_a_redirect_to_anything_but_http_is_refused(site: Site, target: str) -> None:
    site.redirect = target
    with pytest.raises(CheckpointError, match="not to be had") as raised:
        fetch(known_at(site))
    one_line(raised)


def test_a_redirect_out_of_encryption_is_refused() -> None:
    request, body = urllib.request.Request("https://example.org/x"), io.BytesIO()
    with pytest.raises(transfer.TransferError, match="not encrypted"):
        transfer._SafeRedirect().redirect_request(request, body, 302, "Found", {}, "http://example.org/x")
    assert body.closed


def test_a_slow_server_shows_progress(site: Site) -> None:
    site.pause = 0.01
    seen: list[int] = []
    fetch(known_at(site), on_progress=lambda done, _: seen.append(done))
    assert len(seen) >= 4
    assert seen == sorted(seen)


def test_a_server_that_stalls_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_TIMEOUT_SECONDS", 0.2)
    site.stall_after = [100_000, None]
    assert fetch(known_at(site)).read_bytes() == CONTENT
    assert site.requests[1]["Range"] == "bytes=100000-"


def test_without_a_network_it_says_what_to_fetch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    known = known_at(site, url=f"https://example.org/{FILE}")

    def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(CheckpointError, match=r"no answer.*Name or service not known") as raised:
        fetch(known)
    text = one_line(raised)
    for words in ("sample: ", f"https://example.org/{FILE} by hand", FILE, str(cache_folder() / FILE)):
        assert words in text


def test_nobody_listening_is_no_network(site: Site) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/{FILE}"
        with pytest.raises(CheckpointError, match=r"no answer.*refused"):
            fetch(known_at(site, url=address))


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_never_touches_the_network(site: Site, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", value)
    with pytest.raises(CheckpointError, match=r"ZOO_OFFLINE is set - expected the file weights\.pth of 0 MB") as raised:
        fetch(known_at(site))
    assert "by hand" in one_line(raised)
    assert not site.requests


@pytest.mark.parametrize("value", ["0", "", "false"])
def test_offline_can_be_switched_off(site: Site, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", value)
    assert fetch(known_at(site)).read_bytes() == CONTENT


def test_the_cache_serves_without_a_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fetch(known_at(site))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for _ in range(2):
        assert fetch(known_at(site)) == path
    assert len(site.requests) == 1


def test_a_file_beside_the_work_is_used_and_recorded(site: Site) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints", FILE).write_bytes(CONTENT)
    assert fetch(known_at(site)) == Path.cwd() / "checkpoints" / FILE
    assert json.loads(Path("checkpoints", f"{FILE}.json").read_text())["size"] == len(CONTENT)
    assert not site.requests


def test_a_folder_that_cannot_be_written_serves_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints", FILE).write_bytes(CONTENT)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    assert fetch(known_at(site)) == Path.cwd() / "checkpoints" / FILE


def test_a_changed_file_is_refused(site: Site) -> None:
    path = fetch(known_at(site))
    path.write_bytes(OTHER)
    with pytest.raises(CheckpointError) as raised:
        fetch(known_at(site))
    text = one_line(raised)
    record = path.with_name(f"{FILE}.json")
    for content in (CONTENT, OTHER):
        assert hashlib.sha256(content).hexdigest() in text
    assert str(record) in text
    record.unlink()
    assert fetch(known_at(site)) == path  # the change was meant


def test_another_file_at_the_address_is_refused_after_deleting_one(site: Site) -> None:
    fetch(known_at(site)).unlink()
    site.content = [OTHER]
    with pytest.raises(CheckpointError, match="its SHA-256 is"):
        fetch(known_at(site))


@pytest.mark.parametrize("text", ["", "{}", "[]", "{"])
def test_a_damaged_record_is_told(site: Site, text: str) -> None:
    record = fetch(known_at(site)).with_name(f"{FILE}.json")
    record.write_text(text)
    with pytest.raises(CheckpointError, match="delete it to record the file anew") as raised:
        fetch(known_at(site))
    one_line(raised)


def test_published_digits_are_verified(site: Site) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(known_at(site, sha256=digest[:8])).read_bytes() == CONTENT
    wrong = known_at(site, file="other.pth", sha256="0" * 8)
    with pytest.raises(CheckpointError, match=f"begins with {digest[:16]}, where its begins with 00000000") as raised:
        fetch(wrong)
    one_line(raised)
    assert not list(cache_folder().glob("other.pth*"))


def test_two_at_once_download_it_once(site: Site) -> None:
    site.pause = 0.02
    paths: list[Path] = []
    seen: list[int] = []

    def work() -> None:
        paths.append(fetch(known_at(site), on_progress=lambda done, _: seen.append(done)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [cache_folder() / FILE] * 3
    assert paths[0].read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_process_that_dies_leaves_what_the_next_goes_on_with(site: Site) -> None:
    site.stall_after = [150_000, None]
    known = known_at(site)
    code = "import sys; from zoo.weights.download import *; fetch(Known.model_validate_json(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code, known.model_dump_json()], env=environment) as process:
        part = cache_folder() / f"{FILE}.part"
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    arrived = part.stat().st_size
    assert 0 < arrived < len(CONTENT)
    assert fetch(known).read_bytes() == CONTENT
    assert site.requests[1]["Range"] == f"bytes={arrived}-"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock to take away")
def test_without_locks_every_process_has_its_own_part(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(download.fcntl, "flock", no_locks)
    site.cut_after = [100_000, 0]
    with pytest.raises(CheckpointError):
        fetch(known_at(site))
    assert [path.name for path in cache_folder().glob("*.part")] == [f"{FILE}.{os.getpid()}.part"]
    site.cut_after = [None]
    assert fetch(known_at(site)).read_bytes() == CONTENT


def test_a_disk_without_room_is_told_before_it_is_filled(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 399_999})
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CheckpointError, match=r"no space is left.*set ZOO_CACHE") as raised:
        fetch(known_at(site))
    one_line(raised)


def test_a_disk_that_fills_up_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="no space is left, what has arrived is kept") as raised:
        fetch(known_at(site))
    one_line(raised)
    assert (cache_folder() / f"{FILE}.part").read_bytes() == CONTENT


def test_a_cache_that_cannot_be_made_is_told(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CheckpointError, match="set ZOO_CACHE to another") as raised:
        fetch(known_at(site))
    one_line(raised)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/zoo/checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache/zoo/checkpoints"


def test_lines_where_there_is_no_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.cut_after = [100_000, None]
    fetch_with_bar(known_at(site))
    fetch_with_bar(known_at(site))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[-1] == f"{FILE}: 0.4 of 0.4 MB"
    assert sum("0.4 of 0.4" in line for line in lines) == 1  # the cache has nothing to tell


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with download_bar("weights [1].pth") as report:
        report(1_000_000, None)
        report(2_000_000, 4_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "weights [1].pth" in captured.err
    assert "2.0/4.0 MB" in captured.err
