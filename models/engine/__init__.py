"""Batched sampling of one GGUF model with shared prefixes, inside the process.

Guaranteed: the same seeds with the same schedule (the same requests, arriving at the same steps,
with the same prefixes cached) give the same text, and greedy decoding of one sequence alone equals
that of ``llama_cpp.Llama``. A run that has the engine to itself has the same schedule each time
(:mod:`.callers`). Not guaranteed: that a sample's text is independent of the other sequences in
the batch. Kernels sum in another order for another batch shape, which changes a log-probability by
some thousandths, and occasionally changes a draw.
"""
