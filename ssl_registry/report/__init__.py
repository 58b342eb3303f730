"""Self-contained HTML reports of runs and comparisons, and pictures of masks.

The modules import matplotlib, jinja2 and Pillow only when something is drawn or written.
"""
