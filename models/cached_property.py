"""``cached_property`` without a lock.

Up to Python 3.11, that of :mod:`functools` holds a lock that all instances of a class share:
threads that compute it for different instances wait for each other, and a child that is forked
meanwhile waits for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["cached_property"]

if sys.version_info >= (3, 12):
    from functools import cached_property
else:
    T = TypeVar("T")

    class cached_property(Generic[T]):
        """A property that is computed once for each instance, or twice if two threads race."""

        def __init__(self, function: Callable[[Any], T]) -> None:
            self._function, self.__doc__ = function, function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type) -> T: ...
        def __get__(self, instance: object | None, owner: type) -> Self | T:
            if instance is None:
                return self
            value = vars(instance)[self._name] = self._function(instance)
            return value
