"""Where seeds were derived before models did it too."""

from thinkgraph.models.seed import derive_seed

__all__ = ["derive_seed"]
