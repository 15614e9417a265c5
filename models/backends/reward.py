"""The reward backend: a GGUF with a classification head, which scores answers and writes none.

llama.cpp pools such a model's last layer into the head's outputs (``LLAMA_POOLING_TYPE_RANK``).
Examples are rerankers such as Qwen3-Reranker, and cross-encoders such as BERT and ModernBERT.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.capabilities import ABOUT, Capability
from thinkgraph.models.engine.llama.amx import amx_works
from thinkgraph.models.engine.llama.devices import devices
from thinkgraph.models.engine.llama.gguf_file import GgufHeader, check_model
from thinkgraph.models.engine.llama.library import because, check_process, listening, llama, start
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.formats.template import ChatTemplate
from thinkgraph.models.model import Generation, Message, ModelRequest, Usage

MOST_CONTEXT = 8192
"""Maximum tokens of a question and an answer together, unless a larger context is set."""
HEADS = ("cls.output.weight", "cls.weight")
"""The tensors of a classification head, by llama.cpp's names."""
YES = "yes"
"""The label whose probability is the score, if a head has several."""


def has_head(header: GgufHeader) -> bool:
    """Whether a file has a classification head."""
    return any(name in header.weights for name in HEADS)


class RewardModel:
    """A model that scores answers; thread-safe, one text at a time.

    A question and an answer are combined by the file's own rerank template, or else by its chat
    template, or else as a cross-encoder's pair of texts. The score is the head's output or, for a
    head with several labels, the probability of ``yes``.

    Args:
        path: the file.
        name: the model's name; None is the file's name.
        context: maximum tokens of a question and an answer together; None is the model's context,
            up to 8,192.
        threads: CPU threads; None is one for each core that may be used.

    Raises:
        ModelError: the file is not such a model, or llama.cpp can't open it.
    """

    lacks: ClassVar[frozenset[Capability]] = frozenset(ABOUT) - {"rewards"}

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context: int | None = None,
        threads: int | None = None,
    ) -> None:
        file = Path(path)
        self.header = check_model(file)
        self.name = name or file.name
        if not has_head(self.header):
            raise ModelError(f"{self.name} has no classification head, so it can't score answers")
        check_process()
        start()
        self._lock = threading.Lock()
        self._context: Any = None
        weights = sum(self.header.weights.values())  # copied into AMX's layout, if memory holds it
        with listening() as lines:
            params = llama.llama_model_default_params()
            params.use_extra_bufts = amx_works() and weights <= devices()[-1].free
            self._model = llama.llama_model_load_from_file(os.fsencode(file), params)
        if not self._model:
            raise ModelError(f"llama.cpp can't load {file} with its head{because(lines)}")
        try:
            self.vocabulary = Vocabulary(self._model)
            self._output = self._find_output()
            trained = int(llama.llama_model_n_ctx_train(self._model))
            self.context_length = context or min(trained, MOST_CONTEXT)
            self._context = self._open(threads or available_threads())
        except BaseException:
            self.close()
            raise

    def _find_output(self) -> int:
        """The index of the head's output that is the score."""
        count = int(llama.llama_model_n_cls_out(self._model))
        found = [llama.llama_model_cls_label(self._model, i) for i in range(count)]
        labels = [(label or b"").decode("utf-8", "replace") for label in found]
        for index, label in enumerate(labels):
            if label.lower() == YES and count > 1:
                return index
        if count != 1:
            named = ", ".join(filter(None, labels)) or f"{count} without names"
            raise ModelError(
                f"{self.name} has the classes {named}; a score needs one, or yes and no"
            )
        if self.header.architecture == "qwen3":  # llama.cpp takes the softmax over its outputs
            raise ModelError(f"{self.name} has one class, and llama.cpp scores qwen3 by yes and no")
        return 0

    def _open(self, threads: int) -> Any:
        params = llama.llama_context_default_params()
        # Pooling requires the whole text in one micro-batch.
        params.n_ctx = params.n_batch = params.n_ubatch = self.context_length
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.pooling_type = llama.LLAMA_POOLING_TYPE_RANK
        params.no_perf = True
        with listening() as lines:
            context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise ModelError(f"llama.cpp can't make a context for {self.name}{because(lines)}")
        return context

    async def rate(
        self, question: Sequence[Message], answers: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The score of each answer to a question, and the usage.

        Args:
            question: the conversation that ends with the question.
            answers: the answers' texts.

        Raises:
            PromptTooLong: a question and its answer have more tokens than the context.
        """
        read = [self.tokens(question, answer) for answer in answers]
        for tokens in read:
            if len(tokens) > self.context_length:
                raise PromptTooLong(len(tokens), self.context_length, self.context_length)
        scores = [await asyncio.to_thread(self._score, tokens) for tokens in read]
        count = sum(map(len, read))
        return scores, Usage(prompt_tokens=count, prefilled_tokens=count, model_calls=len(read))

    def tokens(self, question: Sequence[Message], answer: str) -> list[int]:
        """The tokens of a question with an answer, as the head was trained on them."""
        asked = question[-1].content if question else ""
        if self._rerank:
            return self._filled(self._rerank, {"query": asked, "document": answer})
        if self._chat is not None:
            rendered = self._chat.render([*question, Message(role="assistant", content=answer)])
            return self._pieces([(piece.text, piece.special) for piece in rendered.pieces])
        return self._pair(asked, answer)

    @cached_property
    def _rerank(self) -> str:
        return self._template(b"rerank")

    @cached_property
    def _chat(self) -> ChatTemplate | None:
        source, words = self._template(None), self.vocabulary
        if not source:
            return None
        return ChatTemplate(source, words.bos_text, words.eos_text, words.control_texts)

    def _template(self, name: bytes | None) -> str:
        found = llama.llama_model_chat_template(self._model, name)
        return found.decode("utf-8", "replace") if found else ""

    def _filled(self, template: str, texts: dict[str, str]) -> list[int]:
        """Fill a template with texts; control tokens count in the template, not in the texts."""
        parts = re.split(r"\{(query|document)\}", template)
        return self._pieces(
            [(texts[p], False) if i % 2 else (p, True) for i, p in enumerate(parts)]
        )

    def _pieces(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        words = self.vocabulary
        begun = bool(words.bos_text) and bool(pieces) and pieces[0][0].startswith(words.bos_text)
        tokens = [words.bos] if words.adds_bos and words.bos is not None and not begun else []
        for number, (text, special) in enumerate(pieces):
            tokens += words.tokenize(text, special=special, continues=number > 0)
        return [token for token in tokens if token is not None]

    def _pair(self, question: str, answer: str) -> list[int]:
        """Two texts as a cross-encoder reads them: [CLS] one [SEP] other [SEP]."""
        words = self.vocabulary
        with words.open() as pointer:
            ends = [int(f(pointer)) for f in (llama.llama_vocab_eos, llama.llama_vocab_sep)]
        end = [next((token for token in reversed(ends) if token >= 0), -1)]
        end = end if end[0] >= 0 else []
        first = [words.bos] if words.bos is not None else []
        return [*first, *words.tokenize(question), *end, *words.tokenize(answer), *end]

    def _score(self, tokens: Sequence[int]) -> float:
        with self._lock:
            if not self._context:
                raise ModelError(f"{self.name} has been closed; open it again")
            if memory := llama.llama_get_memory(self._context):
                llama.llama_memory_clear(memory, True)
            batch = llama.llama_batch_init(len(tokens), 0, 1)
            try:
                for place, token in enumerate(tokens):
                    batch.token[place], batch.pos[place] = token, place
                    batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                    batch.logits[place] = 1
                batch.n_tokens = len(tokens)
                if status := llama.llama_decode(self._context, batch):
                    raise ModelError(f"{self.name} can't score an answer: llama_decode {status}")
                found = llama.llama_get_embeddings_seq(self._context, 0)
                if not found:
                    raise ModelError(f"llama.cpp gives no score of {self.name}")
                return float(found[self._output])
            finally:
                llama.llama_batch_free(batch)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length of the messages' texts in tokens."""
        return sum(len(self.vocabulary.tokenize(message.content)) for message in messages)

    def generate(self, request: ModelRequest) -> Generation:
        """Refuse: a reward model generates no text."""
        raise ModelError(f"{self.name} is a reward model: it scores answers and writes none")

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """Refuse: a reward model generates no text."""
        raise ModelError(f"{self.name} is a reward model: it scores answers and chooses no words")

    def close(self) -> None:
        """Free the model; may be called again."""
        with self._lock:
            if vocabulary := getattr(self, "vocabulary", None):
                vocabulary.close()
            if self._context:
                llama.llama_free(self._context)
            if self._model:
                llama.llama_model_free(self._model)
            self._context = self._model = None

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self.close()
