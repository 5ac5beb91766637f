"""`lamella serve` as a process of its own: what a client has when the process is told to stop, or is killed."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

import lamella
from lamella import cli, layers
from lamella.serving import create_app

BODY = json.dumps({"inputs": [[1.0, 2.0]]})
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([lamella.Input((2,)), layers.Dense(2, "softmax")], name="tiny")
    path = tmp_path_factory.mktemp("serve") / "model.keras"
    model.save(path)
    return path, model.predict(np.array([[1.0, 2.0]]), verbose=0)


@contextmanager
def server(path, *more):
    """A server process and its port."""
    command = [sys.executable, "-m", "lamella", "serve", str(path), "--port", "0", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.search(r"Serving tiny at http://127\.0\.0\.1:(\d+) ", line)
            assert found, line + process.stdout.read()
            yield process, int(found[1])
        finally:
            process.kill()


class Load:
    """Clients that ask again and again until the server is gone; every request ends in an answer or an error."""

    def __init__(self, port, clients):
        self.port, self.answers, self.errors, self.half = port, [], [], 0
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        [thread.start() for thread in self.threads]

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while True:
            begun = False
            try:
                connection.request("POST", "/predict", BODY, JSON)
                response = connection.getresponse()
                begun = True
                self.answers.append((response.status, response.read()))
            except (OSError, http.client.HTTPException) as error:
                self.half += begun  # the head of an answer came, and not the rest
                self.errors.append(error)
                connection.close()
                return

    def join(self):
        [thread.join(25) for thread in self.threads]
        assert not any(thread.is_alive() for thread in self.threads)


def test_nothing_that_was_accepted_is_lost_on_sigterm(model_file):
    path, wanted = model_file
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with server(path, "--max-wait-ms", "600") as (process, port), ExitStack() as stack:
        # These were accepted: they wait for their batch while the signal comes.
        waiting = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(8)]
        for connection in waiting:
            connection.sendall((head + BODY).encode())
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        for connection in waiting:
            answer = b""
            while part := connection.recv(65536):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer.lower()
            np.testing.assert_allclose(json.loads(answer.partition(b"\r\n\r\n")[2])["outputs"], wanted, rtol=1e-5)
        assert process.wait(20) == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_under_load_every_client_learns_what_became_of_its_request(model_file, serve, number):
    path, wanted = model_file
    with server(path) as (process, port):
        load = Load(port, clients=8)
        time.sleep(0.5)
        process.send_signal(number)
        load.join()
        assert process.wait(20) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert len(load.answers) > 8 and len(load.errors) == 8  # each client ended with an error, none hangs
    assert {status for status, _ in load.answers} == {200}
    assert load.half == 0 or number == signal.SIGKILL
    for _, body in load.answers[-8:]:
        np.testing.assert_allclose(json.loads(body)["outputs"], wanted, rtol=1e-5)
    with serve(create_app(lamella.models.load_model(path)), port) as client:  # the same port, at once
        status, answer = client.predict([[1.0, 2.0]])
        assert status == 200
        np.testing.assert_allclose(answer["outputs"], wanted, rtol=1e-5)


def test_mistakes_on_the_command_line_are_told(model_file, capsys):
    path, _ = model_file
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["serve", str(path), "--port", str(taken.getsockname()[1])]) == 2
    assert "Address already in use" in capsys.readouterr().err
    assert cli.main(["serve", "nothing.keras"]) == 2
    assert cli.main(["serve", str(path), "--classes", "a,b,c"]) == 2
    assert "3 names of classes do not fit" in capsys.readouterr().err
    for option in (
        ["--max-batch", "0"],
        ["--pixels", "1"],
        ["--pixels", "1,1"],
        ["--port", "70000"],
        ["--timeout", "0"],
    ):
        with pytest.raises(SystemExit):
            cli.main(["serve", str(path), *option])
        assert option[0] in capsys.readouterr().err


def test_a_model_with_layers_of_ones_own_is_told_where_to_be_served(tmp_path, capsys):
    class Twice(lamella.layers.Layer):
        def call(self, x):
            return 2 * x

    x = lamella.Input((3,))
    lamella.Model(x, Twice()(x)).save(tmp_path / "own.keras")
    assert cli.main(["serve", str(tmp_path / "own.keras")]) == 2
    told = capsys.readouterr().err
    assert "'Twice'" in told and "serve it there by" in told
