"""Graphs: the language of strategies, its checker, its runtime on LangGraph, and pictures."""
