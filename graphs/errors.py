"""The errors that `graphs` raises on purpose; each says what was asked for and what there is."""


class GraphError(ValueError):
    """Anything `graphs` raises on purpose."""


class LayoutError(GraphError):
    """A layout or map is not known, or an array does not fit its layout."""


class PartitionError(GraphError):
    """A partition of the edges is not known."""
