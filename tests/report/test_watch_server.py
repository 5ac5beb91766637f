"""`lamella watch` as a server: its pages, its events, and what it does not do."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from lamella.errors import ArgumentError
from lamella.report import run_file

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from watch_server import Client, begin, epoch, served, until

from lamella.commands import watch as command

HOSTILE = '<script>alert("1")</script>&'


class Tags(HTMLParser):
    """Refuses tags that are not closed, and ids that come twice."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.names = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        name = dict(attributes).get("id")
        assert name is None or name not in self.ids
        self.ids.add(name)
        if tag not in ("br", "img", "meta", "input", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return tags


def test_the_list_shows_each_run_and_where_it_stands(tmp_path):
    begin(tmp_path / "young", started="2026-11-21T20:15:00+00:00")
    begin(tmp_path / "old", started="2026-11-20T20:15:00+00:00")
    for number, loss in enumerate((0.75, float("nan"), 0.25)):
        epoch(tmp_path / "old", number, loss)
    run_file.append(tmp_path / "old", "end", state="failed", error=HOSTILE)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "events.jsonl").write_text("{}\n")
    with served(tmp_path) as client:
        status, page, headers = client.get("/")
        assert status == 200 and parsed(page)
        assert page.index(">young<") < page.index(">old<")
        assert "0 of 30" in page and "3 of 30" in page and "0.25" in page and "unreadable" in page
        assert "loss from 0.75 to 0.25" in page
        assert "<script>alert" not in page and "&lt;script&gt;" in page
        assert client.get("/", "HEAD")[:2] == (200, "")
        assert client.get("/", "POST")[0] == 405
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        policy = page.replace("&#39;", "'")
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy


def test_where_there_is_no_run_it_says_how_to_get_one(tmp_path):
    with served(tmp_path / "nothing") as client:
        status, page, _ = client.get("/")
        assert status == 200 and "Recorder" in page and str(tmp_path / "nothing") in page


def test_runs_are_shown_alone_and_side_by_side(tmp_path):
    for name in ("a", "b"):
        begin(tmp_path / name, settings={"optimizer": f"{name}-optimizer"})
        epoch(tmp_path / name, 0)
    with served(tmp_path) as client:
        alone = client.get("/runs?run=a")[1]
        both = client.get("/runs?run=a&run=b&run=a")[1]
        assert "a-optimizer" in alone and "b-optimizer" not in alone
        assert "a-optimizer" in both and "b-optimizer" in both
        assert parsed(alone) and parsed(both)
        assert 'href="."' in alone


def test_hostile_names_are_escaped_wherever_they_stand(tmp_path):
    name = HOSTILE.replace("/", "")
    begin(tmp_path / name)
    begin(tmp_path / "b", settings={HOSTILE: HOSTILE})
    with served(tmp_path) as client:
        for path in ("/", f"/runs?run={quote(name)}", f"/runs?run={quote(name)}&run=b"):
            status, page, _ = client.get(path)
            assert status == 200 and parsed(page).names.count("script") == 2
            assert "<script>alert" not in page


@pytest.mark.parametrize(
    "name", ["..", "../secret", "%2e%2e%2fsecret", "/etc", "a/..", "a/../../secret", "a%00", ".", "", "a/events.jsonl"]
)
def test_only_names_of_runs_that_were_found_are_taken(tmp_path, name):
    begin(tmp_path / "runs" / "a")
    begin(tmp_path / "secret", settings={"word": "hidden-word"})
    with served(tmp_path / "runs") as client:
        for address in (f"/runs?run={name}", f"/runs?run=a&run={name}"):
            status, page, _ = client.get(address)
            assert status == 404 and "hidden-word" not in page
        assert client.get(f"/events?run={name}")[0] == 404
        assert client.get(f"/{name.strip('.')}x")[0] == 404


def test_none_and_too_many_runs_are_refused(tmp_path):
    for i in range(17):
        begin(tmp_path / str(i))
    with served(tmp_path) as client:
        status, page, _ = client.get("/runs")
        assert status == 400 and "Tick at least one" in page
        query = "&".join(f"run={i}" for i in range(17))
        status, page, _ = client.get(f"/runs?{query}")
        assert status == 400 and "At most 16" in page
        assert client.get(f"/events?{query}")[0] == 404


def test_a_page_asked_for_by_another_name_is_refused_where_only_this_machine_may_ask(tmp_path):
    with served(tmp_path, hosts=("127.0.0.1", "localhost")) as client:
        assert client.get("/")[0] == 200
        assert client.get("/", Host=f"localhost:{client.port}")[0] == 200
        assert client.get("/", Host="evil.example")[0] == 400


def test_events_send_what_changed(tmp_path):
    begin(tmp_path / "a")
    begin(tmp_path / "b")
    with served(tmp_path) as client, client.events("run=a") as events:
        first, view = events.next()
        assert view.startswith('<div id="view"') and parsed(view)
        epoch(tmp_path / "b", 0)  # not shown here
        epoch(tmp_path / "a", 0, 0.123)
        second, view = events.next()
        assert "0.123" in view and first != second


def test_the_list_is_told_of_runs_that_come_and_go(tmp_path):
    with served(tmp_path) as client, client.events() as events:
        assert "Recorder" in events.next()[1]
        begin(tmp_path / "new")
        assert ">new<" in events.next()[1]
        (tmp_path / "new" / "events.jsonl").unlink()
        assert ">new<" not in events.next()[1]


def test_a_run_that_vanishes_while_it_is_watched_is_told(tmp_path):
    begin(tmp_path / "a")
    begin(tmp_path / "b", settings={"optimizer": "b-optimizer"})
    with served(tmp_path) as client, client.events("run=a&run=b") as events:
        assert "gone" not in events.next()[1]
        (tmp_path / "a" / "events.jsonl").unlink()
        view = events.next()[1]
        assert "a is gone" in view and "b-optimizer" in view
        (tmp_path / "b" / "events.jsonl").write_text("no json\n")
        assert "b cannot be read" in events.next()[1]
        begin(tmp_path / "a")
        assert "a is gone" not in events.next()[1]


def test_who_comes_back_is_sent_only_what_it_has_not_seen(tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path) as client:
        client.feed.beat = 0.1
        version = re.search(r'data-seen="(\w+)"', client.get("/runs?run=a")[1])[1]
        with client.events(f"run=a&seen={version}") as events:
            assert events.block() == ["retry: 1000"]
            assert events.block() == [":"] and events.block() == [":"]  # signs of life
            epoch(tmp_path / "a", 0)
            newer, _ = events.next()
            assert newer != version
        with client.events(f"run=a&seen={version}", **{"Last-Event-ID": newer}) as events:  # as browsers do
            assert events.block() == ["retry: 1000"] and events.block() == [":"]
        with client.events(f"run=a&seen={version}") as events:
            assert events.next()[0] == newer


def test_nobody_watching_costs_nothing_and_who_leaves_is_forgotten(tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path, max_clients=3) as client:
        looks = []
        look = client.feed.runs.look
        client.feed.runs.look = lambda: looks.append(1) or look()
        time.sleep(0.7)
        assert not looks
        with client.events("run=a"), client.events(), client.events("run=a") as last:
            last.next()
            status, _, headers = client.get("/events?run=a")
            assert status == 503 and headers["Retry-After"] == "5"
            until(lambda: len(looks) > 5)
        until(lambda: client.feed.clients == 0)
        with client.events("run=a") as events:
            events.next()
        until(lambda: client.feed.clients == 0)
        time.sleep(1.5)
        before = len(looks)
        time.sleep(0.7)
        assert len(looks) == before


def test_a_client_that_does_not_read_holds_up_nobody(tmp_path):
    begin(tmp_path / "a", settings={"long": "x" * 3_000_000})
    with served(tmp_path) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as stuck:
            stuck.sendall(b"GET /events?run=a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: client.feed.clients == 1)
            with client.events("run=a") as events:
                events.next()
                for number in range(3):
                    epoch(tmp_path / "a", number, number + 0.125)
                    assert f"{number}.125" in events.next()[1]
        until(lambda: client.feed.clients == 0)


def test_a_view_is_rendered_once_for_all_who_watch_it(tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path) as client:
        rendered = []
        render = client.feed._render
        client.feed._render = lambda names: rendered.append(names) or render(names)
        with client.events("run=a") as one, client.events("run=a") as two, client.events("run=a") as three:
            assert one.next() == two.next() == three.next()
            epoch(tmp_path / "a", 0)
            assert one.next() == two.next() == three.next()
        assert rendered == [("a",), ("a",)]


@contextmanager
def command_line(*arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "lamella", "watch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped_although_a_page_is_open(tmp_path, stop):
    begin(tmp_path / "a")
    with command_line(str(tmp_path), "--port", "0") as process:
        line = process.stdout.readline()
        found = re.fullmatch(rf"Watching {tmp_path} at http://127\.0\.0\.1:(\d+) \(Ctrl\+C stops\)\n", line)
        client = Client(int(found[1]), None)
        with client.events("run=a") as events:
            events.next()
            assert client.get("/", Host="evil.example")[0] == 400
            begun = time.monotonic()
            process.send_signal(stop)
            output, _ = process.communicate(timeout=60)
        assert time.monotonic() - begun < 30
        assert output == "" and process.returncode == 0


def test_a_port_that_is_taken_names_another(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ArgumentError, match=rf"port {port} is taken.*--port \d+"):
            command.watch(command.Use([str(tmp_path)], port=port))


def test_without_fastapi_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "lamella.report.watch")
    with pytest.raises(ImportError, match=r"pip install 'lamella\[serve\]'"):
        command.watch(command.Use([str(tmp_path)]))


def test_the_pages_speak_chinese(tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path, language="zh") as client:
        assert "训练一览" in client.get("/")[1] and "全部训练" in client.get("/runs?run=a")[1]
