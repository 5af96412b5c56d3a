"""Figures of a report: frames of numbers first (`frames`), then one function per figure.

A figure is drawn from a frame alone, so that a report can print the very numbers that are drawn. All are readable
without colour: lines differ in marker and dash, bars are hatched.
"""

from recmeta.results.figures.collect import Drawn, draw_all
from recmeta.results.figures.style import save, svg

__all__ = ["Drawn", "draw_all", "save", "svg"]
