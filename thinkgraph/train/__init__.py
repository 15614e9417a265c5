"""Training: supervised fine-tuning, distillation of a strategy, and adapters in GGUF form.

An extra, as it needs torch: `pip install "thinkgraph[train]"`. Importing this package, and reading
its settings, does not.
"""
