"""Operators: :mod:`coupa_provider.operators.coupa` has them all."""

from __future__ import annotations
