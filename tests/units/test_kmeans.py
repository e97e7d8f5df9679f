"""Judged by blobs whose centres are known, by scipy's distances and by scikit-learn's Lloyd."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as Lloyd
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_info, threadpool_limits

from earbit.errors import ConfigError, DataError, FormatError
from earbit.units import kmeans as module
from earbit.units.kmeans import FORMAT, KMeans, fit_kmeans

CENTRES = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10], [10, 10, 10]], np.float32)


def blobs(n_per_blob=200, seed=0):
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat(np.arange(len(CENTRES)), n_per_blob))
    noise = 0.5 * random.standard_normal((len(truth), 3))
    return (CENTRES[truth] + noise).astype(np.float32), truth


@pytest.mark.parametrize("seed", [0, 1, 1337])
def test_well_separated_blobs_are_recovered(seed):
    features, truth = blobs()
    model = fit_kmeans(features, n_units=5, seed=seed)
    nearest = cdist(CENTRES, model.centroids)
    assert sorted(nearest.argmin(axis=1).tolist()) == [0, 1, 2, 3, 4]
    assert nearest.min(axis=1).max() < 0.2
    assert adjusted_rand_score(truth, model.assign(features)) == 1.0


def test_a_seed_gives_one_model_and_another_seed_another():
    features = np.random.default_rng(0).standard_normal((3_000, 8)).astype(np.float32)
    first, again, other = (fit_kmeans(features, n_units=20, seed=s).digest for s in (7, 7, 8))
    assert first == again != other


def test_scikit_learn_gets_the_arguments_of_hubert(monkeypatch):
    given = {}

    def spy(**arguments):
        given.update(arguments)
        return MiniBatchKMeans(**arguments)

    monkeypatch.setattr(module, "MiniBatchKMeans", spy)
    fit_kmeans(blobs()[0], n_units=5, seed=3)
    assert given == {
        "n_clusters": 5,
        "init": "k-means++",
        "max_iter": 100,
        "batch_size": 10_000,
        "tol": 0.0,
        "max_no_improvement": 100,
        "n_init": 20,
        "reassignment_ratio": 0.0,
        "compute_labels": False,
        "random_state": 3,
    }


def test_clusters_are_nearly_as_tight_as_those_of_the_full_algorithm():
    features = np.random.default_rng(1).standard_normal((4_000, 6)).astype(np.float32)
    model = fit_kmeans(features, n_units=16, seed=0)
    inertia = (cdist(features, model.centroids).min(axis=1) ** 2).sum()
    lloyd = Lloyd(16, n_init=3, random_state=0).fit(features)
    assert inertia < 1.05 * lloyd.inertia_


@pytest.mark.parametrize("block_frames", [1, 7, 100, 16_384])
def test_frames_get_the_nearest_centroid_however_they_are_cut_into_blocks(
    monkeypatch, block_frames
):
    monkeypatch.setattr(module, "BLOCK_FRAMES", block_frames)
    random = np.random.default_rng(2)
    features = random.standard_normal((100, 39)).astype(np.float32)
    model = KMeans(random.standard_normal((12, 39)).astype(np.float32))
    units = model.assign(features)
    assert units.dtype == np.int32
    assert units.tolist() == cdist(features, model.centroids).argmin(axis=1).tolist()


def test_no_frames_get_no_units():
    assert KMeans(CENTRES).assign(np.zeros((0, 3), np.float32)).tolist() == []


@pytest.mark.parametrize("shape", [(4, 2), (3,), (1, 2, 3)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(DataError, match="features of shape"):
        KMeans(CENTRES).assign(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("n_frames", "n_units"), [(4, 5), (0, 1), (10, 0)])
def test_fewer_frames_than_units_are_refused(n_frames, n_units):
    with pytest.raises(DataError, match=f"{n_frames} frames for {n_units} units"):
        fit_kmeans(np.ones((n_frames, 3), np.float32), n_units=n_units, seed=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    features, _ = blobs()
    features[17, 1] = bad
    with pytest.raises(DataError, match="finite"):
        fit_kmeans(features, n_units=5, seed=0)


@settings(max_examples=20, deadline=None)
@given(n_units=st.integers(1, 20), n_dims=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_saved_model_is_read_back_bit_for_bit(tmp_path_factory, n_units, n_dims, seed):
    centroids = np.random.default_rng(seed).standard_normal((n_units, n_dims)).astype(np.float32)
    path = tmp_path_factory.mktemp("kmeans") / "kmeans.safetensors"
    KMeans(centroids).save(path)
    loaded = KMeans.load(path)
    assert loaded.centroids.tobytes() == centroids.tobytes()
    assert loaded.centroids.shape == (n_units, n_dims)
    assert loaded.digest == KMeans(centroids).digest


def test_the_digest_tells_values_and_shapes_apart():
    changed = CENTRES.copy()
    changed[0, 0] = np.nextafter(np.float32(0), np.float32(1))
    digests = {KMeans(c).digest for c in (CENTRES, changed, CENTRES.reshape(3, 5))}
    assert len(digests) == 3
    assert all(len(digest) == hashlib.sha256().digest_size * 2 for digest in digests)


def test_nothing_but_the_model_is_left_in_the_folder(tmp_path):
    KMeans(CENTRES).save(tmp_path / "kmeans.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["kmeans.safetensors"]


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    whole = tmp_path / "kmeans.safetensors"
    KMeans(CENTRES).save(whole)
    data = whole.read_bytes()
    for n_bytes in range(len(data)):
        short = tmp_path / "short"
        short.write_bytes(data[:n_bytes])
        with pytest.raises(FormatError):
            KMeans.load(short)


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        pytest.param({"centroids": CENTRES}, None, id="no-metadata"),
        pytest.param({"centroids": CENTRES}, {"format": "earbit-kmeans-2"}, id="newer"),
        pytest.param({"weights": CENTRES}, {"format": FORMAT}, id="no-centroids"),
        pytest.param({"centroids": CENTRES[0]}, {"format": FORMAT}, id="one-dimension"),
        pytest.param({"centroids": CENTRES[:0]}, {"format": FORMAT}, id="no-units"),
        pytest.param({"centroids": CENTRES.astype(np.float64)}, {"format": FORMAT}, id="float64"),
    ],
)
def test_foreign_and_wrong_files_are_refused(tmp_path, tensors, metadata):
    path = tmp_path / "kmeans.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(FormatError, match=r"kmeans\.safetensors"):
        KMeans.load(path)


def test_text_folders_and_missing_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("not a model")
    for path in (tmp_path / "text", tmp_path, tmp_path / "missing"):
        with pytest.raises(FormatError):
            KMeans.load(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_frames_that_are_not_finite_have_no_nearest_unit(bad):
    with pytest.raises(DataError, match="finite"):
        KMeans(CENTRES).assign(np.full((2, 3), bad, np.float32))


def test_centres_that_are_not_finite_are_refused(tmp_path):
    path = tmp_path / "kmeans.safetensors"
    save_file({"centroids": np.full((2, 3), np.nan, np.float32)}, path, {"format": FORMAT})
    with pytest.raises(FormatError, match="finite"):
        KMeans.load(path)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ConfigError, match=f"seed={seed}"):
        fit_kmeans(blobs()[0], n_units=2, seed=seed)


def test_features_of_one_dimension_are_refused():
    with pytest.raises(DataError, match=r"shape \(9,\)"):
        fit_kmeans(np.ones(9, np.float32), n_units=2, seed=0)


def test_fitting_leaves_the_threads_of_others_as_they_were():
    with threadpool_limits(limits=2):
        before = [pool["num_threads"] for pool in threadpool_info()]
        fit_kmeans(blobs()[0], n_units=2, seed=0)
        assert [pool["num_threads"] for pool in threadpool_info()] == before
