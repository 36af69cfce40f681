import gzip
import hashlib
import io
import os
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tf_backprop import datasets
from tf_backprop.support import mnist
from tf_backprop.support.errors import DataError, UsageError

import numpy as np
import pytest

REAL = os.environ.get("MNIST_DIR")  # read before the fixture below takes it away
SHAPES = dict(mnist.FILES.values())


def idx(array):
    """Return the bytes of an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def arrays():
    """Return numbers that repeat, so that gzip is quick, but never at the same place of an image."""
    rng = np.random.default_rng(0)
    return {
        stem: np.resize(rng.integers(256 if len(shape) == 3 else 10, size=10_007, dtype=np.uint8), shape)
        for stem, shape in SHAPES.items()
    }


@pytest.fixture
def folder(tmp_path, arrays):
    for stem, array in arrays.items():
        (tmp_path / stem).write_bytes(idx(array))
    return tmp_path


def npz(path, arrays, **changes):
    named = {name: arrays[stem] for name, (stem, _) in mnist.FILES.items()} | changes
    np.savez(path, **{name: array for name, array in named.items() if array is not None})
    return path


KNOWN = mnist.SHA256  # before the fixture below puts another in its place


@pytest.fixture(scope="module")
def digest(arrays):
    return hashlib.sha256(b"".join(arrays[stem].tobytes() for stem in SHAPES)).hexdigest()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path_factory, digest):
    """No MNIST on this machine, and no network; and for these tests, MNIST is random numbers."""
    monkeypatch.setattr(mnist, "SHA256", digest)
    monkeypatch.setattr(mnist, "MIRROR", "http://127.0.0.1:9/")
    empty = tmp_path_factory.mktemp("home")
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(empty / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
    monkeypatch.setattr(mnist, "URL", "http://127.0.0.1:9/mnist.npz")


def test_document_data_are_as_documented():
    rng = np.random.default_rng(0)
    draws = np.concatenate([datasets.regression(rng).x for _ in range(200)])
    assert draws.mean() == pytest.approx(1, abs=0.005)
    assert draws.std() == pytest.approx(0.1, abs=0.005)
    assert set(datasets.regression(rng).y) == {10}
    x, y = map(np.concatenate, zip(*(datasets.two_classes(rng) for _ in range(200)), strict=True))
    for label, mean in ((0, -1), (1, 3)):
        assert x[y == label].mean() == pytest.approx(mean, abs=0.05)
        assert x[y == label].std() == pytest.approx(1, abs=0.05)
    x, y = datasets.volume_and_weight()
    assert (x.shape, y.shape, y.sum()) == ((32, 2), (32, 1), 18)
    assert x[0] == pytest.approx([0.83494319, 0.11482951])
    train, test = datasets.moons()
    assert (train.x.shape, test.x.shape) == ((1400, 2), (600, 2))
    for part in (datasets.regression(rng), datasets.two_classes(rng), datasets.volume_and_weight(), train):
        assert part.x.dtype == np.float32


def test_same_seed_same_data():
    for make in (datasets.regression, datasets.two_classes):
        one, other = (make(np.random.default_rng(5)) for _ in range(2))
        assert one.x.tobytes() == other.x.tobytes()


def test_digits(capsys):
    images = datasets.images("digits")
    assert [part.x.shape for part in images[1:]] == [(1100, 64), (197, 64), (500, 64)]
    assert images.train.x.dtype == np.uint8
    assert np.unique(images.train.x).tolist() == [round(255 * level / 16) for level in range(17)]
    assert images.train.y.dtype == np.int32
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert images.passes(10) * (1100 // 100) == 5500


FORMS = ["idx", "gz", "dotted", "npz", "environment", "npz by name", "keras", "own", "gzip bytes without .gz"]
FORMS += ["bytes named .gz", "EMNIST's names", "torchvision's root", "a folder below"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_mnist(form, folder, arrays, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    named = folder
    if form == "gz":
        for path in list(folder.iterdir()):
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
    elif form == "dotted":
        for path in list(folder.iterdir()):
            path.rename(folder / path.name.replace("-idx", ".idx"))
    elif form == "gzip bytes without .gz":
        for path in list(folder.iterdir()):
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
    elif form == "bytes named .gz":
        for path in list(folder.iterdir()):
            path.rename(folder / f"{path.name}.gz")
    elif form == "EMNIST's names":
        for path in list(folder.iterdir()):
            path.rename(folder / f"emnist-mnist-{path.name.replace('t10k', 'test')}")
        (folder / "emnist-digits-test-labels-idx1-ubyte").write_bytes(idx(np.zeros(40_000)))
    elif form == "torchvision's root":  # which has others beside it
        for name in ("FashionMNIST", "MNIST"):
            (elsewhere / name / "raw").mkdir(parents=True)
            for stem, array in arrays.items():
                (elsewhere / name / "raw" / stem).write_bytes(idx(array if name == "MNIST" else array[::-1]))
        named = elsewhere
    elif form == "a folder below":
        folder.rename(elsewhere / "archive")
        named = elsewhere
    elif form == "environment":
        monkeypatch.setenv("MNIST_DIR", str(folder))
        named = None
    elif form in ("npz", "npz by name"):
        file = npz(elsewhere / "mnist.npz", arrays)
        named = elsewhere if form == "npz" else file
    elif form in ("keras", "own"):
        home = elsewhere / ("datasets" if form == "keras" else "tf-backprop")
        home.mkdir()
        npz(home / "mnist.npz", arrays)
        monkeypatch.setenv("KERAS_HOME" if form == "keras" else "XDG_CACHE_HOME", str(elsewhere))
        named = None
    images = datasets.images("mnist", named)
    assert images.name == "MNIST"
    train = arrays["train-images-idx3-ubyte"]
    assert [part.x.shape for part in images[1:]] == [(55_000, 784), (5_000, 784), (10_000, 784)]
    np.testing.assert_array_equal(images.validation.x[3], train[3].ravel())
    np.testing.assert_array_equal(images.train.x[3], train[5003].ravel())
    np.testing.assert_array_equal(images.test.y, arrays["t10k-labels-idx1-ubyte"])
    assert all(part.x.dtype == np.uint8 for part in images[1:])
    after_validation = images.validation.x.ctypes.data + images.validation.x.nbytes
    assert images.train.x.ctypes.data == after_validation, "the two parts are views of one array"


def change(folder, stem, edit):
    path = folder / stem
    path.write_bytes(edit(path.read_bytes()))


def wrong_checksum(content):
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]  # the last eight bytes are checksum and length


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
DAMAGE = {
    "missing file": (lambda f: (f / LABELS).unlink(), f": no file holds 10000 bytes in IDX form, as {LABELS} does; "),
    "empty file": (lambda f: change(f, LABELS, lambda b: b""), f"{LABELS}: starts with nothing"),
    "wrong magic": (lambda f: change(f, LABELS, lambda b: b"\0\0\x0d\1" + b[4:]), f"{LABELS}: starts with 00000d01"),
    "fewer bytes": (lambda f: change(f, IMAGES, lambda b: b[:-1]), f"{IMAGES}: has fewer bytes"),
    "more bytes": (lambda f: change(f, IMAGES, lambda b: b + b"x"), f"{IMAGES}: has more bytes"),
    "huge header": (
        lambda f: change(f, IMAGES, lambda b: b[:4] + b"\x80\0\0\0" + b[8:]),
        "starts with 00000803800000000000001c0000001c",
    ),
    "other images": (
        lambda f: change(f, IMAGES, lambda b: b[:8] + b"\0\0\0\x1b" + b[12:]),
        "starts with 000008030000ea600000001b",
    ),
    "other count": (lambda f: change(f, LABELS, lambda b: b[:4] + b"\0\0\0\1" + b[8:]), "starts with 0000080100000001"),
    "label 10": (lambda f: change(f, LABELS, lambda b: b[:-1] + b"\x0a"), ": y_test has a label 10"),
    "half a gzip": (
        lambda f: (
            (f / f"{LABELS}.gz").write_bytes(gzip.compress((f / LABELS).read_bytes())[:-200]),
            (f / LABELS).unlink(),
        ),
        f"{LABELS}.gz: the gzip file is damaged or cut short",
    ),
    "bad checksum": (
        lambda f: (
            (f / f"{LABELS}.gz").write_bytes(wrong_checksum(gzip.compress((f / LABELS).read_bytes()))),
            (f / LABELS).unlink(),
        ),
        f"{LABELS}.gz: not a whole gzip file (CRC check failed",
    ),
    "folder for a file": (lambda f: ((f / LABELS).unlink(), (f / LABELS).mkdir()), f"{LABELS}: Is a directory"),
    "dangling link": (
        lambda f: ((f / LABELS).unlink(), (f / LABELS).symlink_to(f / "nothing")),
        f"{LABELS}: No such file",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_named_and_left_alone(damage, folder):
    harm, message = DAMAGE[damage]
    harm(folder)
    before = {path.name: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.iterdir()}
    for data in ("auto", "mnist"):
        with pytest.raises(DataError) as error:
            datasets.images(data, folder)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    assert before == {path.name: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.iterdir()}


def test_named_places_that_are_none(tmp_path):
    (tmp_path / "file.txt").write_text("x")
    for place, message in (
        ("nowhere", "No such file or directory; --mnist-dir"),
        ("file.txt", r"no readable \.npz file"),
        (
            ".",
            "no file holds 60000x28x28 bytes in IDX form, as train-images-idx3-ubyte does; --mnist-dir and MNIST_DIR",
        ),
    ):
        with pytest.raises(DataError, match=message):
            datasets.images("auto", tmp_path / place)
    with pytest.raises(UsageError, match="--data"):
        datasets.images("fashion")
    with pytest.raises(UsageError, match="--batch-size 1101 is more than the 1,100"):
        datasets.images("digits", batch_size=1101)


class Planted:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_test": None}, "There is no item named 'y_test.npy'"),
        pytest.param({"y_test": np.zeros(10_000)}, "y_test is float64 of 10000", marks=pytest.mark.slow),
        pytest.param({"y_test": np.zeros((10_000, 1), np.uint8)}, "y_test is uint8 of 10000x1", marks=pytest.mark.slow),
        ({"y_test": np.array([Planted()], dtype=object)}, "y_test is object of 1,"),
        pytest.param({"y_test": np.full(10_000, np.nan)}, "y_test is float64 of 10000", marks=pytest.mark.slow),
        pytest.param({"y_test": np.full(10_000, 10, np.uint8)}, "has a label 10", marks=pytest.mark.slow),
        pytest.param({"x_test": np.zeros(10**8, np.uint8)}, "x_test is uint8 of 100000000,", marks=pytest.mark.slow),
    ],
)
def test_wrong_npz(change, message, arrays, tmp_path):
    path = npz(tmp_path / "mnist.npz", arrays, **change)
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(DataError, match=message):
        datasets.images("mnist", path)
    assert hashlib.sha256(path.read_bytes()).digest() == before


@pytest.mark.slow
def test_a_zip_that_lies_about_its_size_is_not_read_to_the_end(arrays, tmp_path):
    path = npz(tmp_path / "mnist.npz", arrays, x_test=np.zeros(10**8, np.uint8))
    content = path.read_bytes()
    # In both headers of the zip: as large as MNIST's, though what follows is larger.
    content = content.replace(struct.pack("<I", 10**8 + 128), struct.pack("<I", 7_840_128))
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match="x_test is uint8 of 100000000,"):
        datasets.images("mnist", path)
    assert tracemalloc.get_traced_memory()[1] < 1.2e8
    tracemalloc.stop()


def test_an_unreadable_file(folder, permissions_apply):
    (folder / LABELS).chmod(0)
    code = f"from tf_backprop import datasets; datasets.images('auto', {str(folder)!r})"
    command = [*permissions_apply, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].endswith(f"DataError: {folder / LABELS}: Permission denied")


def test_no_npz_at_all(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"no readable \.npz"):
        datasets.images("mnist", tmp_path)


# --------------------------------------------------------------------------------------------------------------------
# The download, from a real server on this machine


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Return a function that serves one answer; what it caches is below the temporary folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "TIMEOUT", 0.5)
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            do_GET = answer  # noqa: N815

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(mnist, "URL", f"http://127.0.0.1:{server.server_port}/mnist.npz")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(body, announced=None):
    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", str(announced or len(body)))
        self.end_headers()
        self.wfile.write(body)

    return answer


@pytest.mark.slow
def test_download_is_checked_and_kept(serve, arrays, monkeypatch, tmp_path):
    """And it is the second source's, when what comes from the first is something else."""
    for stem in arrays:
        (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(idx(arrays[stem]), 1))
    serve(lambda self: send((tmp_path / self.path.lstrip("/")).read_bytes() if ".gz" in self.path else b"else")(self))
    monkeypatch.setattr(mnist, "MIRROR", mnist.URL.replace("mnist.npz", ""))
    assert datasets.images("mnist").name == "MNIST"
    (tmp_path / "cache" / "tf-backprop" / "mnist.npz").unlink()
    body = io.BytesIO()
    npz(body, arrays)
    body = body.getvalue()
    serve(send(body))
    assert datasets.images("mnist").name == "MNIST"
    monkeypatch.setattr(mnist, "URL", "http://127.0.0.1:9/")
    assert datasets.images("auto").name == "MNIST", "the second time it comes from the cache"
    assert [path.name for path in (tmp_path / "cache" / "tf-backprop").iterdir()] == ["mnist.npz"]


BAD_ANSWERS = {
    "wrong bytes": send(b"no MNIST"),
    "half": send(b"x" * 1000, announced=11_490_434),
    "403": lambda self: self.send_error(403),
    "no HTTP": lambda self: self.wfile.write(b"what?\r\n\r\n"),
    "404": lambda self: self.send_error(404),
    "503": lambda self: self.send_error(503),
    "redirect loop": lambda self: (self.send_response(302), self.send_header("Location", "/"), self.end_headers()),
    "silence": lambda self: time.sleep(30),
}


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_failed_download_falls_back_to_digits(answer, serve, tmp_path, capsys):
    serve(BAD_ANSWERS[answer])
    start = time.monotonic()
    assert datasets.images("auto").name == "digits"
    assert time.monotonic() - start < 20
    assert "no MNIST here" in capsys.readouterr().out
    cache = tmp_path / "cache" / "tf-backprop"
    assert not cache.exists() or not list(cache.iterdir())
    with pytest.raises(DataError, match="--mnist-dir"):
        datasets.images("mnist")


UNREACHABLE = {
    "refused": "http://127.0.0.1:9/mnist.npz",
    "name not found": "http://no-such-host.invalid/mnist.npz",
    "no address": "http://[::1",
}


@pytest.mark.parametrize("why", UNREACHABLE)
def test_no_server_at_all(why, serve, monkeypatch, capsys):
    monkeypatch.setattr(mnist, "URL", UNREACHABLE[why])
    start = time.monotonic()
    assert datasets.images("auto").name == "digits"
    assert time.monotonic() - start < 20
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(DataError, match="--data digits"):
        datasets.images("mnist")


def test_a_proxy_that_hangs(serve, monkeypatch):
    serve(lambda self: time.sleep(30))
    monkeypatch.setenv("http_proxy", mnist.URL)
    monkeypatch.setattr(mnist, "URL", "http://example.invalid/mnist.npz")
    start = time.monotonic()
    assert datasets.images("auto").name == "digits"
    assert time.monotonic() - start < 20


def test_a_server_that_drips(serve):
    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "11490434")
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    serve(drip)
    start = time.monotonic()
    assert datasets.images("auto").name == "digits"
    assert time.monotonic() - start < 10  # though an answer comes all the time


@pytest.mark.slow
def test_two_at_once_with_an_empty_cache_both_end_well(serve, arrays, monkeypatch, tmp_path):
    body = io.BytesIO()
    npz(body, arrays)
    body = body.getvalue()
    serve(send(body))
    code = f"""
from tf_backprop import datasets
from tf_backprop.support import mnist
mnist.URL, mnist.SHA256 = {mnist.URL!r}, {mnist.SHA256!r}
print(datasets.images("mnist").name)
"""
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.communicate(timeout=60)[0].splitlines()[-1] == "MNIST"
    assert [path.name for path in (tmp_path / "cache" / "tf-backprop").iterdir()] == ["mnist.npz"]


@pytest.mark.slow
def test_a_look_up_that_hangs(serve, monkeypatch):
    monkeypatch.setattr(mnist, "TIMEOUT", 0.5)
    monkeypatch.setattr(mnist.urllib.request, "urlopen", lambda url, timeout: time.sleep(30))
    start = time.monotonic()
    assert datasets.images("auto").name == "digits"
    assert time.monotonic() - start < 10


def test_what_cannot_be_kept_is_used_all_the_same(serve, arrays, monkeypatch, tmp_path):
    body = io.BytesIO()
    npz(body, arrays)
    serve(send(body.getvalue()))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert datasets.images("auto").name == "MNIST"


@pytest.mark.parametrize("kind", ["damaged", "others"])
def test_a_cache_without_mnist_is_passed_over(kind, arrays, monkeypatch, tmp_path, capsys):
    """Nobody named it. Keras itself would remove it."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    kept = tmp_path / "datasets" / "mnist.npz"
    kept.parent.mkdir()
    kept.write_bytes(b"damaged")
    if kind == "others":
        npz(kept, arrays, y_test=arrays["t10k-labels-idx1-ubyte"][::-1])
    said = {"damaged": "no readable .npz file", "others": "is not the MNIST of the documents"}[kind]
    assert datasets.images("auto").name == "digits"
    assert f"{kept}: {said}" in capsys.readouterr().out
    with pytest.raises(DataError, match=said):
        datasets.images("mnist")
    assert kept.is_file()


def test_a_home_of_somebody_else_is_passed_over(permissions_apply, tmp_path):
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    (tmp_path / ".keras").chmod(0)
    code = f"""
from tf_backprop import datasets
from tf_backprop.support import mnist
mnist.URL = mnist.MIRROR = {mnist.URL!r}
datasets.images("auto")
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("KERAS_HOME", "XDG_CACHE_HOME")}
    command = [*permissions_apply, sys.executable, "-c", code]
    environment |= {"HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits" in done.stdout


def md5s(folder):
    return " ".join(hashlib.md5((folder / stem).read_bytes()).hexdigest() for stem in SHAPES)


def test_fashion_mnist_is_called_by_its_name_and_not_with_the_labels_of_another(folder, monkeypatch, capsys):
    assert len(mnist.FASHION.split()) == len({*mnist.FASHION.split()}) == 4
    monkeypatch.setattr(mnist, "SHA256", KNOWN)
    monkeypatch.setattr(mnist, "FASHION", md5s(folder))
    images = datasets.images("auto", folder)
    assert (images.name, images.figure("08_softmax")) == ("Fashion-MNIST", "08_softmax_Fashion-MNIST")
    assert capsys.readouterr().out.startswith(f"data: Fashion-MNIST from {folder}, 55,000 / ")
    change(folder, LABELS, lambda b: b[:-1] + bytes([(b[-1] + 1) % 10]))
    assert datasets.images("auto", folder).name == "other"


@pytest.mark.slow
def test_images_that_are_not_mnist_are_never_called_so(folder, load, capsys):
    change(folder, IMAGES, lambda b: b[:-1] + bytes([b[-1] ^ 1]))  # one pixel's last bit
    result = load("08_mnist_softmax").main(steps=1, mnist_dir=folder, figures=folder)
    assert "data: not the MNIST of the documents, but images of its form" in capsys.readouterr().out
    assert all(row.published is None for row in result.comparison)
    assert result.figure.name == "08_mnist_softmax_other.png"


@pytest.mark.mnist
def test_real_mnist(monkeypatch):
    monkeypatch.setattr(mnist, "SHA256", KNOWN)
    # Of MNIST's own files these are the MD5 in public lists that have Fashion-MNIST's too: they are made in this way.
    listed = "6bbc9ace898e44ae57da46a324031adb a25bea736e30d166cdddb491f175f624 "
    monkeypatch.setattr(mnist, "FASHION", f"{listed}2646ac647ad5339dbf082846283269ea 27ae3e4e09519cfbb04c329615203637")
    monkeypatch.setattr(mnist, "SHA256", "of something else")
    assert datasets.images("mnist", REAL).name == "Fashion-MNIST"
    monkeypatch.setattr(mnist, "SHA256", KNOWN)
    images = datasets.images("mnist", REAL)
    assert np.bincount(images.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert len(np.bincount(images.train.y)) == 10
    assert images.train.x.dtype == np.uint8
    assert (images.train.x.min(), images.train.x.max()) == (0, 255)
    assert images.train.x.mean() / 255 == pytest.approx(0.1306, abs=1e-3)
