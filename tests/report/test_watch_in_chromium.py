"""`lamella watch` as a person sees it: a real browser beside a real training, each a process of its own."""

import os
import re
import statistics
import subprocess
import sys
from contextlib import contextmanager

import chromium
import pytest

from lamella.report import run_file

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from watch_server import begin, epoch, served

pytestmark = chromium.needed

TRAINING = """
import sys, time
import numpy as np
import lamella
from lamella.report import Recorder

class Slow(lamella.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        time.sleep(float(sys.argv[3]))
    def on_epoch_end(self, epoch, logs=None):
        print(epoch + 1, time.time(), flush=True)

x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
model = lamella.Sequential([lamella.layers.Dense(16, "relu"), lamella.layers.Dense(1)])
model.compile("adam", "mse")
print("ready", flush=True)
sys.stdin.readline()
model.fit(x, x[:, :1], epochs=int(sys.argv[2]), verbose=0, callbacks=[Slow(), Recorder(sys.argv[1])])
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "LAMELLA_LANG": "en"}


def show(browser, address):
    browser.open(address)
    browser.until("document.readyState === 'complete' && document.getElementById('news')?.textContent === 'Live'")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.running(tmp_path_factory.mktemp("chromium"), "--window-size=1200,900") as found:
        yield found


@contextmanager
def watching(folder):
    """The address of a `lamella watch` of its own."""
    command = [sys.executable, "-m", "lamella", "watch", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.kill()


def delays(browser, address, folder, epochs, pause):
    """The seconds from the end of each epoch of a real training to the moment when the page shows it."""
    command = [sys.executable, "-c", TRAINING, str(folder / "first"), str(epochs), str(pause)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    with subprocess.Popen(command, **pipes) as training:
        try:
            assert training.stdout.readline() == "ready\n"
            begin(folder / "first", epochs=epochs)
            show(browser, f"{address}/runs?run=first")
            browser(
                """window.shown = {};
                new MutationObserver(() => {
                  const done = /(?:at|done:|after) (\\d+) of/.exec(document.getElementById("view").innerText);
                  if (done) shown[done[1]] ??= Date.now() / 1000;
                }).observe(document.getElementById("view"), {subtree: true, childList: true, characterData: true});"""
            )
            training.stdin.write("go\n")
            training.stdin.close()
            ended = {int(line.split()[0]): float(line.split()[1]) for line in training.stdout}
            assert training.wait(60) == 0 and sorted(ended) == list(range(1, epochs + 1))
            browser.until(f"document.getElementById('view').innerText.includes('{epochs} of {epochs}')")
            shown = {int(done): when for done, when in browser("shown").items()}
            # Two epochs that end within one look at the files are shown together.
            return [min(shown[each] for each in shown if each >= done) - ended[done] for done in ended]
        finally:
            training.kill()


def test_an_epoch_is_shown_soon_after_its_end(browser, tmp_path):
    with served(tmp_path) as server:
        measured = delays(browser, server.address, tmp_path, epochs=5, pause=0.3)
    assert all(0 <= delay < 20 for delay in measured), measured


@pytest.mark.slow
def test_each_of_twenty_epochs_is_shown_within_two_seconds_of_its_end(browser, tmp_path):
    with watching(tmp_path) as address:
        measured = delays(browser, address, tmp_path, epochs=20, pause=1.0)
    print(f"median {statistics.median(measured):.2f} s, largest {max(measured):.2f} s")
    assert all(0 <= delay < 2 for delay in measured), measured


def test_scrolling_focus_and_what_is_open_stay_as_they_are(browser, tmp_path):
    begin(tmp_path / "a", settings={"optimizer": "adam"})
    for number in range(3):
        epoch(tmp_path / "a", number)
    with served(tmp_path) as server:
        show(browser, f"{server.address}/runs?run=a")
        before = browser(
            """(() => {
              window.kept = document.querySelector("#view details");
              kept.open = true;
              window.summary = kept.querySelector("summary");
              summary.focus({preventScroll: true});
              window.scrollTo({top: 300, behavior: "instant"});
              return [window.scrollY, document.querySelectorAll("#view details").length];
            })()"""
        )
        assert before[0] == 300 and before[1] > 1
        epoch(tmp_path / "a", 3, 0.0625)
        browser.until("document.getElementById('view').innerText.includes('at 4 of 30')")
        kept = browser(
            """[kept.isConnected, kept.open, document.activeElement === summary, window.scrollY,
               document.querySelectorAll("#view details[open]").length]"""
        )
        assert kept == [True, True, True, 300, 1]
        assert "0.0625" in browser("document.getElementById('view').innerHTML")  # also in what is open
        assert not browser.complaints


def test_what_is_shown_is_what_a_fresh_page_shows(browser, tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path) as server:
        show(browser, f"{server.address}/runs?run=a")
        for number, loss in enumerate((0.75, float("nan"), 0.5)):
            epoch(tmp_path / "a", number, loss)
            browser.until(f"document.getElementById('view').innerText.includes('at {number + 1} of 30')")
        findings = [{"kind": "label_imbalance", "figures": {"common": 1, "most": 90, "rare": 2, "least": 3}}]
        run_file.append(tmp_path / "a", "findings", findings=findings)
        run_file.append(tmp_path / "a", "end", state="failed", error="no more")
        browser.until("document.getElementById('view').innerText.includes('no more')")
        assert browser(
            """fetch(location).then(answer => answer.text()).then(text => new DOMParser()
              .parseFromString(text, "text/html").getElementById("view")
              .isEqualNode(document.getElementById("view")))"""
        )


def test_ticked_runs_are_shown_side_by_side(browser, tmp_path):
    for name in ("b", "c"):
        begin(tmp_path / name, started="2026-11-21T20:15:00+00:00")
    with served(tmp_path) as server:
        show(browser, server.address)
        browser("document.querySelector('input[value=c]').click()")
        begin(tmp_path / "a", started="2026-11-21T21:15:00+00:00")
        browser.until("document.querySelectorAll('tbody tr').length === 3")
        rows = browser("[...document.querySelectorAll('tbody input')].map(each => [each.value, each.checked])")
        assert rows == [["a", False], ["b", False], ["c", True]]
        browser("document.querySelector('input[value=a]').click()")
        browser("document.querySelector('form button').click()")
        browser.until("location.pathname === '/runs' && document.readyState === 'complete'")
        assert browser("location.search") == "?run=a&run=c"
        assert not browser.complaints


def test_the_page_comes_back_when_the_server_does(browser, tmp_path):
    begin(tmp_path / "a")
    with served(tmp_path) as server:
        show(browser, f"{server.address}/runs?run=a")
    browser.until("document.getElementById('news').textContent.startsWith('No connection')")
    epoch(tmp_path / "a", 0)
    with served(tmp_path, port=server.port):
        browser.until("document.getElementById('news').textContent === 'Live'")
        browser.until("document.getElementById('view').innerText.includes('at 1 of 30')")
