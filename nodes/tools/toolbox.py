"""The tools of one trajectory, called with limits; results and errors become text."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.formats.tools import closed
from thinkgraph.models.model import Tool, ToolCall
from thinkgraph.models.schemas import mismatch
from thinkgraph.nodes.population import CallRecord
from thinkgraph.nodes.tools.limits import is_cancellation, is_over
from thinkgraph.nodes.tools.python import SandboxUnavailable
from thinkgraph.nodes.tools.thread import TooManyLeft, in_thread
from thinkgraph.nodes.tools.tool import BoundTool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

DELIMITERS = re.compile(r"<(?=/?\s*(?:tool|function)_?(?:call|response|result|output)s?\b)")
"""Beginnings of the tags around results in a prompt, which are broken up within results."""

_LOG = logging.getLogger(__name__)


class Toolbox:
    """The tools of one trajectory.

    Args:
        tools: the tools that may be called; a factory makes a new one for this toolbox.
        seconds: maximum time of one call.
        output: maximum number of characters of a result.

    Raises:
        ThinkgraphError: a tool can't be made.
    """

    def __init__(self, tools: Sequence[BoundTool], *, seconds: float, output: int) -> None:
        self._seconds, self._output = seconds, output
        self._own = [tool.name for tool in tools if tool.factory]
        self._tools = {tool.name: _opened(tool) for tool in tools}

    @cached_property
    def described(self) -> Sequence[Tool]:
        """The descriptions of the tools for a model.

        Raises:
            ThinkgraphError: the arguments of a tool can't be described.
        """
        return [_described(tool) for tool in self._tools.values()]

    async def call(self, call: ToolCall) -> CallRecord:
        """Call a tool. An error is returned as the result, as text for the model.

        Raises:
            SandboxUnavailable: no code can be run on this machine.
        """
        began = time.perf_counter()
        error = self._refusal(call)
        result = error
        if not error:
            try:
                result = await self._within_limits(self._tools[call.name], call)
            except _ToolFailed as failure:
                result = error = str(failure)
        return CallRecord(
            tool=call.name,
            arguments=call.arguments,
            result=self._shortened(result),
            failed=bool(error),
            seconds=round(time.perf_counter() - began, 3),
        )

    async def close(self) -> None:
        """Close the tools that were made for this toolbox; errors are logged."""
        for name in self._own:
            function = getattr(self._tools[name], "func", None)
            for owner in (self._tools[name], function, getattr(function, "__self__", None)):
                try:
                    if callable(close := getattr(owner, "close", None)):
                        async with asyncio.timeout(self._seconds):
                            if inspect.isawaitable(closing := close()):
                                await closing
                except Exception:
                    _LOG.warning("the tool %r can't be closed", name, exc_info=True)

    def _refusal(self, call: ToolCall) -> str:
        """Why a call can't be made, in words for the model; empty if it can."""
        if call.name not in self._tools:
            return f"error: there is no tool {call.name!r}; there are {', '.join(self._tools)}"
        schema = next(t.parameters for t in self.described if t.name == call.name)
        try:
            is_open = _allows_more(self._tools[call.name])
            found = mismatch(call.arguments, schema if is_open else closed(schema))
        except Exception:  # a third-party schema: the tool checks its arguments itself
            return ""
        if found is None:
            return ""
        place = ".".join(map(str, found.absolute_path))
        return f"error in the arguments: {place and f'{place}: '}{found.message}"

    async def _within_limits(self, tool: BaseTool, call: ToolCall) -> str:
        given = {"name": call.name, "args": call.arguments, "id": call.id, "type": "tool_call"}
        try:
            async with asyncio.timeout(self._seconds) as limit:
                if _is_async(tool):
                    result = await tool.ainvoke(given)
                else:
                    function = getattr(tool, "func", None) or tool
                    result = await in_thread(function, lambda: tool.invoke(given))
                if is_over(limit):  # a tool can block the event loop or suppress its cancellation
                    raise TimeoutError
                return _text(result)
        except TooManyLeft as error:
            raise _ToolFailed(f"error: {call.name}: {error}") from None
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if isinstance(error, SandboxUnavailable):
                raise
            if _is_interrupt(error) or is_cancellation(error):
                raise
            if is_over(limit):
                told = f"timed out after {self._seconds:g} seconds"
                raise _ToolFailed(f"error: {call.name} {told}") from None
            if _is_told(error):
                raise _ToolFailed(str(error)) from error
            said = " ".join(str(error).split())
            raise _ToolFailed(f"error: {type(error).__name__}{said and f': {said}'}") from error

    def _shortened(self, text: str) -> str:
        """Sanitize a result: valid text, without delimiters of a prompt, of limited length."""
        clean = text[: self._output + 1].encode("utf-8", "replace").decode()
        clean = DELIMITERS.sub("< ", clean)
        left = len(text) - self._output
        if left <= 0:
            return clean
        return f"{clean[: self._output]}\n[{left} more characters are left out]"


def _opened(tool: BoundTool) -> BaseTool:
    try:
        return tool.open()
    except ThinkgraphError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ThinkgraphError(f"the tool {tool.name!r} can't be made: {said}") from error


def _described(tool: BaseTool) -> Tool:
    from thinkgraph.models.structured import tool_use  # noqa: PLC0415 (LangChain is slow)

    try:
        (described,) = tool_use({"tools": [tool]}).tools
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ThinkgraphError(
            f"the tool {tool.name!r} can't be used: its arguments can't be described: {said}"
        ) from error
    return described


def _allows_more(tool: BaseTool) -> bool:
    """Whether the arguments are a pydantic model with extra ones; its description omits that."""
    return getattr(tool.args_schema, "model_config", {}).get("extra") == "allow"


class _ToolFailed(Exception):
    """A call failed; the message is for the model."""


def _is_async(tool: BaseTool) -> bool:
    from langchain_core.tools import BaseTool, StructuredTool  # noqa: PLC0415
    from langchain_core.tools import Tool as SimpleTool  # noqa: PLC0415

    if isinstance(tool, StructuredTool | SimpleTool):
        return tool.coroutine is not None
    return type(tool)._arun is not BaseTool._arun


def _is_told(error: BaseException) -> bool:
    """Whether the message of an error was written by the tool for the model."""
    from langchain_core.tools import ToolException  # noqa: PLC0415

    return isinstance(error, ToolException)


def _is_interrupt(error: BaseException) -> bool:
    """Whether an error is LangGraph's ``interrupt()``, with which a tool waits for a person."""
    from langgraph.errors import GraphBubbleUp  # noqa: PLC0415

    return isinstance(error, GraphBubbleUp)


def _text(result: Any) -> str:
    """A tool's result as text; content blocks are joined."""
    content = getattr(result, "content", result)
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "\n".join(_block(block) for block in content)
    return _plain(content)


def _block(block: Any) -> str:
    if isinstance(block, dict) and isinstance(block.get("text"), str):
        return str(block["text"])
    if isinstance(block, dict) and "type" in block:
        return f"[{block['type']}, which can't be shown here]"
    return block if isinstance(block, str) else _plain(block)


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)
