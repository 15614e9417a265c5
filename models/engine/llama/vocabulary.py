"""The vocabulary: tokenization, detokenization and special tokens."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.errors import ModelError

_NONE = -1
_AT_ONCE = 4096
_TURN = re.compile(r"<[|｜].*[|｜]>")
_CONTROL = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
_OWN = _CONTROL | llama.LLAMA_TOKEN_ATTR_USER_DEFINED


class Vocabulary:
    """The vocabulary of one model. Thread-safe.

    Raises:
        ModelError: once the model has been closed, from any use that needs it.
    """

    def __init__(self, model: Any) -> None:
        self._pointer = llama.llama_model_get_vocab(model)
        self._using = threading.RLock()
        self.size: int = llama.llama_vocab_n_tokens(self._pointer)
        template = llama.llama_model_chat_template(model, None)
        self._template = template.decode("utf-8", "replace") if template else ""
        self._pieces: list[bytes | None] = [None] * self.size

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Give access to llama.cpp's vocabulary, which is not freed while the block runs."""
        with self._using:
            if not self._pointer:
                raise ModelError("the model has been closed; open it again")
            yield self._pointer

    def close(self) -> None:
        """Prevent further use, and wait for current users."""
        with self._using:
            self._pointer = None

    @cached_property
    def bos(self) -> int | None:
        """The beginning-of-text token (BOS), if there is one."""
        with self.open() as pointer:
            token = int(llama.llama_vocab_bos(pointer))
        return None if token == _NONE else token

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the model was trained on texts that begin with :attr:`bos`."""
        with self.open() as pointer:
            return self.bos is not None and bool(llama.llama_vocab_get_add_bos(pointer))

    @cached_property
    def bos_text(self) -> str:
        """The spelling of :attr:`bos`; empty if there is none."""
        return "" if self.bos is None else self.spelling(self.bos)

    @cached_property
    def eos_text(self) -> str:
        """The spelling of the end-of-text token (EOS); empty if there is none."""
        with self.open() as pointer:
            token = int(llama.llama_vocab_eos(pointer))
        return "" if token == _NONE else self.spelling(token)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end a generation: end of text, of a turn and their like."""
        with self.open() as pointer:
            return frozenset(t for t in range(self.size) if llama.llama_vocab_is_eog(pointer, t))

    @cached_property
    def end_of_turn(self) -> int | None:
        """The token that ends a turn of a conversation, or else a text."""
        with self.open() as pointer:
            tokens = llama.llama_vocab_eot(pointer), llama.llama_vocab_eos(pointer)
        return next((int(token) for token in tokens if token != _NONE), None)

    @cached_property
    def controls(self) -> dict[str, int]:
        """Control tokens by their spellings; a completion's text doesn't contain them."""
        return {self.spelling(t): t for t in range(self.size) if self._attribute(t) & _CONTROL}

    @cached_property
    def markers(self) -> tuple[str, ...]:
        """Spellings that are matched before any text is split into tokens, the longest first.

        They belong to control tokens and user-defined tokens.
        """
        texts = {self.spelling(t) for t in range(self.size) if self._attribute(t) & _OWN}
        return tuple(sorted(texts - {""}, key=len, reverse=True))

    @cached_property
    def control_texts(self) -> tuple[str, ...]:
        """Spellings with which a text could forge a turn.

        These are control tokens; and, as some files declare turn tokens as user-defined, those
        user-defined tokens that the chat template writes, that end a generation, or that look like
        ``<|im_start|>``.
        """
        ends = {self.spelling(token) for token in self.ends}
        return tuple(
            text
            for text in self.markers
            if text in self.controls or text in ends or text in self._template or _TURN.match(text)
        )

    def _attribute(self, token: int) -> int:
        with self.open() as pointer:
            return int(llama.llama_vocab_get_attr(pointer, token))

    def spelling(self, token: int) -> str:
        """The token's own text, control tokens included."""
        with self.open() as pointer:
            text: bytes | None = llama.llama_vocab_get_text(pointer, token)
        return (text or b"").decode("utf-8", "replace")

    def tokenize(
        self, text: str, *, special: bool = False, bos: bool = False, continues: bool = False
    ) -> list[int]:
        """Tokenize ``text``; with ``special``, control tokens in it are recognised.

        Without ``special``, none of :attr:`control_texts` becomes a single token. ``bos`` prepends
        the BOS token if the model was trained with it. Text that ``continues`` another gets no
        leading space, which SentencePiece models add at a beginning. Lone surrogates, which UTF-8
        can't encode, become question marks.
        """
        if special:
            return self._continued(text, special) if continues else self._read(text, special, bos)
        first, *others = self._cut(text)
        tokens = self._continued(first, special) if continues else self._read(first, special, bos)
        for part in others:
            tokens += self._continued(part, special)
        return tokens

    def _cut(self, text: str) -> list[str]:
        """Split a text so that no part spells a token with which a turn could be forged."""
        if not self._forgeable:
            return [text]
        ends = [match.start() + 1 for match in self._forgeable.finditer(text)]
        return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]

    @cached_property
    def _forgeable(self) -> re.Pattern[str] | None:
        # llama.cpp recognises the spellings of user-defined tokens in any text.
        texts = [t for t in self.control_texts if t not in self.controls and len(t) > 1]
        return re.compile(f"(?={'|'.join(map(re.escape, texts))})") if texts else None

    @cached_property
    def _adds_space(self) -> bool:
        return self.text(self._read("a", special=False)).startswith(" ")

    def _continued(self, text: str, special: bool) -> list[int]:
        """Tokens of a text that follows another one."""
        for before in ("\n", ".", "a") if self._adds_space and text else ():
            known = self._read(before, special=False)
            tokens = self._read(before + text, special)
            if tokens[: len(known)] == known:
                return tokens[len(known) :]
        return self._read(text, special)

    def _read(self, text: str, special: bool, bos: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        if not data and not bos:
            return []
        room = len(data) + 8
        for _ in range(2):
            buffer = (llama.llama_token * room)()
            with self.open() as pointer:
                count = llama.llama_tokenize(pointer, data, len(data), buffer, room, bos, special)
            if count >= 0:
                return list(buffer[:count])
            room = -count
        raise AssertionError("llama_tokenize asked twice for more room")

    def piece(self, token: int) -> bytes:
        """The bytes that ``token`` adds to a text: none for a control token."""
        piece = self._pieces[token]
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token)
        return piece

    def _read_piece(self, token: int, room: int = 64) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        with self.open() as pointer:
            count = llama.llama_token_to_piece(pointer, token, buffer, room, 0, False)
        return buffer.raw[:count] if count >= 0 else self._read_piece(token, -count)

    def pieces(self) -> list[bytes]:
        """The :meth:`piece` of every token; other threads can use the vocabulary meanwhile."""
        found, buffer = self._pieces, ctypes.create_string_buffer(256)
        for first in range(0, self.size, _AT_ONCE):
            with self.open() as pointer:
                for token in range(first, min(first + _AT_ONCE, self.size)):
                    if found[token] is None:
                        args = (pointer, token, buffer, 256, 0, False)
                        count = llama.llama_token_to_piece(*args)
                        whole = count >= 0
                        found[token] = buffer.raw[:count] if whole else self._read_piece(token)
        return [piece or b"" for piece in found]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")
