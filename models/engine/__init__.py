"""Batched, prefix-shared sampling of one GGUF model inside the process.

What is promised: the same seeds with the same schedule (the same requests, arriving at the same
steps, with the same prefixes cached) give the same text, and greedy decoding of one sequence
alone equals ``llama_cpp.Llama``'s. The schedule of a run that has the engine to itself is the same
each time (:mod:`.callers`). What is not: that a sample's text is the same whoever else is
in the batch. Kernels add in another order for another shape of the batch, which moves a
log-probability by some thousandths, and now and then tips a draw.
"""
