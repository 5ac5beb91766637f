"""What the README, the documentation and the examples show is run."""

import gzip
import os
import re
import runpy
from pathlib import Path

import fresh
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/start.md",
    "docs/files.md",
    "docs/from-keras.md",
    "docs/from-pytorch.md",
    "docs/training.md",
    "docs/vision.md",
    "docs/language.md",
    "docs/data.md",
    "docs/layers.md",
    "docs/recurrent.md",
    "docs/neurons.md",
    "docs/energy.md",
    "docs/trees.md",
    "docs/pretraining.md",
    "docs/serving.md",
    "docs/study.md",
    "docs/doctor.md",
    "docs/report.md",
    "docs/gallery.md",
)
TRANSLATED = {page: page.replace(".md", ".zh-CN.md") for page in PAGES}


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def without_comments(code):
    return re.sub(r" *#.*", "", code)


@pytest.mark.parametrize(("page", "number"), [(page, i) for page in PAGES for i in range(len(blocks(page)))])
def test_the_code_on_a_page_runs(page, number):
    exec(compile(blocks(page)[number], f"{page}, block {number + 1}", "exec"), {"__name__": "page"})


def rows(page):
    """The names in the cells of a page's tables, row by row."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    return [[set(re.findall("`(.+?)`", cell)) for cell in line.split("|")[1:3]] for line in lines if line[:1] == "|"]


def test_what_differs_is_told_in_both_languages():
    assert rows("docs/differences.md") == rows("docs/differences.zh-CN.md")


def script(page):
    (code,) = re.findall(r"^```py\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return code


def test_the_script_for_tensorflow_runs(tmp_path):
    code = script("docs/from-keras.md")
    assert without_comments(code) == without_comments(script("docs/from-keras.zh-CN.md"))
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    said = fresh.check(["-m", "lamella", "run", tmp_path / "script.py"])
    losses = [float(line.split()[-1]) for line in said.splitlines()]
    assert len(losses) == 5 and losses[-1] < 0.3 < losses[0]


def test_the_readme_keeps_its_promise(capsys):
    found = {}
    exec(blocks("README.md")[0], found)
    assert found["accuracy"] >= 0.96
    assert f"test accuracy {found['accuracy']:.3f}" in capsys.readouterr().out


def test_the_torch_model_of_the_readme_trains():
    found = {}
    exec(blocks("README.md")[1], found)
    net = found["Net"]()
    x = torch.randn(32, 4)
    y = x.sum(1, keepdim=True)
    net(x)  # as the README says, the weights are made here
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("page", TRANSLATED)
def test_the_translation_shows_the_same_code(page):
    ours = [without_comments(block) for block in blocks(page)]
    theirs = [without_comments(block) for block in blocks(TRANSLATED[page])]
    assert theirs
    assert theirs == ours[: len(theirs)]


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", *map(str, TRANSLATED.values())])
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


def test_the_digits_example(capsys):
    runpy.run_path(str(ROOT / "examples/digits.py"))
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy >= 0.97


def run(example, **environment):
    command = ["-m", "lamella", "run", ROOT / "examples" / example]
    return fresh.run(command, env={**os.environ, **environment})


def test_the_older_form_learns_exclusive_or():
    done = run("sequential_input_shape.py")
    assert done.returncode == 0, done.stderr
    low, high, also_high, also_low = (float(each) for each in re.findall(r"0?\.\d*|\d\.", done.stdout))
    assert max(low, also_low) < 0.5 < min(high, also_high)


def test_the_tutorial_runs_as_it_is(tmp_path):
    """On a few made-up pictures in MNIST's form, each class with its own bright row: no download."""
    labels = np.arange(320, dtype="uint8") % 10
    images = np.zeros((320, 28, 28), "uint8")
    images[np.arange(320), labels * 2] = 255
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            with gzip.open(tmp_path / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(header + array.tobytes())
    done = run("mnist_tutorial.py", LAMELLA_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("10/10") == 6  # five epochs and the evaluation
    assert float(re.findall(r"accuracy: ([\d.]+)", done.stdout)[-1]) > 0.9
