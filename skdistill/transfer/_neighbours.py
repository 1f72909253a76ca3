"""Exact nearest neighbours on one core, fast where a tree does not help."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

#: Most dimensions that a k-d tree is used for.
MAX_TREE_DIMENSIONS = 6
#: Points whose distances to others are computed at once, and how many others.
N_QUERIES, N_OTHERS = 512, 2_048
#: Neighbours looked for beyond those asked for, as rounding may swap near equals.
N_SPARE = 4
#: Pairs kept for each one that is needed until they are sorted and the bound lowered.
N_PENDING = 4


def nearest(points, n_neighbours, block_size):
    """Positions of each point's nearest others, searched within random blocks.

    Parameters
    ----------
    points : ndarray of float32 of shape (n_points, n_dimensions)
        Points.

    n_neighbours : int
        Neighbours for each.

    block_size : int
        Most points of a block.

    Returns
    -------
    neighbours : ndarray of int of shape (n_points, <= n_neighbours)
        Nearest first; no column where there is one point only.
    """
    n_points = len(points)
    n_blocks = max(min(-(-n_points // block_size), n_points // 2), 1)
    width = min(n_neighbours, n_points // n_blocks - 1)
    neighbours = np.empty((n_points, width), dtype=np.intp)
    if width:
        order = np.random.RandomState(0).permutation(n_points)
        search = _by_tree if points.shape[1] <= MAX_TREE_DIMENSIONS else _by_brute_force
        for block in np.array_split(order, n_blocks):
            neighbours[block] = block[search(points[block], width)]
    return neighbours


def _by_tree(points, width):
    # without an argument a point is not its own neighbour
    tree = NearestNeighbors(n_neighbors=width, algorithm="kd_tree").fit(points)
    return tree.kneighbors(return_distance=False)


def _by_brute_force(points, width):
    """All distances, of which only those below a bound are looked at.

    The bound of a point is its `width`-th smallest distance to the points that it met:
    first `N_OTHERS`, and again when enough pairs came below it. So next to no distance
    is ever sorted.
    """
    half = (points**2).sum(axis=1, keepdims=True) / 2
    ones = np.ones_like(half)
    # |a - b|^2 / 2 as one matrix product
    queries, others = np.hstack([points, half, ones]), np.hstack([-points, ones, half])
    # Written over for each tile: fresh pages would cost half as much as the product.
    n_candidates = min(width + N_SPARE, len(points) - 1)
    # a tile holds the queries, and as many others as are asked for
    n_others = max(N_OTHERS, -(-(n_candidates + 1) // N_QUERIES) * N_QUERIES)
    apart = np.empty(N_QUERIES * n_others, dtype=np.float32)
    is_below = np.empty(N_QUERIES * n_others, dtype=bool)
    neighbours = np.empty((len(points), width), dtype=np.intp)
    for start in range(0, len(points), N_QUERIES):
        some = slice(start, start + N_QUERIES)
        near = _candidates(queries[some], others, start, n_candidates, apart, is_below)
        # The product cancels: rank what it found by distances that do not.
        exact = ((points[some, None] - points[near]) ** 2).sum(axis=2)
        rank = np.argsort(exact, axis=1, kind="stable")[:, :width]
        neighbours[some] = np.take_along_axis(near, rank, axis=1)
    return neighbours


def _candidates(queries, others, start, width, apart, is_below):
    """Positions of the `width` nearest others of queries, which stand at `start`.

    `apart` and `is_below` are room for the distances to a tile of others.
    """
    at, n_others = np.arange(len(queries)), len(apart) // N_QUERIES

    def to_tile(low, high, out):
        return out[: len(queries) * (high - low)].reshape(len(queries), high - low)

    # The tile that holds the queries comes first: rows are in random order, so that
    # equally near ones are not the same few for all.
    own = max(0, min(start // n_others * n_others, len(others) - n_others))
    end = min(own + n_others, len(others))
    D = np.matmul(queries, others[own:end].T, out=to_tile(own, end, apart))
    D[at, start - own + at] = np.inf
    first = np.argpartition(D, width - 1, axis=1)[:, :width]
    least = np.take_along_axis(D, first, axis=1)
    bound = least.max(axis=1, keepdims=True)
    found = [(np.repeat(at, width), own + first.ravel(), least.ravel())]
    n_found = 0
    for low in (*range(0, own, n_others), *range(end, len(others), n_others)):
        high = min(low + n_others, own if low < own else len(others))
        D = np.matmul(queries, others[low:high].T, out=to_tile(low, high, apart))
        # strictly: of many equal distances none is better than those there are
        hits = np.flatnonzero(np.less(D, bound, out=to_tile(low, high, is_below)))
        query, other = np.divmod(hits, high - low)
        found.append((query, low + other, D.ravel()[hits]))
        n_found += len(hits)
        if n_found > N_PENDING * first.size:
            found, n_found = [_best(found, width)], 0
            bound = found[0][2].reshape(len(queries), width)[:, -1:]
    return _best(found, width)[1].reshape(len(queries), width)


def _best(found, width):
    """Sort pairs by query and distance, and keep the `width` nearest of each query."""
    query, other, distance = map(np.concatenate, zip(*found, strict=True))
    order = np.lexsort((distance, query))
    query = query[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = order[rank < width]
    return query[rank < width], other[kept], distance[kept]
