"""Names of points that keep out of each other's way.

Imported when something is drawn: this module needs matplotlib.
"""

from itertools import pairwise

import numpy as np
from matplotlib.artist import Artist
from matplotlib.text import Text
from matplotlib.transforms import Bbox

#: Where the nearest edge or corner of a name may lie, as seen from its point.
DIRECTIONS = (
    (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0),
)  # fmt: skip
#: Distances from the point at which room is looked for, in points (1/72 inch).
DISTANCES = (5, 12, 20, 30, 42, 56, 72)
#: From this distance on a line leads from the name to its point.
FAR = 12


class NamePlacer(Artist):
    """Finds a place for each name whenever the figure is drawn.

    Only then is it known how large the axes are: a layout engine or a resized window
    changes it after `plot`. This artist draws nothing. It is drawn before the names,
    and moves them to the first place, nearest first, where they cover no point, no line
    that they are told of and no name before them; a name that finds none is hidden,
    so the most important ones come first.

    Parameters
    ----------
    names : list of matplotlib Annotation
        Names with ``textcoords="offset points"``, anchored at the lower left corner,
        most important first.

    points : array of shape (n_points, 2)
        All points that are drawn, in data coordinates.

    radius : float
        Size of a point's marker, in points.

    path : array of shape (n, 2)
        Corners of a line to keep clear of, in data coordinates; may be empty.
    """

    def __init__(self, names, points, *, radius, path):
        super().__init__()
        self.names, self.points, self.radius, self.path = names, points, radius, path
        self.set_zorder(0)
        self.set_in_layout(False)

    def draw(self, renderer):
        """Move the names."""
        scale = renderer.points_to_pixels(1.0)
        transform = self.axes.transData
        keep_clear = _boxes(transform.transform(self.points), self.radius * scale)
        lines = _dotted(transform.transform(self.path)) if len(self.path) else []
        soft = _boxes(lines, scale) if len(lines) else []
        legend = self.axes.get_legend()
        if legend is not None:
            keep_clear.append(legend.get_window_extent(renderer))
        inside = self.axes.get_window_extent(renderer)
        for name in self.names:
            name.set_visible(True)
            # Of the text alone: an Annotation's own extent takes the line in.
            size = Text.get_window_extent(name, renderer)
            at = transform.transform(name.xy)
            # Off the line if there is such a place, on it rather than nowhere.
            found = _place(at, size, scale, inside, keep_clear + soft)
            found = found or _place(at, size, scale, inside, keep_clear)
            name.set_visible(found is not None)
            if found is None:
                continue
            box, offset, distance = found
            name.set_position(offset / scale)
            name.arrow_patch.set_visible(distance >= FAR)
            keep_clear.append(box)


def _place(at, size, scale, inside, keep_clear):
    """First free box for a text of this size; its lower left corner seen from `at`."""
    for distance in DISTANCES:
        for dx, dy in DIRECTIONS:
            gap = distance * scale / np.hypot(dx, dy)
            corner = np.array(
                [
                    dx * gap + size.width * (dx - 1) / 2,
                    dy * gap + size.height * (dy - 1) / 2,
                ]
            )
            box = Bbox.from_bounds(*(at + corner), size.width, size.height)
            within = (
                inside.x0 <= box.x0
                and box.x1 <= inside.x1
                and inside.y0 <= box.y0
                and box.y1 <= inside.y1
            )
            if within and not any(box.overlaps(other) for other in keep_clear):
                return box, corner, distance
    return None


def _boxes(points, radius):
    return [
        Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)
        for x, y in points
    ]


def _dotted(corners, step=4.0):
    """Points along a line of straight pieces, `step` pixels apart."""
    pieces = [
        np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / step)))
        for a, b in pairwise(corners)
    ]
    return np.concatenate(pieces) if pieces else corners
