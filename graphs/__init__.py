"""Skeleton layouts and their graphs: a small pure package that knows nothing of `har`.

Importing it stays light: what needs torch lives in `graphs.spacetime` and is not imported here.
"""

from graphs.adjacency import PARTITIONS, adjacency, body_edges, hop_distance, n_partitions
from graphs.errors import GraphError, LayoutError, PartitionError
from graphs.layouts import LAYOUTS, Layout, layout, map_joints, maps_from, mirror_joints, swap_sides, to_image_axes

__all__ = [
    "LAYOUTS",
    "PARTITIONS",
    "GraphError",
    "Layout",
    "LayoutError",
    "PartitionError",
    "adjacency",
    "body_edges",
    "hop_distance",
    "layout",
    "map_joints",
    "maps_from",
    "mirror_joints",
    "n_partitions",
    "swap_sides",
    "to_image_axes",
]
