"""Skeleton layouts and their graphs: a small pure package that knows nothing of `har`.

Importing it stays light: what needs torch lives in `graphs.spacetime` and is not imported here.
"""

from graphs.adjacency import PARTITIONS, adjacency, body_edges, hop_distance, n_partitions
from graphs.errors import GraphError, LayoutError, PartitionError
from graphs.layouts import LAYOUTS, Layout, layout, map_joints, maps_from, mirror_joints, swap_sides, to_image_axes
from graphs.own_layouts import FoundLayout, describe_layout, find_layout, is_own, read_layout, register_layout

__all__ = [
    "LAYOUTS",
    "PARTITIONS",
    "FoundLayout",
    "GraphError",
    "Layout",
    "LayoutError",
    "PartitionError",
    "adjacency",
    "body_edges",
    "describe_layout",
    "find_layout",
    "hop_distance",
    "is_own",
    "layout",
    "map_joints",
    "maps_from",
    "mirror_joints",
    "n_partitions",
    "read_layout",
    "register_layout",
    "swap_sides",
    "to_image_axes",
]
